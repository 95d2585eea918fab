//! What can be said about push.

use clap::Subcommand;
use hallway_broker::ids::ConferenceId;

/// Commands about pushes that were given up.
#[derive(Debug, Subcommand)]
pub enum PushCommand {
    /// List them, newest first: number, user, provider, message, tries and why
    Dead {
        /// Where
        conference: ConferenceId,
    },
    /// Try them once more
    Replay {
        /// Where
        conference: ConferenceId,
        /// Their numbers [default: all]
        #[arg(value_name = "N")]
        letters: Vec<u64>,
    },
}
