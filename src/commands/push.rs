//! Pushes that were given up: what is asked, and how the answers are shown.

use hallway_broker::canonical;
use hallway_broker::control::{ControlReply, ControlRequest, LetterLine};

use super::{CommandError, Store, exchange, print};
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
    let mut store = Store::reach(loaded, &page(None)).await?;
    let mut before = None;
    let listed = loop {
        match store.ask(page(before)).await {
            Ok(ControlReply::Letters { letters, complete }) => {
                before = letters.last().map(|line| line.letter);
                print(&letters.iter().map(line).collect::<String>())?;
                if complete || before.is_none() {
                    break Ok(());
                }
            }
            Ok(_) => break Ok(()),
            Err(error) => break Err(error.into()),
        }
    };
    store.leave();
    listed
}

fn line(letter: &LetterLine) -> String {
    let LetterLine { letter, uid, provider, conversation, seq, tries, since_ms, why } = letter;
    let mut since = Vec::new();
    canonical::write_time(*since_ms, &mut since);
    let since = String::from_utf8_lossy(&since);
    format!("{letter}\t{uid}\t{provider}\t{conversation}/{seq}\t{tries} tries since {}\t{why}\n", since.trim_matches('"'))
}
