//! `message.*`.

use hallway_broker::command::{Action, Command, Draft, Outcome};
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, EventIds};
use hallway_broker::queue::{Answer, ReplyTo};
use hallway_broker::reject::Reason;
use hallway_broker::sending::Sending;
use hallway_broker::session::Who;
use serde_json::value::RawValue;
use tokio::sync::oneshot;

use super::{Caller, Json};
use crate::rpc::{self, Batch, Call, Fault, Id};
use crate::types::message::{DeleteParams, EditParams, ReactParams, SendParams};
use crate::types::params;
use hallway_broker::canonical;

/// What a message comes to before it goes to the queue.
pub(crate) enum Early {
    /// It was sent before: the answer that it got then.
    Answer(Answer),
    /// It is refused.
    Fault(Fault),
}

impl From<Fault> for Early {
    fn from(fault: Fault) -> Self {
        Self::Fault(fault)
    }
}

impl Early {
    /// Appends it as the answer to request `id`.
    pub(crate) fn write(self, id: &Id, conf: ConfNo, ids: &EventIds, out: &mut Vec<u8>) {
        match self {
            Self::Answer(answer) => write_answer(id, answer, conf, ids, out),
            Self::Fault(fault) => rpc::write_error(out, id, &fault),
        }
    }
}

/// Appends the hub's answer to `message.*` as the answer to request `id`.
pub(crate) fn write_answer(id: &Id, answer: Answer, conf: ConfNo, ids: &EventIds, out: &mut Vec<u8>) {
    match answer {
        Ok(Outcome::Added { conversation, seq, pos, ts_ms, .. }) => rpc::write_result_with(out, id, |out| {
            canonical::write_placed(&conversation, seq, ts_ms, &ids.encode(conf, pos), out);
        }),
        Ok(_) => rpc::write_result_with(out, id, |out| out.extend_from_slice(b"{}")),
        Err(reject) => rpc::write_error(out, id, &reject.into()),
    }
}

/// Admission of `message.send`: what is not refused here goes to the queue.
pub(crate) fn prepare(hub: &Hub, who: &Who, sending: &Sending, given: Option<&RawValue>) -> Result<Action, Early> {
    admit(hub, who, sending, params::<SendParams<'_>>(given)?.draft(hub.limits())?)
}

/// The same of a draft.
pub(crate) fn admit(hub: &Hub, who: &Who, sending: &Sending, draft: Draft) -> Result<Action, Early> {
    match sending.admit(hub, who, &draft) {
        Ok(()) => Ok(Action::Send(draft)),
        // A retry gets its old answer even when it would be refused now.
        Err(reject) => match hub.reader().earlier_answer(who.conf, &who.uid, &draft, hub.clock().now_ms()) {
            Ok(Some(answer)) => Err(Early::Answer(answer)),
            _ => Err(Early::Fault(reject.into())),
        },
    }
}

pub(super) async fn send(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let answer = match prepare(caller.hub, caller.who, caller.sending, given) {
        Ok(action) => caller.act(action).await,
        Err(Early::Answer(answer)) => answer.map_err(Fault::from),
        Err(Early::Fault(fault)) => Err(fault),
    };
    placed(caller, answer?)
}

/// Carries out messages in a row: they go to the queue as one, in their order.
pub(super) async fn run(caller: &Caller<'_>, calls: Vec<Call<'_>>, batch: &mut Batch) {
    let mut submissions = Vec::new();
    let mut answers = Vec::with_capacity(calls.len());
    for Call { id, params, .. } in calls {
        answers.push((
            id,
            prepare(caller.hub, caller.who, caller.sending, params).map(|action| {
                caller.note(&action);
                let (reply, answer) = oneshot::channel();
                let command = Command { conf: caller.who.conf, actor: caller.actor(), at_ms: 0, action };
                submissions.push(caller.hub.submission(command, ReplyTo::Caller(reply)));
                answer
            }),
        ));
    }
    if !submissions.is_empty() {
        caller.hub.queue().submit(submissions).await;
    }
    for (id, answer) in answers {
        let answer = match answer {
            Ok(answer) => Early::Answer(answer.await.unwrap_or(Err(Reason::Draining.into()))),
            Err(early) => early,
        };
        if let Some(id) = id {
            batch.add(|out| answer.write(&id, caller.who.conf, &caller.ids(), out));
        }
    }
}

fn placed(caller: &Caller<'_>, outcome: Outcome) -> Json {
    let Outcome::Added { conversation, seq, pos, ts_ms, .. } = outcome else { return Err(Reason::StoreError.into()) };
    let mut json = Vec::with_capacity(128);
    canonical::write_placed(&conversation, seq, ts_ms, &caller.ids().encode(caller.who.conf, pos), &mut json);
    Ok(json)
}

pub(super) async fn edit(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let action = params::<EditParams<'_>>(given)?.action(caller.hub.limits())?;
    caller.take_rate()?;
    placed(caller, caller.act(action).await?)
}

pub(super) async fn delete(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let action = params::<DeleteParams<'_>>(given)?.action()?;
    caller.take_rate()?;
    placed(caller, caller.act(action).await?)
}

pub(super) async fn react(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let action = params::<ReactParams<'_>>(given)?.action()?;
    caller.take_rate()?;
    placed(caller, caller.act(action).await?)
}
