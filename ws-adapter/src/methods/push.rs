//! `push.*` and `conversation.notify`.

use hallway_broker::command::{Action, Outcome};
use hallway_broker::limits::MAX_STEP;
use hallway_broker::model::{Provider, PushRow, Standing};
use hallway_broker::reject::{Reason, Reject};
use hallway_broker::session::blocking;
use serde_json::value::RawValue;

use super::{Caller, Json, json};
use crate::rpc::Fault;
use crate::types::push::{
    DeadParams, Letter, Letters, Notify, NotifyParams, PushKeys, RegisterParams, Registered, ReplayParams, Replayed, Settings,
    SettingsParams, TargetRow, Targets, UnregisterParams, target_word,
};
use crate::types::{DEFAULT_PAGE, Empty, Time, conversation_id, page_limit, params};

pub(super) async fn register(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let target = params::<RegisterParams>(given)?.target()?;
    caller.hub.gateway(target.provider).ok_or(Reason::NoGateway)?.check(&target)?;
    caller.take_rate()?;
    let registered = Registered { target: target_word(&target.id(&caller.who.uid)), provider: target.provider.word() };
    caller.act(Action::RegisterTarget { target: Box::new(target) }).await?;
    json(&registered)
}

pub(super) async fn unregister(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: UnregisterParams = params(given)?;
    let is_meant = wanted.names()?;
    caller.take_rate()?;
    let (reader, conf, uid) = (caller.hub.reader().clone(), caller.who.conf, caller.who.uid.clone());
    let targets = blocking(move || Ok(reader.targets(conf, &uid)?)).await?;
    let (target, _) = targets.into_iter().find(|(id, target)| is_meant(id, target)).ok_or(Reason::UnknownTarget)?;
    caller.act(Action::ForgetTarget { uid: caller.who.uid.clone(), target, since_ms: None }).await?;
    json(&Empty {})
}

pub(super) async fn list(caller: &Caller<'_>) -> Json {
    let (reader, conf, uid) = (caller.hub.reader().clone(), caller.who.conf, caller.who.uid.clone());
    let targets = blocking(move || Ok(reader.targets(conf, &uid)?)).await?;
    json(&Targets { targets: targets.iter().map(|(id, target)| TargetRow::of(id, target)).collect() })
}

pub(super) fn key(caller: &Caller<'_>) -> Json {
    let key = caller.hub.gateway(Provider::WebPush).map(|gateway| gateway.public_key());
    json(&PushKeys { webpush: key.filter(|key| !key.is_empty()) })
}

pub(super) async fn settings(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: SettingsParams = params(given)?;
    let now = caller.hub.reader().push_settings(caller.who.conf, &caller.who.uid).map_err(Reject::from)?;
    if wanted.is_question() {
        return json(&Settings::from(now));
    }
    let settings = wanted.over(now)?;
    caller.take_rate()?;
    caller.act(Action::SetPush { settings: settings.clone() }).await?;
    json(&Settings::from(settings))
}

pub(super) async fn notify(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: NotifyParams<'_> = params(given)?;
    let conversation = conversation_id(&wanted.conversation)?;
    let (reader, conf, uid) = (caller.hub.reader(), caller.who.conf, &caller.who.uid);
    let found = reader.readable(conf, uid, &conversation)?;
    // Push is for members.
    reader.standing(&found, uid).map_err(Reject::from)?.and_then(Standing::role).ok_or(Reason::NotAMember)?;
    let now = reader.attention(conf, found.record.no, uid).map_err(Reject::from)?;
    let now_ms = caller.hub.clock().now_ms();
    if wanted.is_question() {
        return json(&Notify::of(now, now_ms));
    }
    let attention = wanted.over(now)?;
    caller.take_rate()?;
    caller.act(Action::SetAttention { conversation, attention }).await?;
    json(&Notify::of(attention, now_ms))
}

pub(super) async fn dead(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let wanted: DeadParams = params(given)?;
    let limit = page_limit(wanted.limit, DEFAULT_PAGE)?;
    caller.staff()?;
    let (reader, conf) = (caller.hub.reader().clone(), caller.who.conf);
    let letters = blocking(move || Ok(reader.dead_letters(conf, wanted.before, limit)?)).await?;
    json(&Letters { letters: letters.into_iter().map(|(number, row)| letter(number, row)).collect() })
}

fn letter(number: u64, row: PushRow) -> Letter {
    Letter {
        letter: number,
        provider: Provider::of(&row.target).map_or("", Provider::word),
        user: row.user,
        conversation: row.conversation,
        seq: row.seq,
        tries: row.tries,
        since: Time(row.since_ms),
        why: row.why.to_string(),
    }
}

pub(super) async fn replay(caller: &Caller<'_>, given: Option<&RawValue>) -> Json {
    let ReplayParams { letters } = params(given)?;
    if letters.as_ref().is_some_and(|letters| letters.len() > MAX_STEP) {
        return Err(Fault::invalid_params(format_args!("letters are over {MAX_STEP}")));
    }
    caller.take_rate()?;
    let mut replayed = 0;
    while let Outcome::Replayed(count, more) = caller.act(Action::ReplayPushes { letters: letters.clone() }).await? {
        replayed += u64::from(count);
        if !more {
            break;
        }
    }
    json(&Replayed { replayed })
}
