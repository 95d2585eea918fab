//! `attendee.*`.

use std::borrow::Cow;
use std::collections::BTreeMap;

use hallway_broker::attendees::{BadRow, Field, Format};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use crate::rpc::Fault;

/// Whose export a file is.
#[derive(Debug, Clone, Copy, Default, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PROTOCOL.md says what they are")]
pub enum FormatWord {
    #[default]
    Auto,
    Pretix,
    Eventbrite,
    Generic,
}

impl FormatWord {
    /// The format; `None` when it is to be seen from the heading.
    #[must_use]
    pub fn format(self) -> Option<Format> {
        match self {
            Self::Auto => None,
            Self::Pretix => Some(Format::Pretix),
            Self::Eventbrite => Some(Format::Eventbrite),
            Self::Generic => Some(Format::Generic),
        }
    }
}

/// A column's name, or several.
#[derive(Debug, Deserialize, JsonSchema)]
#[serde(untagged)]
pub enum Columns {
    /// One.
    One(String),
    /// Several: of each row what is not empty.
    Several(Vec<String>),
}

/// Parameters of `attendee.import`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ImportParams<'a> {
    /// Whose export it is (`auto`).
    #[serde(default)]
    pub format: FormatWord,
    /// The file: CSV with a heading, with commas, semicolons or tabs.
    #[serde(borrow)]
    pub csv: Cow<'a, str>,
    /// Which columns mean what, where that is not to be seen: `{"name": "Column"}`.
    #[serde(default)]
    pub map: BTreeMap<String, Columns>,
    /// Only say what would be done.
    #[serde(default)]
    pub dry_run: bool,
}

impl ImportParams<'_> {
    /// The mapping.
    ///
    /// # Errors
    /// `invalid_params`: there is no such field.
    pub fn mapping(&self) -> Result<Vec<(Field, String)>, Fault> {
        let mut mapping = Vec::new();
        for (word, columns) in &self.map {
            let field = Field::from_word(word).ok_or_else(|| Fault::invalid_params(format_args!("map has no field {word}")))?;
            match columns {
                Columns::One(column) => mapping.push((field, column.clone())),
                Columns::Several(columns) => mapping.extend(columns.iter().map(|column| (field, column.clone()))),
            }
        }
        Ok(mapping)
    }
}

/// A row that was left out.
#[derive(Debug, Serialize, JsonSchema)]
pub struct BadRowShape {
    /// The line that it begins on; the heading is on line 1.
    pub row: u64,
    /// The column that is wrong.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What is wrong with it.
    pub why: String,
}

/// Result of `attendee.import`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Imported {
    /// Whose export it was taken for.
    #[schemars(with = "String")]
    pub format: &'static str,
    /// Rows in all.
    pub rows: usize,
    /// Accounts that were made.
    pub added: usize,
    /// People whose data or badges were brought up to date.
    pub changed: usize,
    /// People of whom all was known.
    pub unchanged: usize,
    /// Rows that were left out, the first 1,000.
    #[schemars(with = "Vec<BadRowShape>")]
    pub bad: Vec<BadRow>,
    /// How many more were left out.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub more_bad: Option<usize>,
}
