//! What can be said about badges, readers, attendees and leads.

use std::path::PathBuf;

use clap::{Args, Subcommand};
use hallway_broker::ids::{ConferenceId, Uid};

use super::{UserPath, as_text};

/// `<conference>` or `<conference>/<uid>`.
#[derive(Debug, Clone)]
pub struct Whose {
    /// Where.
    pub conference: ConferenceId,
    /// Whose; everybody's when it is not said.
    pub uid: Option<Uid>,
}

impl std::str::FromStr for Whose {
    type Err = String;

    fn from_str(text: &str) -> Result<Self, String> {
        match text.split_once('/') {
            Some(_) => text.parse().map(|UserPath { conference, uid }| Self { conference, uid: Some(uid) }),
            None => Ok(Self { conference: text.parse().map_err(as_text)?, uid: None }),
        }
    }
}

/// Commands about badges.
#[derive(Debug, Subcommand)]
pub enum BadgeCommand {
    /// Give somebody a badge
    Add {
        /// Where and who
        #[arg(value_name = "CONFERENCE/UID")]
        user: UserPath,
        /// A chip's number in any writing, or what is printed on it
        code: String,
    },
    /// List badges: code, whose, name, and whether it is revoked
    List {
        /// All badges of a conference, or one user's
        #[arg(value_name = "CONFERENCE[/UID]")]
        whose: Whose,
    },
    /// Make a badge worth nothing
    Revoke {
        /// Where
        conference: ConferenceId,
        /// Its code in any writing
        code: String,
        /// Make it good again
        #[arg(long)]
        undo: bool,
    },
}

/// Commands about readers.
#[derive(Debug, Subcommand)]
pub enum ReaderCommand {
    /// Say what a reader scans for
    Set(ReaderArgs),
    /// List readers: uid, mode, conversation, format, how they are and the rest
    List { conference: ConferenceId },
    /// Forget what a reader scans for
    Remove {
        /// Where and which
        #[arg(value_name = "CONFERENCE/UID")]
        reader: UserPath,
    },
}

/// What a reader is to be.
#[derive(Debug, Args)]
pub struct ReaderArgs {
    /// Where and which: a device, or somebody with a handheld
    #[arg(value_name = "CONFERENCE/UID")]
    pub reader: UserPath,
    /// What its scans do
    #[arg(long, value_parser = ["checkin", "session", "meet", "lead", "announce"])]
    pub mode: String,
    /// The session's channel, or where it announces
    #[arg(long, value_name = "CONVERSATION")]
    pub conversation: Option<String>,
    /// How its payloads are read: auto, a format's name as tasmota or impinj, or a template as '{"code": "/uid"}'
    #[arg(long, default_value = "auto")]
    pub format: String,
    /// With --mode session: how many people the session takes [default: any number]
    #[arg(long, value_name = "N", default_value_t = 0, hide_default_value = true, allow_negative_numbers = true)]
    pub capacity: u32,
    /// Whose the leads are [default: the reader's own]
    #[arg(long, value_name = "UID")]
    pub owner: Option<Uid>,
    /// What is announced, with {name}
    #[arg(long, default_value = "", hide_default_value = true)]
    pub text: String,
}

/// Commands about attendees.
#[derive(Debug, Subcommand)]
pub enum AttendeesCommand {
    /// Bring attendees in from a ticket shop's export (CSV): pretix, Eventbrite, or any list
    Import(ImportArgs),
}

/// An import.
#[derive(Debug, Args)]
pub struct ImportArgs {
    /// Where to
    pub conference: ConferenceId,
    /// The export
    pub file: PathBuf,
    /// Whose export it is
    #[arg(long, default_value = "auto", value_parser = ["auto", "pretix", "eventbrite", "generic"])]
    pub format: String,
    /// What a column means: uid, name, first, last, email, company, job, ticket, variation, id, order, badge or status
    #[arg(long, value_name = "FIELD=COLUMN", value_parser = mapped)]
    pub map: Vec<(String, String)>,
    /// Only say what would be done
    #[arg(long)]
    pub dry_run: bool,
}

fn mapped(text: &str) -> Result<(String, String), String> {
    let (field, column) = text.split_once('=').ok_or("not FIELD=COLUMN, as name=Teilnehmer")?;
    Ok((field.to_owned(), column.to_owned()))
}

/// Commands about leads.
#[derive(Debug, Subcommand)]
pub enum LeadsCommand {
    /// Write an exhibitor's leads to stdout, as CSV
    Export {
        /// Where and whose
        #[arg(value_name = "CONFERENCE/OWNER")]
        owner: UserPath,
    },
}
