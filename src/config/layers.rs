//! Where values come from: each key keeps the last layer that set it, and its origin.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};

use toml::de::{DeTable, DeValue};
use toml::{Spanned, Table, Value};

use super::{Config, ConfigError};

/// Prefix of the environment variables that are keys.
const ENVIRONMENT_PREFIX: &str = "HALLWAY_";
/// What stands between the levels of a key in a variable's name.
const LEVEL: &str = "__";
/// Sections, for recognising variables with one underscore too few.
const SECTIONS: &[&str] =
    &["badges", "conference", "http", "limits", "listen", "mqtt", "push", "server", "socketio", "store", "tls", "xmpp"];

/// Where a value came from.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Origin {
    /// Nobody set it.
    Default,
    /// Something else that was set makes it so.
    Implied(&'static str),
    /// A file, and the line in it.
    File {
        /// Which.
        path: PathBuf,
        /// From 1.
        line: usize,
    },
    /// An environment variable.
    Environment(String),
    /// A flag on the command line.
    Flag(&'static str),
}

impl fmt::Display for Origin {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Default => f.write_str("default"),
            Self::Implied(why) => f.write_str(why),
            Self::File { path, line } => write!(f, "{}:{line}", path.display()),
            Self::Environment(name) => write!(f, "environment {name}"),
            Self::Flag(name) => write!(f, "flag {name}"),
        }
    }
}

/// What a layer says.
#[derive(Debug, Clone)]
enum Said {
    /// A typed value.
    Value(Value),
    /// Text from the environment, which takes the type of its key.
    Text(String),
}

#[derive(Debug, Clone)]
struct Entry {
    said: Said,
    origin: Origin,
}

/// Keys, dotted, with what was said last.
#[derive(Debug, Clone, Default)]
pub struct Layers {
    entries: BTreeMap<String, Entry>,
    warnings: Vec<String>,
    file: bool,
}

impl Layers {
    /// Adds a file.
    ///
    /// # Errors
    /// It cannot be read, or is not TOML.
    pub fn file(&mut self, path: &Path) -> Result<(), ConfigError> {
        let text = std::fs::read_to_string(path).map_err(|error| ConfigError::Read { path: path.to_owned(), error })?;
        self.file_text(path, &text)
    }

    /// Adds the text of a file.
    ///
    /// # Errors
    /// It is not TOML.
    pub fn file_text(&mut self, path: &Path, text: &str) -> Result<(), ConfigError> {
        let syntax = |error: toml::de::Error| ConfigError::Syntax { path: path.to_owned(), message: error.to_string() };
        let values: Table = text.parse().map_err(syntax)?;
        let places = DeTable::parse(text).map_err(syntax)?;
        self.file = true;
        flatten("", &values, &mut |key, value| {
            let line = line_of(text, places.get_ref(), key);
            self.set(key, Said::Value(value.clone()), Origin::File { path: path.to_owned(), line });
        });
        Ok(())
    }

    /// Adds the environment's variables that are keys: `HALLWAY_SECTION__KEY`.
    pub fn environment(&mut self, variables: impl Iterator<Item = (String, String)>) {
        for (name, text) in variables {
            let Some(rest) = name.strip_prefix(ENVIRONMENT_PREFIX) else { continue };
            let rest = rest.to_lowercase();
            if rest.contains(LEVEL) {
                self.set(&rest.replace(LEVEL, "."), Said::Text(text), Origin::Environment(name));
            } else if let Some(section) =
                SECTIONS.iter().find(|section| rest.strip_prefix(**section).is_some_and(|rest| rest.starts_with('_')))
            {
                let meant = format!("{ENVIRONMENT_PREFIX}{}{LEVEL}…", section.to_uppercase());
                self.warnings.push(format!("{name} is not a setting: two underscores between levels, {meant}"));
            }
        }
    }

    /// Adds a flag.
    pub fn flag(&mut self, key: &str, flag: &'static str, text: &str) {
        self.set(key, Said::Value(text.into()), Origin::Flag(flag));
    }

    /// Sets a key that nobody set.
    pub fn imply(&mut self, key: &str, text: &str, why: &'static str) {
        if !self.entries.contains_key(key) {
            self.set(key, Said::Value(text.into()), Origin::Implied(why));
        }
    }

