//! JSON-RPC for the clients of other edges.

use std::sync::Arc;

use hallway_broker::edges::{JsonRpc, RpcAnswer};
use hallway_broker::sending::Sending;
use hallway_broker::session::Session;

use crate::methods::{self, Caller};

struct Methods;

/// The methods of this edge, for another one.
#[must_use]
pub fn json_rpc() -> Arc<dyn JsonRpc> {
    Arc::new(Methods)
}

impl JsonRpc for Methods {
    fn call<'a>(&'a self, session: &'a Session, sending: &'a Sending, text: &'a str) -> RpcAnswer<'a> {
        Box::pin(async move {
            let caller =
                Caller { hub: &session.shard.hub, who: &session.who, via: session.via, sending, session: Some(session), is_guest: true };
            let mut out = Vec::new();
            methods::message(&caller, text, &mut out).await;
            out
        })
    }
}
