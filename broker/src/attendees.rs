//! Attendees as a ticket shop's export has them. Reading one is pure: a file comes in, rows and what is wrong with the others go out.
//!
//! - [`table`]: a table out of a CSV file, whatever program wrote it;
//! - [`columns`]: which of its columns mean what, for pretix, Eventbrite and others;
//! - [`row`]: an attendee out of a row, or why not;
//! - [`Sheet::read`], which goes through all rows and keeps those apart that say the same ticket or badge twice;
//! - [`import`], which carries the rows out.

mod columns;
pub mod import;
mod row;
mod table;

use std::collections::HashMap;

use crate::ids::Uid;
use crate::model::{BadgeCode, GivenBadge};

pub use columns::{Field, Format};
pub use table::{MAX_COLUMNS, MAX_ROWS, MAX_SHEET_BYTES};

/// Why nothing of a file can be used.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum SheetError {
    /// Over [`MAX_SHEET_BYTES`].
    #[error("the file has {0} bytes, over {MAX_SHEET_BYTES}: split it")]
    TooLong(usize),
    /// Over [`MAX_ROWS`].
    #[error("the file has over {MAX_ROWS} rows: split it")]
    TooManyRows,
    /// Over [`MAX_COLUMNS`].
    #[error("the file has {0} columns, over {MAX_COLUMNS}: leave some out of the export")]
    TooManyColumns(usize),
    /// There is not even a heading.
    #[error("the file is empty")]
    Empty,
    /// Another encoding.
    #[error("the file is UTF-16: save it as CSV with UTF-8")]
    Utf16,
    /// Another encoding, or damage.
    #[error(
        "line {line} is not UTF-8: it may be Latin-1 (Windows-1252). Save it as CSV with UTF-8, or run: iconv -f WINDOWS-1252 -t UTF-8"
    )]
    NotUtf8 {
        /// The first line that is not.
        line: usize,
    },
    /// A quote is open at the end.
    #[error("a quote that opens on line {line} is never closed")]
    OpenQuote {
        /// Where the row begins that it is in.
        line: u64,
    },
    /// A column that was asked for is not there.
    #[error("there is no column '{column}'; the columns are: {known}")]
    NoColumn {
        /// What was asked for.
        column: String,
        /// What there is.
        known: String,
    },
    /// The heading says too little.
    #[error("no column for {field} is recognised: say which with {field}=Column; the columns are: {known}")]
    NotRecognised {
        /// What is missing.
        field: &'static str,
        /// What there is.
        known: String,
    },
}

/// An attendee of the file.
#[derive(Clone, PartialEq, Eq)]
pub struct Row {
    /// The line that it begins on; the heading is on line 1.
    pub line: u64,
    /// What tells the ticket from others, at every import.
    pub external: String,
    /// The account's uid, when the file says it.
    pub uid: Option<Uid>,
    /// Display name.
    pub name: String,
    /// E-mail; may be empty, as what follows.
    pub email: String,
    /// Company.
    pub company: String,
    /// Job.
    pub job: String,
    /// Kind of ticket.
    pub ticket: String,
    /// What is printed on the badge.
    pub codes: Vec<String>,
}

impl std::fmt::Debug for Row {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        // A person, and codes that pass as them.
        write!(f, "Row(line {})", self.line)
    }
}

/// A row that cannot be used.
#[derive(Debug, Clone, PartialEq, Eq, serde::Serialize, serde::Deserialize)]
pub struct BadRow {
    /// The line that it begins on.
    pub row: u64,
    /// The column that is wrong, as the heading has it.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub column: Option<String>,
    /// What is wrong with it; never what is in it.
    pub why: String,
}

impl BadRow {
    /// A row that is wrong as a whole.
    pub fn whole(row: u64, why: impl Into<String>) -> Self {
        Self { row, column: None, why: why.into() }
    }
}

/// A file, read.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Sheet {
    /// Whose export it is.
    pub format: Format,
    /// Rows in all, the heading and empty ones left out.
    pub read: usize,
    /// Those that can be used, each ticket and badge once.
    pub rows: Vec<Row>,
    /// The others, in the file's order.
    pub bad: Vec<BadRow>,
}

impl Sheet {
    /// Reads a file. `map` says which columns mean what where that is not to be seen, or is wanted otherwise.
    ///
    /// # Errors
    /// Why nothing of it can be used.
    pub fn read(file: &[u8], format: Option<Format>, map: &[(Field, String)]) -> Result<Self, SheetError> {
        let mut table = table::Table::open(file)?;
        let columns = columns::Columns::of(table.heading(), format, map)?;
        let mut sheet = Self { format: columns.format, read: 0, rows: Vec::new(), bad: Vec::new() };
        let mut once = Once::default();
        while let Some((line, cells)) = table.next_row()? {
            sheet.read += 1;
            let taken = row::parse(line, &cells, &columns).and_then(|row| once.check(&row, &columns).map(|()| row));
            match taken {
                Ok(row) => sheet.rows.push(row),
                Err(bad) => sheet.bad.push(bad),
            }
        }
        Ok(sheet)
    }
}

/// What earlier rows have.
#[derive(Default)]
struct Once {
    tickets: HashMap<String, u64>,
    uids: HashMap<Uid, u64>,
    codes: HashMap<BadgeCode, u64>,
}

impl Once {
    /// Takes note of a row, unless an earlier one is the same ticket or has the same badge.
    fn check(&mut self, row: &Row, columns: &columns::Columns) -> Result<(), BadRow> {
        let bad = |field, why| Err(columns.bad(row.line, field, why));
        if let Some(earlier) = self.tickets.get(&row.external) {
            return bad(Field::Id, format!("the same ticket as in row {earlier}"));
        }
        if let Some(earlier) = row.uid.as_ref().and_then(|uid| self.uids.get(uid)) {
            return bad(Field::Uid, format!("the same user as in row {earlier}"));
        }
        let badges: Vec<GivenBadge> = row.codes.iter().filter_map(|code| GivenBadge::of(code)).collect();
        if let Some(earlier) = badges.iter().flat_map(GivenBadge::codes).find_map(|code| self.codes.get(code)) {
            return bad(Field::Badge, format!("the same badge as in row {earlier}"));
        }
        self.tickets.insert(row.external.clone(), row.line);
        self.uids.extend(row.uid.clone().map(|uid| (uid, row.line)));
        self.codes.extend(badges.into_iter().map(|badge| (badge.code, row.line)));
        Ok(())
    }
}

#[cfg(test)]
mod tests;