    fn set(&mut self, key: &str, said: Said, origin: Origin) {
        self.entries.insert(key.to_owned(), Entry { said, origin });
    }

    /// Whether there is a file among them.
    #[must_use]
    pub fn has_file(&self) -> bool {
        self.file
    }

    /// What is probably not meant.
    #[must_use]
    pub fn warnings(&self) -> Vec<String> {
        self.warnings.clone()
    }

    /// The keys that were set; whether only as an empty section; and where.
    pub fn keys(&self) -> impl Iterator<Item = (&str, bool, &Origin)> {
        self.entries.iter().map(|(key, entry)| {
            let empty = matches!(&entry.said, Said::Value(Value::Table(table)) if table.is_empty());
            (key.as_str(), empty, &entry.origin)
        })
    }

    /// Where each key was set.
    #[must_use]
    pub fn origins(&self) -> BTreeMap<String, Origin> {
        self.entries.iter().map(|(key, entry)| (key.clone(), entry.origin.clone())).collect()
    }

    /// Puts all values together.
    ///
    /// # Errors
    /// The first key whose value is not of its type.
    pub fn build(&self) -> Result<Config, ConfigError> {
        let mut all = Table::new();
        for (key, entry) in &self.entries {
            let value = fitting(key, &entry.said).map_err(|message| ConfigError::Value {
                key: key.clone(),
                origin: entry.origin.clone(),
                message,
            })?;
            nest(&mut all, key, value);
        }
        all.try_into().map_err(|error: toml::de::Error| ConfigError::Value {
            key: "the configuration".to_owned(),
            origin: Origin::Default,
            message: error.message().to_owned(),
        })
    }
}

/// Calls `each` with every key that holds a value, dotted, and with empty sections.
fn flatten(above: &str, table: &Table, each: &mut impl FnMut(&str, &Value)) {
    for (name, value) in table {
        let key = if above.is_empty() { name.clone() } else { format!("{above}.{name}") };
        match value {
            Value::Table(table) if !table.is_empty() => flatten(&key, table, each),
            value => each(&key, value),
        }
    }
}

/// The line that a key is on, from 1.
fn line_of(text: &str, table: &DeTable<'_>, key: &str) -> usize {
    let mut table = table;
    let mut at = 0;
    for part in key.split('.') {
        let Some((name, value)) = table.iter().find(|(name, _)| name.get_ref().as_ref() == part) else { break };
        at = name.span().start;
        match Spanned::get_ref(value) {
            DeValue::Table(below) => table = below,
            _ => break,
        }
    }
    1 + text.as_bytes().iter().take(at).filter(|byte| **byte == b'\n').count()
}

fn nest(table: &mut Table, key: &str, value: Value) {
    match key.split_once('.') {
        None => {
            table.insert(key.to_owned(), value);
        }
        Some((section, rest)) => {
            let below = table.entry(section).or_insert_with(|| Value::Table(Table::new()));
            if let Value::Table(below) = below {
                nest(below, rest, value);
            }
        }
    }
}

/// The value that the key takes, or why it takes none.
fn fitting(key: &str, said: &Said) -> Result<Value, String> {
    let candidates = match said {
        Said::Value(value) => vec![value.clone()],
        Said::Text(text) => readings(text),
    };
    let mut refused = String::new();
    for candidate in candidates {
        let mut alone = Table::new();
        nest(&mut alone, key, candidate.clone());
        match alone.try_into::<Config>() {
            Ok(_) => return Ok(candidate),
            Err(error) => refused = error.message().trim_end().to_owned(),
        }
    }
    Err(refused)
}

/// What a text can mean: TOML, a list with commas, or itself. The last is what an error is about.
fn readings(text: &str) -> Vec<Value> {
    let mut readings = Vec::new();
    if let Ok(Value::Array(mut only)) =
        format!("v = [{text}\n]").parse::<Table>().map(|mut table| table.remove("v").unwrap_or(Value::Boolean(false)))
        && only.len() == 1
    {
        readings.extend(only.pop());
    }
    readings.push(Value::Array(text.split(',').map(|item| Value::from(item.trim())).filter(|item| item.as_str() != Some("")).collect()));
    readings.push(text.into());
    readings
}
