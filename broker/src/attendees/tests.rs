//! Files as shops and people make them.

use proptest::prelude::*;

use super::*;

fn read(file: &str) -> Sheet {
    Sheet::read(file.as_bytes(), None, &[]).expect("a sheet")
}

fn refused(file: &[u8]) -> String {
    Sheet::read(file, None, &[]).expect_err("no sheet").to_string()
}

/// Each bad row as `line column: why`.
fn complaints(sheet: &Sheet) -> Vec<String> {
    sheet.bad.iter().map(|bad| format!("{} {}: {}", bad.row, bad.column.as_deref().unwrap_or("-"), bad.why)).collect()
}

const PRETIX: &str = "\
Event slug,Order code,Position ID,Status,Email,Phone number,Order date,Order time,Product,Variation,Price,Tax rate,Tax rule,Tax value,Attendee name,Attendee name: Given name,Attendee name: Family name,Attendee email,Company,Address,ZIP code,City,Country,State,Voucher,Pseudonymization ID,Ticket secret,Seat ID,Job title,Company,Invoice address name
rustconf,ABCDE,1,Paid,buyer@example.org,,2026-10-01,12:00:00,Conference,Early bird,199.00,19.00,,31.76,Ada Lovelace,Ada,Lovelace,ada@example.org,Analytical Engines,,,,GB,,,QWERTZ1234,hjkmnp23456789abcdefgh,,Countess,Byron & Co,Annabella
rustconf,ABCDE,2,Paid,buyer@example.org,,2026-10-01,12:00:00,Conference,,199.00,19.00,,31.76,\"Hopper, Grace\",,,,,,,,US,,,ASDFGH5678,zzkmnp23456789abcdefgh,,,Byron & Co,Annabella
rustconf,ABCDE,3,Paid,buyer@example.org,,2026-10-01,12:00:00,T-shirt,,25.00,19.00,,3.99,,,,,,,,,,,,POIUZT9999,ttkmnp23456789abcdefgh,,,Byron & Co,Annabella
rustconf,FGHIJ,1,Canceled,x@example.org,,2026-10-02,12:00:00,Conference,,199.00,19.00,,31.76,Mallory,,,,,,,,,,,MNBVCX0000,mmkmnp23456789abcdefgh,,,,
";

#[test]
fn pretix_order_positions() {
    let sheet = read(PRETIX);
    assert_eq!((sheet.format, sheet.read, sheet.rows.len()), (Format::Pretix, 4, 2));
    let ada = &sheet.rows[0];
    assert_eq!((ada.external.as_str(), ada.name.as_str(), ada.email.as_str()), ("ABCDE-1", "Ada Lovelace", "ada@example.org"));
    assert_eq!(
        (ada.company.as_str(), ada.job.as_str(), ada.ticket.as_str()),
        ("Analytical Engines", "Countess", "Conference – Early bird")
    );
    assert_eq!(ada.codes, ["hjkmnp23456789abcdefgh", "QWERTZ1234"]);
    let grace = &sheet.rows[1];
    assert_eq!((grace.name.as_str(), grace.email.as_str(), grace.company.as_str()), ("Hopper, Grace", "buyer@example.org", "Byron & Co"));
    let expected = [
        "4 Attendee name: no name: an add-on, or nobody has been named yet",
        "5 Status: the ticket is not paid, or not good any more: left out",
    ];
    assert_eq!(complaints(&sheet), expected);
}

