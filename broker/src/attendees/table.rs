//! A table out of a CSV file (RFC 4180, and what spreadsheets make of it): with or without a byte order mark, with commas, semicolons or tabs.

use csv::{Reader, ReaderBuilder, StringRecord, Trim};

use super::SheetError;

/// Longest file, in bytes.
pub const MAX_SHEET_BYTES: usize = 16 << 20;
/// Most rows under the heading.
pub const MAX_ROWS: usize = 50_000;
/// Most columns: each question of a shop is one.
pub const MAX_COLUMNS: usize = 500;

const BOM: &[u8] = b"\xef\xbb\xbf";
const DELIMITERS: [u8; 3] = [b',', b';', b'\t'];

/// A file that is gone through row by row.
pub(super) struct Table<'f> {
    body: &'f [u8],
    reader: Reader<&'f [u8]>,
    heading: StringRecord,
    /// How far lines are counted, in bytes, and on which line that is.
    counted: (usize, u64),
    rows: usize,
    /// The last row goes on to the end in an open quote.
    has_open_quote: bool,
}

impl<'f> Table<'f> {
    /// Looks at the heading.
    pub(super) fn open(file: &'f [u8]) -> Result<Self, SheetError> {
        if file.len() > MAX_SHEET_BYTES {
            return Err(SheetError::TooLong(file.len()));
        }
        let text = utf8(file)?;
        let (stated, body) = separator_line(text);
        let delimiter = stated.unwrap_or_else(|| likeliest_delimiter(body));
        // Spreadsheets cut rows short whose last cells are empty.
        let reader =
            ReaderBuilder::new().has_headers(false).delimiter(delimiter).flexible(true).trim(Trim::All).from_reader(body.as_bytes());
        let has_open_quote = body.bytes().filter(|byte| *byte == b'"').count() % 2 == 1;
        let first_line = 1 + u64::from(stated.is_some());
        let (body, heading) = (body.as_bytes(), StringRecord::new());
        let mut table = Self { body, reader, heading, counted: (0, first_line), rows: 0, has_open_quote };
        let (_, heading) = table.record()?.ok_or(SheetError::Empty)?;
        if heading.len() > MAX_COLUMNS {
            return Err(SheetError::TooManyColumns(heading.len()));
        }
        table.heading = heading;
        Ok(table)
    }

    pub(super) fn heading(&self) -> &StringRecord {
        &self.heading
    }

    /// The next row that is not empty, with the line that it begins on.
    pub(super) fn next_row(&mut self) -> Result<Option<(u64, StringRecord)>, SheetError> {
        let Some((line, record)) = self.record()? else { return Ok(None) };
        if self.has_open_quote && self.is_at_end() && record.iter().any(|cell| cell.contains('\n')) {
            return Err(SheetError::OpenQuote { line });
        }
        self.rows += 1;
        if self.rows > MAX_ROWS { Err(SheetError::TooManyRows) } else { Ok(Some((line, record))) }
    }

    fn record(&mut self) -> Result<Option<(u64, StringRecord)>, SheetError> {
        let mut record = StringRecord::new();
        loop {
            // In memory and UTF-8 already, of any number of cells: there is nothing left to fail.
            if !self.reader.read_record(&mut record).map_err(|_| SheetError::Empty)? {
                return Ok(None);
            }
            if record.iter().any(|cell| !cell.is_empty()) {
                let begins = record.position().map_or(0, csv::Position::byte);
                return Ok(Some((self.line_at(begins), record)));
            }
        }
    }

    fn is_at_end(&self) -> bool {
        usize::try_from(self.reader.position().byte()).is_ok_and(|at| at >= self.body.len())
    }

    /// The line that a row is on that begins there, or after the line breaks there: counted onwards from the row before.
    fn line_at(&mut self, begins: u64) -> u64 {
        let (at, line) = self.counted;
        let begins = usize::try_from(begins).unwrap_or(usize::MAX).clamp(at, self.body.len());
        let breaks = self.body[begins..].iter().take_while(|byte| matches!(byte, b'\r' | b'\n')).count();
        let passed = &self.body[at..begins + breaks];
        let newlines = passed.iter().filter(|byte| **byte == b'\n').count();
        self.counted = (begins + breaks, line + newlines as u64);
        self.counted.1
    }
}

fn utf8(file: &[u8]) -> Result<&str, SheetError> {
    if file.starts_with(b"\xff\xfe") || file.starts_with(b"\xfe\xff") {
        return Err(SheetError::Utf16);
    }
    let file = file.strip_prefix(BOM).unwrap_or(file);
    std::str::from_utf8(file).map_err(|error| {
        let line = 1 + file[..error.valid_up_to()].iter().filter(|byte| **byte == b'\n').count();
        SheetError::NotUtf8 { line }
    })
}

/// Excel's first line `sep=;`, which is no heading.
fn separator_line(text: &str) -> (Option<u8>, &str) {
    let (first, rest) = text.split_once('\n').unwrap_or((text, ""));
    match first.trim_end_matches(['\r', '\n']).strip_prefix("sep=").map(str::as_bytes) {
        Some([delimiter]) if DELIMITERS.contains(delimiter) => (Some(*delimiter), rest),
        _ => (None, text),
    }
}

/// What the heading has most of, outside of quotes.
fn likeliest_delimiter(text: &str) -> u8 {
    let mut counts = [0usize; DELIMITERS.len()];
    let mut is_quoted = false;
    for byte in text.trim_start().bytes() {
        match byte {
            b'"' => is_quoted = !is_quoted,
            b'\n' if !is_quoted => break,
            _ if is_quoted => {}
            byte => {
                if let Some(at) = DELIMITERS.iter().position(|delimiter| *delimiter == byte) {
                    counts[at] += 1;
                }
            }
        }
    }
    // The first of those that are equal: a single column has none of them.
    let most = (0..DELIMITERS.len()).rev().max_by_key(|at| counts[*at]).unwrap_or_default();
    DELIMITERS[most]
}
