//! JSON with blanks: `*` stands for anything, `$x` for a captured value, `...` at an array's end for any further elements.
//!
//! Objects match when every member of the pattern does; further members are allowed. `-` stands for
//! "must be absent, or an empty text".

use std::collections::HashMap;

use anyhow::{Context, Result, anyhow, bail};
use serde_json::Value;

/// Values captured under names.
pub type Vars = HashMap<String, Value>;

// A character that no scenario contains marks a blank within otherwise ordinary JSON.
const MARK: char = '\u{1}';

/// Reads JSON in which `*`, `-`, `$name` and `...` may stand for values.
///
/// # Errors
/// When it is not that.
pub fn parse(text: &str) -> Result<Value> {
    let mut json = String::new();
    let mut letters = text.chars().peekable();
    let mut in_string = false;
    while let Some(letter) = letters.next() {
        match letter {
            '\\' if in_string => json.extend([letter, letters.next().unwrap_or(' ')]),
            '"' => {
                in_string = !in_string;
                json.push(letter);
            }
            '*' if !in_string => json.push_str("\"\\u0001*\""),
            '-' if !in_string && !letters.peek().is_some_and(char::is_ascii_digit) => json.push_str("\"\\u0001-\""),
            '.' if !in_string && letters.peek() == Some(&'.') => {
                letters.by_ref().take(2).for_each(drop);
                json.push_str("\"\\u0001...\"");
            }
            '$' if !in_string => {
                let mut name = String::new();
                while let Some(part) = letters.next_if(|next| is_name(*next)) {
                    name.push(part);
                }
                json.push_str(&format!("\"\\u0001${name}\""));
            }
            other => json.push(other),
        }
    }
    serde_json::from_str(&json).with_context(|| format!("not JSON, even with blanks: {text}"))
}

fn is_name(letter: char) -> bool {
    letter.is_ascii_alphanumeric() || letter == '_'
}

/// What a string in a pattern means.
fn blank(text: &str) -> Option<&str> {
    text.strip_prefix(MARK)
}

/// A pattern for a captured value, or a literal number or word: `$a1`, `42`, `lobby`.
#[must_use]
pub fn word(text: &str) -> Value {
    if text == "*" || text.starts_with('$') {
        return Value::String(format!("{MARK}{text}"));
    }
    text.parse::<u64>().map_or_else(|_| Value::String(text.to_owned()), Value::from)
}

/// Replaces `$name` by what was captured, for a request.
///
/// # Errors
/// When a name has no value.
pub fn fill(pattern: &Value, vars: &Vars) -> Result<Value> {
    Ok(match pattern {
        Value::String(text) => match blank(text) {
            Some(name) => lookup(name.trim_start_matches('$'), vars)?.clone(),
            None => Value::String(fill_text(text, vars)?),
        },
        Value::Array(items) => Value::Array(items.iter().map(|item| fill(item, vars)).collect::<Result<_>>()?),
        Value::Object(members) => {
            let filled = members.iter().map(|(name, value)| Ok((name.clone(), fill(value, vars)?)));
            Value::Object(filled.collect::<Result<_>>()?)
        }
        other => other.clone(),
    })
}

fn lookup<'v>(name: &str, vars: &'v Vars) -> Result<&'v Value> {
    vars.get(name).ok_or_else(|| anyhow!("nothing was captured as ${name}"))
}

/// Replaces `${name}` within a text.
///
/// # Errors
/// When a name has no value.
pub fn fill_text(text: &str, vars: &Vars) -> Result<String> {
    let mut filled = String::new();
    let mut rest = text;
    while let Some((before, after)) = rest.split_once("${") {
        let (name, after) = after.split_once('}').ok_or_else(|| anyhow!("'${{' without '}}' in {text:?}"))?;
        filled.push_str(before);
        match lookup(name, vars)? {
            Value::String(value) => filled.push_str(value),
            value => filled.push_str(&value.to_string()),
        }
        rest = after;
    }
    filled.push_str(rest);
    Ok(filled)
}

/// Matches, and captures names that had no value. Captures count only when the whole matches.
///
/// # Errors
/// The first place where it differs.
pub fn matches(pattern: &Value, value: &Value, vars: &mut Vars) -> Result<()> {
    let mut captured = vars.clone();
    compare(pattern, value, &mut captured, "")?;
    *vars = captured;
    Ok(())
}

fn compare(pattern: &Value, value: &Value, vars: &mut Vars, at: &str) -> Result<()> {
    let place = if at.is_empty() { "the whole" } else { at };
    match pattern {
        Value::String(text) if blank(text).is_some() => compare_blank(blank(text).unwrap_or_default(), value, vars, place),
        Value::Object(members) => {
            let Value::Object(have) = value else { bail!("{place} should be an object, was {value}") };
            for (name, wanted) in members {
                let at = format!("{at}.{name}");
                match have.get(name) {
                    Some(value) => compare(wanted, value, vars, &at)?,
                    None if wanted.as_str().and_then(blank) == Some("-") => {}
                    None => bail!("{at} is missing"),
                }
            }
            Ok(())
        }
        Value::Array(items) => compare_arrays(items, value, vars, at, place),
        literal if literal == value => Ok(()),
        literal => bail!("{place} should be {literal}, was {value}"),
    }
}

