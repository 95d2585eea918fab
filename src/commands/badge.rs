//! Badges, readers, attendees and leads: what is asked, and how the answers are shown.

use hallway_broker::control::{BadgeLine, ControlReply, ControlRequest, ImportLines, ReaderLine, Secret};

use super::table::Table;
use super::{CommandError, absolute, all, exchange, print};
use crate::cli::UserPath;
use crate::cli::badge::{AttendeesCommand, BadgeCommand, LeadsCommand, ReaderArgs, ReaderCommand};
use crate::config::Loaded;

pub(super) async fn badges(loaded: &Loaded, command: BadgeCommand) -> Result<(), CommandError> {
    match command {
        BadgeCommand::Add { user: UserPath { conference, uid }, code } => {
            let request = ControlRequest::BadgeAdd { conference: conference.to_string(), uid: uid.to_string(), badge: Secret(code) };
            exchange(loaded, request).await
        }
        BadgeCommand::Revoke { conference, code, undo } => {
            exchange(loaded, ControlRequest::BadgeRevoke { conference: conference.to_string(), badge: Secret(code), on: !undo }).await
        }
        BadgeCommand::List { whose } => {
            let (conference, uid) = (whose.conference.to_string(), whose.uid.map(|uid| uid.to_string()));
            let page = |after| ControlRequest::BadgeList { conference: conference.clone(), uid: uid.clone(), after };
            let mut table = Table::headed(["BADGE", "USER", "NAME", ""]);
            all(loaded, page, |reply| match reply {
                ControlReply::Badges { badges, complete } => {
                    let last = badges.last().map(|line| line.badge.clone());
                    badges.into_iter().for_each(|line| table.add(badge_cells(line)));
                    last.filter(|_| !complete)
                }
                _ => None,
            })
            .await?;
            Ok(print(&table.text())?)
        }
    }
}

fn badge_cells(line: BadgeLine) -> [String; 4] {
    let BadgeLine { badge, uid, name, revoked } = line;
    [badge.0, uid, name, if revoked { "revoked".to_owned() } else { String::new() }]
}

pub(super) async fn readers(loaded: &Loaded, command: ReaderCommand) -> Result<(), CommandError> {
    match command {
        ReaderCommand::Set(args) => exchange(loaded, set_request(args)).await,
        ReaderCommand::Remove { reader: UserPath { conference, uid } } => {
            exchange(loaded, ControlRequest::ReaderRemove { conference: conference.to_string(), uid: uid.to_string() }).await
        }
        ReaderCommand::List { conference } => {
            let page = |after| ControlRequest::ReaderList { conference: conference.to_string(), after };
            let mut table = Table::headed(["READER", "MODE", "CONVERSATION", "FORMAT", "NOW", ""]);
            all(loaded, page, |reply| match reply {
                ControlReply::Readers { readers, complete } => {
                    let last = readers.last().map(|line| line.uid.clone());
                    readers.into_iter().for_each(|line| table.add(reader_cells(line)));
                    last.filter(|_| !complete)
                }
                _ => None,
            })
            .await?;
            Ok(print(&table.text())?)
        }
    }
}

fn set_request(args: ReaderArgs) -> ControlRequest {
    let ReaderArgs { reader: UserPath { conference, uid }, mode, conversation, format, capacity, owner, text } = args;
    let owner = owner.map(|owner| owner.to_string());
    let reader = ReaderLine { uid: uid.to_string(), mode, conversation, format, capacity, owner, text, health: String::new() };
    ControlRequest::ReaderSet { conference: conference.to_string(), reader }
}

fn reader_cells(line: ReaderLine) -> [String; 6] {
    let ReaderLine { uid, mode, conversation, format, capacity, owner, text, health } = line;
    let capacity = (capacity > 0).then(|| format!("capacity {capacity}"));
    let owner = owner.map(|owner| format!("leads of {owner}"));
    let text = Some(text).filter(|text| !text.is_empty()).map(|text| format!("\"{text}\""));
    let more: Vec<String> = [capacity, owner, text].into_iter().flatten().collect();
    [uid, mode, conversation.unwrap_or_else(|| "-".to_owned()), format, health, more.join(", ")]
}

pub(super) async fn attendees(loaded: &Loaded, command: AttendeesCommand) -> Result<(), CommandError> {
    let AttendeesCommand::Import(args) = command;
    let (conference, file) = (args.conference.to_string(), absolute(&args.file)?);
    exchange(loaded, ControlRequest::AttendeesImport { conference, file, format: args.format, map: args.map, dry_run: args.dry_run }).await
}

pub(super) fn import_text(import: ImportLines) -> String {
    let ImportLines { format, rows, added, changed, unchanged, left_out, bad } = import;
    let mut text = format!("{rows} rows ({format}): {added} added, {changed} changed, {unchanged} unchanged, {left_out} left out\n");
    if bad.is_empty() {
        return text;
    }
    let shown = bad.len();
    let mut table = Table::headed(["ROW", "COLUMN", "WHY"]);
    bad.into_iter().for_each(|bad| table.add([bad.row.to_string(), bad.column.unwrap_or_else(|| "-".to_owned()), bad.why]));
    text.push('\n');
    text.push_str(&table.text());
    if shown < left_out {
        text.push_str(&format!("and {} more\n", left_out - shown));
    }
    text
}

pub(super) async fn leads(loaded: &Loaded, command: LeadsCommand) -> Result<(), CommandError> {
    let LeadsCommand::Export { owner: UserPath { conference, uid } } = command;
    let page = |after| ControlRequest::LeadsExport { conference: conference.to_string(), owner: uid.to_string(), after };
    let mut failed = Ok(());
    all(loaded, page, |reply| match reply {
        ControlReply::Table { csv, next } => {
            failed = print(&csv);
            next.filter(|_| failed.is_ok())
        }
        _ => None,
    })
    .await?;
    Ok(failed?)
}
