//! Leads as a table for spreadsheets.

use std::borrow::Cow;

use csv::{Terminator, WriterBuilder};

use crate::canonical::time_text;
use crate::ids::{ConfNo, Uid};
use crate::model::{Attendee, Lead};
use crate::reader::{Named, Reader};
use crate::state::StateError;

/// Most rows that are looked up at a time.
const STEP: usize = 100;
/// Bytes of one part of a table, about: notes may be long.
const MAX_PART_BYTES: usize = 256 << 10;
const HEADING: [&str; 12] = ["uid", "name", "email", "company", "job", "rating", "note", "tags", "first", "last", "scans", "by"];

/// A part of a table.
#[derive(Debug)]
pub struct Part {
    /// Rows with commas between cells; before the first part a heading.
    pub csv: String,
    /// The last uid in it, to go on from.
    pub last: Option<Uid>,
    /// There are no more.
    pub complete: bool,
}

/// The leads of an owner above `after`, as many as are good for one answer.
///
/// # Errors
/// The state's.
pub fn table(reader: &Reader, conf: ConfNo, owner: &Uid, after: Option<&Uid>) -> Result<Part, StateError> {
    let mut rows = Rows::new();
    if after.is_none() {
        rows.add(HEADING.map(Cow::Borrowed));
    }
    let mut last = after.cloned();
    loop {
        let (leads, complete) = reader.leads(conf, owner, last.as_ref(), STEP)?;
        last = leads.last().map(|lead| lead.uid.clone()).or(last);
        for lead in &leads {
            rows.add(row(lead, reader.attendee(conf, &lead.uid)?.unwrap_or_default()));
        }
        if complete || rows.bytes > MAX_PART_BYTES {
            return Ok(Part { csv: rows.text(), last, complete });
        }
    }
}

fn row(lead: &Named<Lead>, attendee: Attendee) -> [Cow<'_, str>; HEADING.len()] {
    let Lead { since_ms, last_ms, scans, by, notes } = &lead.record;
    let text = |text: &str| Cow::Owned(text.to_owned());
    [
        lead.uid.as_str().into(),
        text(&lead.name),
        text(&attendee.email),
        text(&attendee.company),
        text(&attendee.job),
        if notes.rating == 0 { "".into() } else { notes.rating.to_string().into() },
        text(&notes.note),
        notes.tags.join(" ").into(),
        time_text(*since_ms).into(),
        time_text(*last_ms).into(),
        scans.to_string().into(),
        by.as_str().into(),
    ]
}

/// A text that no spreadsheet takes for a formula: what people call themselves is not the exhibitor's to carry out.
fn harmless(cell: &str) -> Cow<'_, str> {
    if cell.starts_with(['=', '+', '-', '@', '\t', '\r']) { format!("'{cell}").into() } else { cell.into() }
}

struct Rows {
    writer: csv::Writer<Vec<u8>>,
    bytes: usize,
}

impl Rows {
    fn new() -> Self {
        Self { writer: WriterBuilder::new().terminator(Terminator::CRLF).from_writer(Vec::new()), bytes: 0 }
    }

    fn add(&mut self, cells: [Cow<'_, str>; HEADING.len()]) {
        self.bytes += cells.iter().map(|cell| cell.len()).sum::<usize>();
        // Into memory, always as many cells: there is nothing to fail.
        let _ = self.writer.write_record(cells.iter().map(|cell| harmless(cell).into_owned()));
    }

    fn text(self) -> String {
        self.writer.into_inner().ok().and_then(|bytes| String::from_utf8(bytes).ok()).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::model::LeadNotes;
    use proptest::prelude::*;

    fn uid(text: &str) -> Uid {
        Uid::parse(text).unwrap()
    }

    fn lead(name: &str, note: &str) -> Named<Lead> {
        let notes = LeadNotes { rating: 4, note: note.into(), tags: vec!["hot".into(), "eu".into()] };
        let record = Lead { since_ms: 0, last_ms: 1_000, scans: 2, by: uid("stand-1"), notes };
        Named { uid: uid("ada"), name: name.into(), record }
    }

    #[test]
    fn a_lead_in_a_row() {
        let mut rows = Rows::new();
        let card = Attendee { email: "ada@example.org".into(), company: "Engines, Ltd".into(), ..Attendee::default() };
        rows.add(row(&lead("Ada", "says \"yes\"\nalmost"), card));
        let expected = "ada,Ada,ada@example.org,\"Engines, Ltd\",,4,\"says \"\"yes\"\"\nalmost\",hot eu,1970-01-01T00:00:00.000Z,1970-01-01T00:00:01.000Z,2,stand-1\r\n";
        assert_eq!(rows.text(), expected);
    }

    #[test]
    fn no_cell_is_a_formula() {
        for (cell, safe) in [
            ("=1+1", "'=1+1"),
            ("+49 30", "'+49 30"),
            ("-1", "'-1"),
            ("@SUM(A1)", "'@SUM(A1)"),
            ("\t=1", "'\t=1"),
            ("a=1", "a=1"),
            ("", ""),
        ] {
            assert_eq!(harmless(cell), safe);
        }
    }

    proptest! {
        #[test]
        fn every_text_comes_back_and_none_is_a_formula(name in "[-=+@\t\r\n\",;a-zé]{0,12}", note in "\\PC{0,20}") {
            let mut rows = Rows::new();
            rows.add(row(&lead(&name, &note), Attendee::default()));
            let text = rows.text();
            let mut reader = csv::ReaderBuilder::new().has_headers(false).from_reader(text.as_bytes());
            let record = reader.records().next().unwrap().unwrap();
            prop_assert_eq!(record.len(), HEADING.len());
            for (at, said) in [(1, &name), (6, &note)] {
                let cell = &record[at];
                prop_assert!(!cell.starts_with(['=', '+', '-', '@', '\t', '\r']));
                prop_assert_eq!(cell.strip_prefix('\'').filter(|_| !said.starts_with('\'')).unwrap_or(cell), said);
            }
        }
    }
}
