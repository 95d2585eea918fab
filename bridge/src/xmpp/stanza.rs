//! Message stanzas: what clients say, and what they are told. Pure functions between XML and the hub's model: no IO, no clock, no look-ups.
//!
//! In reading order:
//!
//! 1. the way in: [`incoming`] ([`read_message`] gives what is [`Said`]), of the extensions that [`payloads`] finds, without the
//!    [`fallback`] text, and with each [`mention`];
//! 2. the way out: [`outgoing`] ([`Stanzas`] writes events), its [`content`] with a [`quote`], what a [`room`] says by itself, and what
//!    [`wrap`]s messages for archives and carbons;
//! 3. the way back: [`error`], for what is refused;
//! 4. beneath all: [`ns`], the namespaces.
//!
//! What names a message is not the same everywhere: a correction names the id that its sender gave it, everything else in a room the room's
//! stanza-id, everything else between two people the sender's id ([`IdKind`]). The public id of an event is its stanza-id, its id in
//! archives, and the stanza's own id when its sender gave none.

pub mod content;
pub mod error;
pub mod fallback;
pub mod incoming;
pub mod mention;
pub mod ns;
pub mod outgoing;
pub mod payloads;
pub mod quote;
pub mod room;
pub mod state;
pub mod wrap;

#[cfg(test)]
mod tests;

pub use error::{Condition, Returned, StanzaError, write_error};
pub use incoming::{BadMessage, Draft, IdKind, Incoming, MessageType, Said, Target, read_message, read_moderation};
pub use mention::Mention;
pub use outgoing::{
    Ends, Occupant, Original, Outgoing, Retraction, Stanzas, TO_AT, message_id, write_addressed, write_chat_read, write_chat_state,
};
pub use room::Invitation;
pub use state::ChatState;
pub use wrap::{ArchiveResult, Carbon, write_archive_result, write_carbon};