fn compare_arrays(items: &[Value], value: &Value, vars: &mut Vars, at: &str, place: &str) -> Result<()> {
    let Value::Array(have) = value else { bail!("{place} should be an array, was {value}") };
    let open = items.last().and_then(Value::as_str).and_then(blank) == Some("...");
    let wanted = &items[..items.len() - usize::from(open)];
    if have.len() < wanted.len() || !open && have.len() > wanted.len() {
        bail!("{place} should have {} elements, has {}", wanted.len(), have.len());
    }
    for (at_index, (wanted, have)) in wanted.iter().zip(have).enumerate() {
        compare(wanted, have, vars, &format!("{at}[{at_index}]"))?;
    }
    Ok(())
}

fn compare_blank(blank: &str, value: &Value, vars: &mut Vars, place: &str) -> Result<()> {
    match blank.strip_prefix('$') {
        None if blank == "-" && value == "" => Ok(()),
        None if blank == "-" => bail!("{place} should be absent, was {value}"),
        None => Ok(()),
        Some(name) => match vars.get(name) {
            Some(known) if known == value => Ok(()),
            Some(known) => bail!("{place} should be ${name} = {known}, was {value}"),
            None => {
                vars.insert(name.to_owned(), value.clone());
                Ok(())
            }
        },
    }
}

/// The pattern as a person writes it.
#[must_use]
pub fn show(pattern: &Value) -> String {
    match pattern {
        Value::String(text) => blank(text).map_or_else(|| pattern.to_string(), str::to_owned),
        Value::Array(items) => format!("[{}]", items.iter().map(show).collect::<Vec<_>>().join(", ")),
        Value::Object(members) => {
            let members: Vec<String> = members.iter().map(|(name, value)| format!("\"{name}\": {}", show(value))).collect();
            format!("{{{}}}", members.join(", "))
        }
        other => other.to_string(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use serde_json::json;

    fn check(pattern: &str, value: &Value, vars: &mut Vars) -> Result<(), String> {
        matches(&parse(pattern).expect("a pattern"), value, vars).map_err(|error| error.to_string())
    }

    #[test]
    fn literals_and_blanks_match() {
        let mut vars = Vars::new();
        let value = json!({"a": 1, "b": ["x", {"c": true}], "d": "*", "e": -1});
        assert_eq!(check(r#"{"a": 1, "b": ["x", *], "d": "*", "e": -1, "f": -}"#, &value, &mut vars), Ok(()));
        assert_eq!(check(r#"{"b": ["x", ...]}"#, &value, &mut vars), Ok(()));
        assert_eq!(check("*", &value, &mut vars), Ok(()));
    }

    #[test]
    fn differences_are_named_by_place() {
        let mut vars = Vars::new();
        let value = json!({"a": {"b": [1, 2]}});
        assert_eq!(check(r#"{"a": {"b": [1, 3]}}"#, &value, &mut vars), Err(".a.b[1] should be 3, was 2".into()));
        assert_eq!(check(r#"{"a": {"b": [1]}}"#, &value, &mut vars), Err(".a.b should have 1 elements, has 2".into()));
        assert_eq!(check(r#"{"c": *}"#, &value, &mut vars), Err(".c is missing".into()));
        assert_eq!(check(r#"{"a": -}"#, &value, &mut vars), Err(r#".a should be absent, was {"b":[1,2]}"#.into()));
        assert_eq!(check(r#"{"a": {"b": [1, 2, 3, ...]}}"#, &value, &mut vars), Err(".a.b should have 3 elements, has 2".into()));
    }

    #[test]
    fn captures_bind_once_and_only_with_the_whole() {
        let mut vars = Vars::new();
        assert!(check(r#"{"a": $x, "b": 2}"#, &json!({"a": 1, "b": 3}), &mut vars).is_err());
        assert!(vars.is_empty());
        assert_eq!(check(r#"{"a": $x, "b": $x}"#, &json!({"a": 1, "b": 1}), &mut vars), Ok(()));
        assert!(check("$x", &json!(2), &mut vars).is_err());
        assert_eq!(fill(&parse(r#"{"seq": $x, "t": "n${x}"}"#).expect("a pattern"), &vars).expect("filled"), json!({"seq": 1, "t": "n1"}));
        assert!(fill(&parse("$y").expect("a pattern"), &vars).is_err());
    }

    #[test]
    fn a_star_within_a_string_is_a_star() {
        let mut vars = Vars::new();
        assert_eq!(check(r#"["*"]"#, &json!(["*"]), &mut vars), Ok(()));
        assert!(check(r#"["*"]"#, &json!(["x"]), &mut vars).is_err());
    }

    #[test]
    fn patterns_are_shown_as_written() {
        let text = r#"{"a": $x, "b": [*, ...]}"#;
        assert_eq!(show(&parse(text).expect("a pattern")), text);
    }
}