const GERMAN_PRETIX: &str = "\
Kurzname der Veranstaltung;Bestellnummer;Position;Status;E-Mail;Telefonnummer;Bestelldatum;Bestelluhrzeit;Produkt;Variante;Preis;Steuersatz;Steuerregel;Steuer;Name Teilnehmer*in;Name Teilnehmer*in: Vorname;Name Teilnehmer*in: Nachname;E-Mail Teilnehmer*in;Firma;Adresse;Postleitzahl;Ort;Land;Bundesstaat;Gutschein;Pseudonyme ID;Sitzplatz-ID;Firma;Rechnungsadresse: Name
rustconf;ABCDE;1;bezahlt;kauf@example.org;;2026-10-01;12:00:00;Konferenz;Frühbucher;199,00;19,00;;31,76;Ada Lovelace;Ada;Lovelace;ada@example.org;Analytical Engines;;;;GB;;;QWERTZ1234;;;Annabella
rustconf;ABCDE;2;bezahlt;kauf@example.org;;2026-10-01;12:00:00;Konferenz;;199,00;19,00;;31,76;Grace Hopper;;;;;;;;US;;;ASDFGH5678;;Byron & Co;Annabella
rustconf;FGHIJ;1;storniert;x@example.org;;2026-10-02;12:00:00;Konferenz;;199,00;19,00;;31,76;Mallory;;;;;;;;;;;MNBVCX0000;;;
rustconf;KLMNO;1;ausstehend;x@example.org;;2026-10-02;12:00:00;Konferenz;;199,00;19,00;;31,76;Eve;;;;;;;;;;;MNBVCX0001;;;
rustconf;PQRST;1;abgelaufen;x@example.org;;2026-10-02;12:00:00;Konferenz;;199,00;19,00;;31,76;Trudy;;;;;;;;;;;MNBVCX0002;;;
";

#[test]
fn pretix_in_german() {
    let sheet = read(GERMAN_PRETIX);
    assert_eq!((sheet.format, sheet.read), (Format::Pretix, 5));
    let told: Vec<_> = sheet
        .rows
        .iter()
        .map(|row| [&row.external, &row.name, &row.email, &row.company, &row.job, &row.ticket].map(String::as_str))
        .collect();
    let expected = [
        ["ABCDE-1", "Ada Lovelace", "ada@example.org", "Analytical Engines", "", "Konferenz – Frühbucher"],
        ["ABCDE-2", "Grace Hopper", "kauf@example.org", "Byron & Co", "", "Konferenz"],
    ];
    assert_eq!(told, expected);
    assert_eq!(sheet.rows[0].codes, ["QWERTZ1234"]);
    let why = "the ticket is not paid, or not good any more: left out";
    assert_eq!(complaints(&sheet), [4, 5, 6].map(|row| format!("{row} Status: {why}")));
    // Other lists have such columns, too.
    let sheet = read("Name,E-Mail-Adresse,Bestellnummer,Position,Unternehmen\nAda,a@b.c,7,Engineer,Engines\n");
    let ada = &sheet.rows[0];
    assert_eq!((sheet.format, ada.job.as_str(), ada.company.as_str()), (Format::Generic, "Engineer", "Engines"));
}

#[test]
fn pretix_check_in_lists_have_no_number_in_the_order() {
    let sheet = read(
        "Order code;Attendee name;Product;Price;Checked in;Secret;E-mail;Company\nABCDE;Ada Lovelace;Conference;199;;abc;ada@example.org;\nABCDE;Zoë Ångström;Conference;199;;def;;\n",
    );
    assert_eq!(sheet.format, Format::Pretix);
    let told: Vec<_> = sheet.rows.iter().map(|row| (row.external.as_str(), row.codes[0].as_str())).collect();
    assert_eq!(told, [("ABCDE-ada-lovelace", "abc"), ("ABCDE-zoe-angstrom", "def")]);
}

#[test]
fn eventbrite_attendee_reports() {
    let american = "Order #,Order Date,First Name,Last Name,Email,Quantity,Price Tier,Ticket Type,Attendee #,Group,Order Type,Attendee Status,Barcode #,Job Title,Company\n1234567,2026-10-01,Ada,Lovelace,ada@example.org,1,,General Admission,88001,,Free Order,Attending,123456788001001,Countess,Engines\n1234567,2026-10-01,Grace,Hopper,grace@example.org,1,,General Admission,88002,,Free Order,Not Attending,123456788002001,,\n";
    let sheet = read(american);
    assert_eq!((sheet.format, sheet.rows.len()), (Format::Eventbrite, 1));
    let ada = &sheet.rows[0];
    assert_eq!((ada.external.as_str(), ada.name.as_str(), ada.codes[0].as_str()), ("88001", "Ada Lovelace", "123456788001001"));
    assert_eq!((ada.ticket.as_str(), ada.job.as_str(), ada.company.as_str()), ("General Admission", "Countess", "Engines"));
    assert_eq!(complaints(&sheet), ["3 Attendee Status: the ticket is not paid, or not good any more: left out"]);

    let british = "Event Name,Event ID,Order no.,Order Date,Prefix,First Name,Surname,Email,Quantity,Ticket Type,Attendee no.,Barcode no.\nConf,1,77,2026,,Ada,Lovelace,a@b.c,1,Day,5,=\"0077\"\n";
    let sheet = read(british);
    assert_eq!((sheet.format, sheet.rows[0].external.as_str(), sheet.rows[0].codes[0].as_str()), (Format::Eventbrite, "5", "0077"));

    let newer = "Order ID,Order date,Attendee status,Name,Email,Ticket quantity,Ticket type,Barcode number\n9,2026,Attending,Ada Lovelace,a@b.c,1,Day,123\n";
    let sheet = read(newer);
    assert_eq!((sheet.format, sheet.rows[0].external.as_str(), sheet.rows[0].name.as_str()), (Format::Eventbrite, "123", "Ada Lovelace"));
}

