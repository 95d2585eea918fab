//! An attendee out of a row of cells, or what is wrong with it.

use csv::StringRecord;

use super::columns::Columns;
use super::{BadRow, Field, Format, Row};
use crate::accounts::subjects::slug;
use crate::ids::Uid;
use crate::limits::MAX_NAME_BYTES;

/// Longest e-mail address, in bytes (RFC 5321 §4.5.3.1.3, without the brackets).
const MAX_EMAIL_BYTES: usize = 254;
/// Longest company, job or kind of ticket, in bytes.
const MAX_CARD_BYTES: usize = 256;
/// Longest name of a ticket, in bytes.
const MAX_EXTERNAL_BYTES: usize = 320;
/// Longest code of a badge, in bytes.
const MAX_BADGE_BYTES: usize = 512;
/// Most badges of one row.
const MAX_BADGES: usize = 4;

/// Words of tickets that let nobody in, at the beginning of what the shop says.
const NOT_GOOD: [&str; 14] = [
    "cancel",
    "expired",
    "pending",
    "approval pending",
    "refunded",
    "deleted",
    "transferred",
    "not attending",
    "unpaid",
    "abandoned",
    "storniert",
    "abgelaufen",
    "ausstehend",
    "erstattet",
];

/// The attendee of a row.
pub(super) fn parse(line: u64, cells: &StringRecord, columns: &Columns) -> Result<Row, BadRow> {
    let row = Cells { line, cells, columns };
    if cells.iter().skip(columns.count()).any(|cell| !cell.is_empty()) {
        let why = format!("{} cells under {} headings: is a quote missing?", cells.len(), columns.count());
        return Err(BadRow::whole(line, why));
    }
    row.is_good()?;
    let name = row.name()?;
    let uid = row.uid()?;
    let email = row.email()?;
    let codes = row.codes()?;
    let external = row.external(&name, uid.as_ref(), &email, &codes)?;
    let ticket = [row.short(Field::Ticket)?, row.short(Field::Variation)?];
    let ticket = ticket.into_iter().filter(|part| !part.is_empty()).collect::<Vec<_>>().join(" – ");
    Ok(Row {
        line,
        external,
        uid,
        name,
        email,
        company: row.short(Field::Company)?.to_owned(),
        job: row.short(Field::Job)?.to_owned(),
        ticket,
        codes,
    })
}

struct Cells<'c> {
    line: u64,
    cells: &'c StringRecord,
    columns: &'c Columns,
}

