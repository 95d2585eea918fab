//! The Socket.IO edge: Engine.IO 4 and 3, Socket.IO protocols 5 and 4, over WebSocket and long polling at `/socket.io/`, and
//! `POST /api/notify`. What clients find is in `SOCKETIO.md`.
//!
//! In reading order: [`engine`] and [`packet`] (the two layers of packets, without IO), [`query`] and [`sid`] (what requests say), `shapes`
//! (what events look like), [`wire`] (made once for all receivers), `arrival` (sign-in), `speaker` (what is said, whatever carries it) and
//! `deeds` (what is carried out), `polling`, `polled_task` and `pulse` (long polling), `dialect` (WebSocket, and its taking over from
//! polling), `crowd` (who is here), `notify`, `edge` (what they share).
//!
//! A session is one of the hub's, like any other edge's. Over WebSocket it is a dialect of [`crate::socket`]'s loop; over polling its link is
//! the GET that waits, and its lanes hold what none has fetched. Both carry the same bytes, so that the one can take over from the other.

pub(crate) mod arrival;
pub(crate) mod crowd;
pub(crate) mod deeds;
pub(crate) mod dialect;
pub(crate) mod edge;
pub mod engine;
pub mod exchange;
pub mod notify;
pub mod packet;
pub(crate) mod polled_task;
pub(crate) mod polling;
pub(crate) mod pulse;
pub mod query;
pub(crate) mod shapes;
pub mod sid;
pub(crate) mod speaker;
pub mod wire;

pub(crate) use deeds::how;