#[test]
fn lists_that_people_make() {
    let sheet = read("Name;E-Mail;Firma;Badge\nAda Lovelace;Ada@Example.org;Engines;04:A1:B2:C3\n\n;;;\nGrace Hopper;;Navy;04D1\n");
    assert_eq!((sheet.format, sheet.read), (Format::Generic, 2));
    let told: Vec<_> = sheet.rows.iter().map(|row| (row.line, row.external.as_str(), row.company.as_str())).collect();
    assert_eq!(told, [(2, "email:ada@example.org", "Engines"), (5, "badge:04D1", "Navy")]);

    let sheet = read("\u{feff}\"uid\"\t\"name\"\r\n\"ada\"\t\"Ada \"\"the first\"\" Lovelace\"\r\nAda\tx\r\nsystem\tx\r\n");
    assert_eq!((sheet.rows[0].uid.as_ref().map(Uid::as_str), sheet.rows[0].name.as_str()), (Some("ada"), "Ada \"the first\" Lovelace"));
    assert_eq!(complaints(&sheet), ["3 uid: not a uid: [a-z0-9][a-z0-9._-]{0,63}", "4 uid: not a uid: [a-z0-9][a-z0-9._-]{0,63}"]);

    let sheet = read("sep=;\nname;id\nAda;1\n");
    assert_eq!((sheet.rows[0].line, sheet.rows[0].external.as_str()), (3, "1"));
}

#[test]
fn what_columns_mean_can_be_said() {
    let file = "Wer,Woher,Nummer,Chip,Karte\nAda,Engines,1,04a1,04b2\n";
    let map = |pairs: &[(&str, &str)]| {
        pairs.iter().map(|(field, column)| (Field::from_word(field).unwrap(), (*column).to_owned())).collect::<Vec<_>>()
    };
    let sheet = Sheet::read(
        file.as_bytes(),
        None,
        &map(&[("name", "wer"), ("company", "Woher"), ("id", "Nummer"), ("badge", "Chip"), ("badge", "Karte")]),
    )
    .unwrap();
    let ada = &sheet.rows[0];
    assert_eq!((ada.name.as_str(), ada.company.as_str(), ada.external.as_str()), ("Ada", "Engines", "1"));
    assert_eq!(ada.codes, ["04a1", "04b2"]);
    let refused = |pairs| Sheet::read(file.as_bytes(), None, &map(pairs)).unwrap_err().to_string();
    assert_eq!(refused(&[("name", "Who")]), "there is no column 'Who'; the columns are: Wer, Woher, Nummer, Chip, Karte");
    assert_eq!(
        refused(&[]),
        "no column for name is recognised: say which with name=Column; the columns are: Wer, Woher, Nummer, Chip, Karte"
    );
    assert_eq!(
        refused(&[("name", "Wer")]),
        "no column for id is recognised: say which with id=Column; the columns are: Wer, Woher, Nummer, Chip, Karte"
    );
}

