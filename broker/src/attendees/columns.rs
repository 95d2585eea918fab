//! Which columns mean what: pretix's order positions and check-in lists, Eventbrite's attendee reports, and lists that people make themselves.

use csv::StringRecord;
use unicode_normalization::UnicodeNormalization;

use super::{BadRow, SheetError};

/// Whose export a file is.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Format {
    /// pretix's "Order data" (the order positions) or "Check-in list", in English or German.
    Pretix,
    /// Eventbrite's attendee report, in English.
    Eventbrite,
    /// Any other list.
    Generic,
}

impl Format {
    /// The word in requests and results.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Pretix => "pretix",
            Self::Eventbrite => "eventbrite",
            Self::Generic => "generic",
        }
    }

    /// The format named by `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::Pretix, Self::Eventbrite, Self::Generic].into_iter().find(|format| format.word() == word)
    }
}

/// What a column means.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Field {
    /// The account's uid.
    Uid,
    /// The whole name.
    Name,
    /// The given name, where there is no whole one.
    First,
    /// The family name, where there is no whole one.
    Last,
    /// E-mail.
    Email,
    /// Company.
    Company,
    /// Job.
    Job,
    /// Kind of ticket.
    Ticket,
    /// What stands behind the kind of ticket.
    Variation,
    /// What tells the ticket from others.
    Id,
    /// The order, which with [`Self::Id`], or with the name, tells the ticket from others.
    Order,
    /// A code that is printed on the badge.
    Badge,
    /// Whether the ticket is good.
    Status,
}

impl Field {
    /// Those that a mapping can name.
    pub const ALL: [Self; 13] = [
        Self::Uid,
        Self::Name,
        Self::First,
        Self::Last,
        Self::Email,
        Self::Company,
        Self::Job,
        Self::Ticket,
        Self::Variation,
        Self::Id,
        Self::Order,
        Self::Badge,
        Self::Status,
    ];

    /// The word in mappings.
    #[must_use]
    pub fn word(self) -> &'static str {
        match self {
            Self::Uid => "uid",
            Self::Name => "name",
            Self::First => "first",
            Self::Last => "last",
            Self::Email => "email",
            Self::Company => "company",
            Self::Job => "job",
            Self::Ticket => "ticket",
            Self::Variation => "variation",
            Self::Id => "id",
            Self::Order => "order",
            Self::Badge => "badge",
            Self::Status => "status",
        }
    }

    /// The field named by `word`.
    #[must_use]
    pub fn from_word(word: &str) -> Option<Self> {
        Self::ALL.into_iter().find(|field| field.word() == word)
    }

    /// The headings that mean it, likeliest first, in lower case.
    fn headings(self, format: Format, is_german: bool) -> &'static [&'static str] {
        match format {
            Format::Pretix if is_german => self.of_german_pretix(),
            Format::Pretix => self.of_pretix(),
            Format::Eventbrite => self.of_eventbrite(),
            Format::Generic => self.of_others(),
        }
    }

    fn of_pretix(self) -> &'static [&'static str] {
        match self {
            Self::Name => &["attendee name"],
            Self::First => &["attendee name: given name"],
            Self::Last => &["attendee name: family name"],
            Self::Email => &["attendee email", "email", "e-mail"],
            Self::Company => &["company"],
            Self::Job => &["job title", "job", "position", "role"],
            Self::Ticket => &["product"],
            Self::Variation => &["variation"],
            Self::Id => &["position id"],
            Self::Order => &["order code"],
            // Tickets have the secret on them, badges may have the other.
            Self::Badge => &["ticket secret", "secret", "pseudonymization id"],
            Self::Status => &["status"],
            Self::Uid => &[],
        }
    }

    /// What is a position in the order here may be somebody's job in an English list: so the languages are apart.
    fn of_german_pretix(self) -> &'static [&'static str] {
        match self {
            Self::Name => &["name teilnehmer*in", "teilnehmername", "attendee name"],
            Self::First => &["name teilnehmer*in: vorname", "teilnehmername: vorname"],
            Self::Last => &["name teilnehmer*in: nachname", "teilnehmername: nachname"],
            Self::Email => &["e-mail teilnehmer*in", "teilnehmer-e-mail", "e-mail"],
            Self::Company => &["firma"],
            Self::Job => &["berufsbezeichnung", "beruf", "funktion", "job title", "job"],
            Self::Ticket => &["produkt"],
            Self::Variation => &["variante"],
            Self::Id => &["position", "positions-id"],
            Self::Order => &["bestellnummer"],
            Self::Badge => &["ticket-secret", "ticket secret", "ticketcode", "ticket-code", "secret", "geheimer code", "pseudonyme id"],
            Self::Status => &["status"],
            Self::Uid => &[],
        }
    }

    fn of_eventbrite(self) -> &'static [&'static str] {
        match self {
            Self::Name => &["name", "attendee name"],
            Self::First => &["first name", "attendee first name"],
            Self::Last => &["last name", "surname", "attendee last name", "attendee surname"],
            Self::Email => &["email", "email address", "attendee email"],
            Self::Company => &["company", "organisation", "organization"],
            Self::Job => &["job title", "job"],
            Self::Ticket => &["ticket type"],
            Self::Id => &["attendee #", "attendee no.", "attendee id", "barcode #", "barcode no.", "barcode number", "barcode"],
            Self::Order => &["order #", "order no.", "order id"],
            Self::Badge => &["barcode #", "barcode no.", "barcode number", "barcode"],
            Self::Status => &["attendee status"],
            Self::Uid | Self::Variation => &[],
        }
    }

    fn of_others(self) -> &'static [&'static str] {
        match self {
            // What other systems call a user is another account.
            Self::Uid => &["uid"],
            Self::Name => &["name", "full name", "attendee name", "attendee", "display name", "teilnehmer", "teilnehmername"],
            Self::First => &["first name", "firstname", "given name", "vorname"],
            Self::Last => &["last name", "lastname", "surname", "family name", "nachname"],
            Self::Email => &["email", "e-mail", "email address", "e-mail address", "mail", "attendee email", "e-mail-adresse"],
            Self::Company => &["company", "organisation", "organization", "affiliation", "institution", "firma", "unternehmen"],
            Self::Job => &["job title", "job", "role", "position", "funktion"],
            Self::Ticket => &["ticket type", "ticket", "category", "kategorie", "type", "ticketart"],
            Self::Id => &["id", "external id", "ticket id", "ticket number", "registration id", "registration number", "order number"],
            Self::Badge => &["badge", "badge code", "badge id", "code", "barcode", "qr", "qr code", "secret", "rfid", "nfc"],
            Self::Status => &["status"],
            Self::Variation | Self::Order => &[],
        }
    }
}

