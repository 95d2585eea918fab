//! The hub: one order, one history and one read state for the conversations of a conference, whatever protocol people speak.
//!
//! In reading order:
//!
//! 1. the words: [`ids`], [`model`], [`command`] (what can be asked), [`reject`] (why it is refused), [`limits`], [`policy`];
//! 2. the way in, which is the spine: [`admit`], [`queue`], [`commit`], [`apply`] over a [`view`] of the [`state`] behind the [`log`];
//! 3. the way out: [`backbone`], [`dispatch`], [`recent`], [`registry`] (who follows what), [`outbox`], [`topic`], [`tree`], [`shares`];
//! 4. what runs it: [`hub`] (threads), [`shard`] and its [`mailbox`], [`session`] (what an edge holds), [`sending`], [`rates`], [`sessions`], [`reader`] (queries),
//!    [`allowances`] (who may say what on applications' topics), [`gatherings`] (who is at a topic), [`badges`] (the way of a scan), [`push`] (who is away
//!    still learns of it);
//! 5. what edges share: [`edges`], [`peers`], [`accept`], [`transport`], [`bell`] (what wakes a connection's task), [`canonical`] (what events look like in
//!    JSON), [`frame`] (WebSocket's framing without IO);
//! 6. around it: [`accounts`], [`attendees`] (what a ticket shop knows of people), [`files`], [`backup`], [`control`], [`metrics`], [`clock`], [`keys`] (where each record is),
//!    [`generations`], [`outward`] (requests to other servers), [`signature`] (how they are signed).
//!
//! The MQTT edge is [`mqtt`], over the certificates of [`tls`].
//!
//! The hub never sees JSON, packets or stanzas, and an edge never touches the store.

pub mod accept;
pub mod accounts;
pub mod admit;
pub mod allowances;
pub mod apply;
pub mod attendees;
pub mod backbone;
pub mod backup;
pub mod badges;
pub mod bell;
pub mod canonical;
pub mod clock;
pub mod command;
pub mod commit;
pub mod control;
pub mod dispatch;
pub mod edges;
pub mod files;
pub mod frame;
pub mod gatherings;
pub mod generations;
pub mod hub;
pub mod ids;
pub mod keys;
pub mod limits;
pub mod log;
pub mod mailbox;
pub mod metrics;
pub mod model;
pub mod mqtt;
pub mod outbox;
pub mod outward;
pub mod peers;
pub mod policy;
pub mod push;
pub mod queue;
pub mod rates;
pub mod reader;
pub mod recent;
pub mod registry;
pub mod reject;
pub mod sending;
pub mod session;
pub mod sessions;
pub mod shard;
pub mod shares;
pub mod signature;
pub mod state;
pub mod tls;
pub mod topic;
pub mod transport;
pub mod tree;
pub mod view;
