//! Pushes that were given up: what is asked, and how the answers are shown.

use hallway_broker::canonical::time_text;
use hallway_broker::control::{ControlReply, ControlRequest, LetterLine};

use super::table::Table;
use super::{CommandError, all, exchange, print};
use crate::cli::push::PushCommand;
use crate::config::Loaded;

pub(super) async fn run(loaded: &Loaded, command: PushCommand) -> Result<(), CommandError> {
    match command {
        PushCommand::Dead { conference } => list(loaded, conference.as_str()).await,
        PushCommand::Replay { conference, letters } => {
            exchange(loaded, ControlRequest::PushReplay { conference: conference.to_string(), letters }).await
        }
    }
}

async fn list(loaded: &Loaded, conference: &str) -> Result<(), CommandError> {
    let page = |before: Option<u64>| ControlRequest::PushDead { conference: conference.to_owned(), before };
    let mut table = Table::headed(["NUMBER", "USER", "PROVIDER", "MESSAGE", "TRIES", "SINCE", "WHY"]);
    all(loaded, page, |reply| match reply {
        ControlReply::Letters { letters, complete } => {
            let last = letters.last().map(|line| line.letter);
            letters.into_iter().for_each(|letter| table.add(cells(letter)));
            last.filter(|_| !complete)
        }
        _ => None,
    })
    .await?;
    Ok(print(&table.text())?)
}

fn cells(letter: LetterLine) -> [String; 7] {
    let LetterLine { letter, uid, provider, conversation, seq, tries, since_ms, why } = letter;
    [letter.to_string(), uid, provider, format!("{conversation}/{seq}"), tries.to_string(), time_text(since_ms), why]
}
