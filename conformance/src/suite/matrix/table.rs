//! `conformance/matrix.txt` as data: sections of rows to single cells.

use anyhow::{Context, Result, bail, ensure};

/// Kinds of conversations.
pub const KINDS: [&str; 4] = ["channel", "group", "direct", "announcements"];
/// Roles in the conference.
pub const ROLES: [&str; 3] = ["attendee", "staff", "organiser"];
/// The columns of a row about a conversation.
pub const STANDINGS: [&str; 6] = ["none", "member", "moderator", "owner", "banned", "invited"];

/// One case to be run.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Cell {
    /// The method, with what the section's name adds (`message.edit.own`).
    pub section: String,
    /// A kind of conversation, or `person`, `foreign-person`, `new`.
    pub kind: String,
    /// The asker is of another conference.
    pub foreign: bool,
    /// The asker's role.
    pub role: &'static str,
    /// The asker's standing in the conversation.
    pub standing: &'static str,
    /// What may come of it: `ok` or reasons.
    pub expected: Vec<String>,
    /// The line in the file.
    pub line: usize,
}

/// All cells, in the file's order.
///
/// # Errors
/// The line that is not understood.
pub fn parse(text: &str) -> Result<Vec<Cell>> {
    let mut section = None;
    let mut cells = Vec::new();
    for (line, text) in (1..).zip(text.lines().map(str::trim)) {
        if text.is_empty() || text.starts_with('#') {
            continue;
        }
        if let Some(name) = text.strip_prefix('[').and_then(|name| name.strip_suffix(']')) {
            section = Some(name.to_owned());
            continue;
        }
        let section = section.as_deref().with_context(|| format!("line {line}: a row before any section"))?;
        cells.extend(row(section, line, text).with_context(|| format!("line {line}"))?);
    }
    Ok(cells)
}

fn row(section: &str, line: usize, text: &str) -> Result<Vec<Cell>> {
    let mut words = text.split_whitespace();
    let kind = words.next().context("no kind")?;
    let roles = roles(words.next().context("no role")?)?;
    let outcomes: Vec<&str> = words.collect();
    let (kinds, foreign): (Vec<&str>, bool) = match kind {
        "foreign" => (KINDS.to_vec(), true),
        "person" | "foreign-person" | "new" => (vec![kind], false),
        kind if KINDS.contains(&kind) => (vec![kind], false),
        other => bail!("no kind of conversation: {other}"),
    };
    let columns = if KINDS.contains(&kind) { STANDINGS.len() } else { 1 };
    ensure!(outcomes.len() == columns, "{} outcomes, expected {columns}", outcomes.len());
    let mut cells = Vec::new();
    for kind in &kinds {
        for role in &roles {
            for (standing, outcome) in STANDINGS.iter().zip(&outcomes).filter(|(_, outcome)| **outcome != "-") {
                let expected = outcome.split('|').map(str::to_owned).collect();
                cells.push(Cell { section: section.to_owned(), kind: (*kind).to_owned(), foreign, role, standing, expected, line });
            }
        }
    }
    Ok(cells)
}

fn roles(word: &str) -> Result<Vec<&'static str>> {
    if word == "any" {
        return Ok(ROLES.to_vec());
    }
    let known = |name: &str| ROLES.into_iter().find(|role| *role == name).with_context(|| format!("no role: {name}"));
    word.split(',').map(known).collect()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::reasons::{METHODS, code_of};

    #[test]
    fn rows_become_cells() {
        let cells = parse("[m]\nchannel staff,organiser ok - - - banned|x -\nforeign any no\nperson attendee ok\n").expect("cells");
        assert_eq!(cells.len(), 2 * 2 + 4 * 3 + 1);
        assert_eq!(cells[1].expected, ["banned", "x"]);
        assert_eq!((cells[1].standing, cells[1].role), ("banned", "staff"));
        assert!(cells[4].foreign && cells[4].kind == "channel");
    }

    #[test]
    fn what_is_no_row_is_an_error() {
        for text in ["channel any ok", "[m]\nchannel any ok", "[m]\ncastle any ok", "[m]\nchannel king ok ok ok ok ok ok"] {
            assert!(parse(text).is_err(), "{text}");
        }
    }

    #[test]
    fn the_file_is_complete() {
        let cells = parse(include_str!("../../../matrix.txt")).expect("the file");
        for cell in &cells {
            for outcome in cell.expected.iter().filter(|outcome| *outcome != "ok") {
                assert!(code_of(outcome).is_some(), "line {}: {outcome} is no reason", cell.line);
            }
            assert!(METHODS.iter().any(|method| cell.section.starts_with(method)), "line {}: no method", cell.line);
        }
        // Without a standing of somebody: own profile, directory, own presence, sessions and targets of push.
        let unmatched = [
            "session.hello",
            "session.list",
            "conversation.list",
            "conversation.unsubscribe",
            "people.list",
            "people.update",
            "presence.set",
            "push.register",
            "push.list",
            "push.key",
        ];
        for method in METHODS.iter().filter(|method| !method.starts_with('/') && !unmatched.contains(method)) {
            assert!(cells.iter().any(|cell| cell.section.starts_with(method)), "no row for {method}");
        }
        assert!(cells.len() > 900, "{} cells", cells.len());
    }
}