#[test]
fn every_bad_row_is_told_with_its_column() {
    let long = "x".repeat(300);
    let file = format!(
        "id,name,email,company,badge\n1,Ada,ada@example.org,,a1\n1,Grace,,,\n2,,,,\n3,Grace,grace,,\n4,Grace,,{long},\n5,Grace,,,a1\n6,Grace,,,1.23457E+17\n7,\"Gra\nce\",,,\n9,Grace,,,,,over\n10,Grace,,,\n"
    );
    let sheet = read(&file);
    let expected = [
        "3 id: the same ticket as in row 2",
        "4 name: no name: an add-on, or nobody has been named yet",
        "5 email: not an e-mail address",
        "6 company: over 256 bytes",
        "7 badge: the same badge as in row 2",
        "8 badge: a spreadsheet has rounded the number: import the export as it came",
        "9 name: has a line break or another control character",
        "11 -: 7 cells under 5 headings: is a quote missing?",
    ];
    assert_eq!(complaints(&sheet), expected);
    let good: Vec<u64> = sheet.rows.iter().map(|row| row.line).collect();
    assert_eq!((good, sheet.read), (vec![2, 12], 10));
    assert!(!format!("{:?}", sheet.rows).contains("Ada"), "people are not logged");
}

#[test]
fn one_badge_in_other_writings_is_the_same_badge() {
    let sheet = read("id,name,badge\n1,Ada,04A1B2C3\n2,Grace,04:a1:b2:c3\n3,Alan,77705923\n4,Kurt,C3B2A104\n");
    assert_eq!(complaints(&sheet), ["3 badge: the same badge as in row 2", "4 badge: the same badge as in row 2"]);
}

#[test]
fn what_is_no_table_is_told_so() {
    assert_eq!(refused(b""), "the file is empty");
    assert_eq!(refused(b"\n\n  \n"), "the file is empty");
    let latin1 = refused(b"name,id\nAda,1\nZo\xeb,2\n");
    assert!(latin1.starts_with("line 3 is not UTF-8: it may be Latin-1"), "{latin1}");
    assert_eq!(refused(b"\xff\xfen\0a\0"), "the file is UTF-16: save it as CSV with UTF-8");
    assert_eq!(refused(b"name,id\nAda,1\n\"Grace,2\nAlan,3\n"), "a quote that opens on line 3 is never closed");
    let rows = "x,1\n".repeat(MAX_ROWS + 1);
    assert_eq!(refused(format!("name,email\n{rows}").as_bytes()), "the file has over 50000 rows: split it");
    assert_eq!(refused(",a".repeat(MAX_COLUMNS).as_bytes()), "the file has 501 columns, over 500: leave some out of the export");
    assert!(refused(&vec![b'x'; MAX_SHEET_BYTES + 1]).starts_with("the file has 16777217 bytes"));
}

proptest! {
    #[test]
    fn any_file_is_read_or_refused(file in prop::collection::vec(prop_oneof![Just(b','), Just(b';'), Just(b'"'), Just(b'\n'), Just(b'\r'), any::<u8>()], 0..400)) {
        let _ = Sheet::read(&file, None, &[]);
        let mut headed = b"name,id,badge\n".to_vec();
        headed.extend(&file);
        if let Ok(sheet) = Sheet::read(&headed, None, &[]) {
            prop_assert_eq!(sheet.read, sheet.rows.len() + sheet.bad.len());
            prop_assert!(sheet.rows.iter().all(|row| !row.name.is_empty() && !row.external.is_empty()));
        }
    }

    #[test]
    fn what_is_written_comes_back(rows in prop::collection::vec(("[^\\pC\\s\"'=][^\\pC]{0,30}", "[a-z0-9]{1,8}"), 1..20), delimiter in prop_oneof![Just(b','), Just(b';'), Just(b'\t')]) {
        let mut writer = csv::WriterBuilder::new().delimiter(delimiter).from_writer(Vec::new());
        writer.write_record(["Name", "id"]).unwrap();
        for (at, (name, id)) in rows.iter().enumerate() {
            writer.write_record([name.as_str(), &format!("{id}-{at}")]).unwrap();
        }
        let sheet = Sheet::read(&writer.into_inner().unwrap(), None, &[]).unwrap();
        prop_assert_eq!(complaints(&sheet), Vec::<String>::new());
        for (row, (at, (name, id))) in sheet.rows.iter().zip(rows.iter().enumerate()) {
            prop_assert_eq!(&row.name, name.trim());
            prop_assert_eq!(&row.external, &format!("{id}-{at}"));
        }
    }
}