/// The columns of each field, likeliest first.
pub(super) struct Columns {
    pub(super) format: Format,
    heading: StringRecord,
    by_field: Vec<(Field, Vec<usize>)>,
}

impl Columns {
    /// What the heading says, and what was said besides.
    pub(super) fn of(heading: &StringRecord, format: Option<Format>, map: &[(Field, String)]) -> Result<Self, SheetError> {
        let folded: Vec<String> = heading.iter().map(fold).collect();
        let format = format.unwrap_or_else(|| recognised(&folded));
        let is_german = is_german_pretix(&folded);
        let mut columns = Self { format, heading: heading.clone(), by_field: Vec::new() };
        for field in Field::ALL {
            let mapped = map.iter().filter(|(mapped, _)| *mapped == field).map(|(_, column)| columns.named(&folded, column));
            let mut found = mapped.collect::<Result<Vec<usize>, _>>()?;
            if found.is_empty() {
                let known =
                    |heading: &&str| folded.iter().enumerate().filter(|(_, name)| name == heading).map(|(at, _)| at).collect::<Vec<_>>();
                found = field.headings(format, is_german).iter().flat_map(known).collect();
            }
            columns.by_field.push((field, found));
        }
        let has = |field| !columns.at(field).is_empty();
        if ![Field::Name, Field::First, Field::Last].into_iter().any(has) {
            return Err(SheetError::NotRecognised { field: "name", known: columns.known() });
        }
        if ![Field::Id, Field::Order, Field::Uid, Field::Email, Field::Badge].into_iter().any(has) {
            return Err(SheetError::NotRecognised { field: "id", known: columns.known() });
        }
        Ok(columns)
    }

    fn named(&self, folded: &[String], column: &str) -> Result<usize, SheetError> {
        let wanted = fold(column);
        let found = folded.iter().position(|name| *name == wanted);
        found.ok_or_else(|| SheetError::NoColumn { column: column.to_owned(), known: self.known() })
    }

    fn known(&self) -> String {
        self.heading.iter().collect::<Vec<_>>().join(", ")
    }

    /// Where a field is.
    pub(super) fn at(&self, field: Field) -> &[usize] {
        self.by_field.iter().find(|(known, _)| *known == field).map_or(&[], |(_, at)| at)
    }

    /// A complaint about a field's column.
    pub(super) fn bad(&self, line: u64, field: Field, why: impl Into<String>) -> BadRow {
        let column = self.at(field).first().and_then(|at| self.heading.get(*at));
        BadRow { row: line, column: Some(column.unwrap_or(field.word()).to_owned()), why: why.into() }
    }

    /// How many cells a row has at most.
    pub(super) fn count(&self) -> usize {
        self.heading.len()
    }
}

/// Whose heading it is.
fn recognised(folded: &[String]) -> Format {
    let has = |names: &[&str]| has_one_of(folded, names);
    if is_german_pretix(folded) || has(Field::Order.of_pretix()) && (has(Field::Name.of_pretix()) || has(Field::Id.of_pretix())) {
        Format::Pretix
    } else if has(Field::Order.of_eventbrite()) && has(Field::Ticket.of_eventbrite()) || has(&["attendee #", "attendee no."]) {
        Format::Eventbrite
    } else {
        Format::Generic
    }
}

fn has_one_of(folded: &[String], names: &[&str]) -> bool {
    folded.iter().any(|name| names.contains(&name.as_str()))
}

fn is_german_pretix(folded: &[String]) -> bool {
    has_one_of(folded, Field::Order.of_german_pretix()) && has_one_of(folded, Field::Name.of_german_pretix())
}

/// A heading without what people write differently.
fn fold(heading: &str) -> String {
    let lower: String = heading.nfkc().flat_map(char::to_lowercase).collect();
    lower.split_whitespace().collect::<Vec<_>>().join(" ")
}