impl<'c> Cells<'c> {
    fn all(&self, field: Field) -> impl Iterator<Item = &'c str> {
        let cells = self.cells;
        self.columns.at(field).iter().filter_map(|at| cells.get(*at)).map(plain).filter(|cell| !cell.is_empty())
    }

    /// The first of a field's columns that says something.
    fn one(&self, field: Field) -> &'c str {
        self.all(field).next().unwrap_or_default()
    }

    fn bad(&self, field: Field, why: impl Into<String>) -> BadRow {
        self.columns.bad(self.line, field, why)
    }

    fn bounded(&self, field: Field, text: &str, most: usize) -> Result<(), BadRow> {
        if text.len() > most {
            return Err(self.bad(field, format!("over {most} bytes")));
        }
        if text.chars().any(char::is_control) {
            return Err(self.bad(field, "has a line break or another control character"));
        }
        Ok(())
    }

    fn short(&self, field: Field) -> Result<&'c str, BadRow> {
        let text = self.one(field);
        self.bounded(field, text, MAX_CARD_BYTES)?;
        Ok(text)
    }

    fn is_good(&self) -> Result<(), BadRow> {
        let status = self.one(Field::Status).to_lowercase();
        if NOT_GOOD.iter().any(|word| status.starts_with(word)) {
            return Err(self.bad(Field::Status, "the ticket is not paid, or not good any more: left out"));
        }
        Ok(())
    }

    fn name(&self) -> Result<String, BadRow> {
        let whole = self.one(Field::Name);
        let parts = [self.one(Field::First), self.one(Field::Last)];
        let name = if whole.is_empty() { parts.join(" ").trim().to_owned() } else { whole.to_owned() };
        if name.is_empty() {
            return Err(self.bad(Field::Name, "no name: an add-on, or nobody has been named yet"));
        }
        self.bounded(Field::Name, &name, MAX_NAME_BYTES)?;
        Ok(name)
    }

    fn uid(&self) -> Result<Option<Uid>, BadRow> {
        let text = self.one(Field::Uid);
        if text.is_empty() {
            return Ok(None);
        }
        let uid = Uid::parse(text).ok().filter(|uid| *uid != Uid::system());
        uid.map(Some).ok_or_else(|| self.bad(Field::Uid, "not a uid: [a-z0-9][a-z0-9._-]{0,63}"))
    }

    fn email(&self) -> Result<String, BadRow> {
        let email = self.one(Field::Email);
        self.bounded(Field::Email, email, MAX_EMAIL_BYTES)?;
        let is_address = |email: &str| email.split_once('@').is_some_and(|(local, domain)| !local.is_empty() && !domain.is_empty());
        if !email.is_empty() && (!is_address(email) || email.contains(char::is_whitespace)) {
            return Err(self.bad(Field::Email, "not an e-mail address"));
        }
        Ok(email.to_owned())
    }

    fn codes(&self) -> Result<Vec<String>, BadRow> {
        let mut codes: Vec<String> = Vec::new();
        for code in self.all(Field::Badge) {
            self.bounded(Field::Badge, code, MAX_BADGE_BYTES)?;
            if is_rounded(code) {
                return Err(self.bad(Field::Badge, "a spreadsheet has rounded the number: import the export as it came"));
            }
            if !codes.iter().any(|known| known == code) {
                codes.push(code.to_owned());
            }
        }
        if codes.len() > MAX_BADGES {
            return Err(self.bad(Field::Badge, format!("over {MAX_BADGES} badges")));
        }
        Ok(codes)
    }

    /// What the ticket is known by: as the shop calls it, or else by what is least likely to change.
    fn external(&self, name: &str, uid: Option<&Uid>, email: &str, codes: &[String]) -> Result<String, BadRow> {
        let (order, id) = (self.one(Field::Order), self.one(Field::Id));
        let external = match (order, id) {
            // pretix counts in each order, Eventbrite over all.
            (order, id) if !order.is_empty() && !id.is_empty() && self.columns.format == Format::Pretix => format!("{order}-{id}"),
            (_, id) if !id.is_empty() => id.to_owned(),
            (order, _) if !order.is_empty() => format!("{order}-{}", slug(name).unwrap_or_default()),
            _ => match (uid, email, codes.first()) {
                (Some(uid), ..) => format!("uid:{uid}"),
                (_, email, _) if !email.is_empty() => format!("email:{}", email.to_lowercase()),
                (.., Some(code)) => format!("badge:{code}"),
                _ => return Err(self.bad(Field::Id, "nothing tells it from others: it has no id, e-mail address or badge")),
            },
        };
        if is_rounded(id) {
            return Err(self.bad(Field::Id, "a spreadsheet has rounded the number: import the export as it came"));
        }
        self.bounded(Field::Id, &external, MAX_EXTERNAL_BYTES)?;
        Ok(external)
    }
}

/// A cell without what is put around numbers to keep spreadsheets from rounding them: `="0123"`, `'0123`.
fn plain(cell: &str) -> &str {
    let held = cell.strip_prefix("=\"").and_then(|rest| rest.strip_suffix('"'));
    let plain = held.or_else(|| cell.strip_prefix('\'').filter(|rest| rest.bytes().all(|byte| byte.is_ascii_digit())));
    plain.unwrap_or(cell).trim()
}

/// What a spreadsheet makes of a long number: `1.23457E+17`.
fn is_rounded(text: &str) -> bool {
    let Some((digits, exponent)) = text.split_once("E+") else { return false };
    let is_number = |text: &str| !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit());
    let (whole, fraction) = digits.split_once(['.', ',']).unwrap_or((digits, "0"));
    whole.len() == 1 && is_number(whole) && is_number(fraction) && is_number(exponent)
}
