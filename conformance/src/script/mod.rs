//! Scenarios: who does what, who sees what, as text that reads aloud. `scenarios/README.md` teaches the language.
//!
//! In reading order: [`sentence`] is the grammar, with [`deed`] for what people do and [`sight`] for what they see;
//! [`pattern`] is JSON with blanks; [`line`](mod@line) is how somebody is connected; [`actor`] sorts and checks what arrives;
//! [`reasons`] is PROTOCOL.md's table of errors; [`stage`] plays it against a server.

pub(crate) mod actor;
pub(crate) mod deed;
pub(crate) mod line;
pub(crate) mod pattern;
pub mod reasons;
pub(crate) mod sentence;
pub(crate) mod sight;
pub(crate) mod stage;
pub(crate) mod words;

use std::path::{Path, PathBuf};

use anyhow::{Context, Result, anyhow, ensure};

use sentence::Sentence;
use stage::Stage;

pub(crate) use stage::password;

/// A sentence and where it stands.
#[derive(Debug)]
pub struct Spoken {
    /// The line's number.
    pub line: usize,
    /// The line as written.
    pub text: String,
    /// What it means.
    pub(crate) sentence: Sentence,
}

/// A scenario.
#[derive(Debug)]
pub struct Scenario {
    /// Where it was read from.
    pub path: PathBuf,
    /// Its sentences.
    pub(crate) sentences: Vec<Spoken>,
}

/// All scenarios of the directory, by name.
///
/// # Errors
/// When one of them cannot be read or parsed.
pub fn load_all(directory: &Path) -> Result<Vec<Scenario>> {
    let mut paths: Vec<PathBuf> = std::fs::read_dir(directory)
        .with_context(|| directory.display().to_string())?
        .map(|entry| Ok(entry?.path()))
        .collect::<Result<_>>()?;
    paths.retain(|path| path.extension().is_some_and(|extension| extension == "txt"));
    paths.sort();
    paths.iter().map(|path| load(path)).collect()
}

/// Reads one scenario.
///
/// # Errors
/// `file:line` and what is wrong there.
pub fn load(path: &Path) -> Result<Scenario> {
    let text = std::fs::read_to_string(path).with_context(|| path.display().to_string())?;
    let sentences = parse(&text).map_err(|(line, error)| anyhow!("{}:{line}: {error:#}", path.display()))?;
    Ok(Scenario { path: path.to_owned(), sentences })
}

/// Lines to sentences; an indented line belongs to the one above. `#` begins a comment at a line's start.
fn parse(text: &str) -> Result<Vec<Spoken>, (usize, anyhow::Error)> {
    let mut groups: Vec<(usize, String, Vec<String>)> = Vec::new();
    for (line, text) in (1..).zip(text.lines()) {
        if text.trim().is_empty() || text.trim_start().starts_with('#') {
            continue;
        }
        if text.starts_with(char::is_whitespace) {
            let Some((_, _, indented)) = groups.last_mut() else {
                return Err((line, anyhow!("an indented line under nothing")));
            };
            indented.push(text.trim().to_owned());
        } else {
            groups.push((line, text.to_owned(), Vec::new()));
        }
    }
    groups
        .into_iter()
        .map(|(line, text, indented)| match sentence::parse(&text, &indented) {
            Ok(sentence) => Ok(Spoken { line, text, sentence }),
            Err(error) => Err((line, error)),
        })
        .collect()
}

/// Plays a scenario against a server of its own. Returns how many sentences were played.
///
/// # Errors
/// `file:line`, the sentence, what was expected and what arrived.
pub fn play(scenario: &Scenario) -> Result<usize> {
    let name = scenario.path.display();
    ensure!(!scenario.sentences.is_empty(), "{name}: nothing is said in it");
    let mut stage = Stage::default();
    for Spoken { line, text, sentence } in &scenario.sentences {
        stage.play(sentence).map_err(|error| anyhow!("{name}:{line}: {text}\n  {error:#}\n{}", stage.server_log()))?;
    }
    stage.curtain().map_err(|error| anyhow!("{name}: at the end: {error:#}\n{}", stage.server_log()))?;
    Ok(scenario.sentences.len())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn every_scenario_of_the_repository_parses() {
        let directory = Path::new(env!("CARGO_MANIFEST_DIR")).join("scenarios");
        let scenarios = load_all(&directory).expect("scenarios");
        assert!(scenarios.len() > 20, "only {} scenarios", scenarios.len());
    }

    #[test]
    fn errors_name_the_line() {
        let (line, error) = parse("# a comment\n\nalice signs in\nalice flies\n").expect_err("no verb");
        assert_eq!(line, 4);
        assert!(error.to_string().contains("fl"));
        assert_eq!(parse("  message from bob").expect_err("under nothing").0, 1);
    }
}
