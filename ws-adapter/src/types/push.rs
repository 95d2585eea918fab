//! `push.*` and `conversation.notify`.

use std::borrow::Cow;

use data_encoding::{BASE64URL_NOPAD, HEXLOWER_PERMISSIVE};
use hallway_broker::canonical::parse_time;
use hallway_broker::ids::{ConversationId, Uid};
use hallway_broker::limits::{MAX_TARGET_BYTES, MAX_TARGET_NAME_BYTES, MAX_TARGET_SECRET_BYTES};
use hallway_broker::model::{Attention, Level, Provider, PushSettings, Target, TargetId};
use hallway_broker::reject::Reason;
use schemars::JsonSchema;
use serde::{Deserialize, Deserializer, Serialize};

use super::{Time, at_most};
use crate::rpc::Fault;

/// Who delivers to a device.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PUSH.md says what they are")]
pub enum ProviderWord {
    Webpush,
    Unifiedpush,
    Apns,
    Fcm,
    Expo,
    Webhook,
    Xmpp,
}

impl From<ProviderWord> for Provider {
    fn from(word: ProviderWord) -> Self {
        match word {
            ProviderWord::Webpush => Self::WebPush,
            ProviderWord::Unifiedpush => Self::UnifiedPush,
            ProviderWord::Apns => Self::Apns,
            ProviderWord::Fcm => Self::Fcm,
            ProviderWord::Expo => Self::Expo,
            ProviderWord::Webhook => Self::Webhook,
            ProviderWord::Xmpp => Self::Xmpp,
        }
    }
}

/// What of a conversation, or of all, one is pushed.
#[derive(Debug, Clone, Copy, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "lowercase")]
#[expect(missing_docs, reason = "PUSH.md says what they are")]
pub enum LevelWord {
    Default,
    All,
    Mentions,
    None,
}

impl From<LevelWord> for Level {
    fn from(word: LevelWord) -> Self {
        match word {
            LevelWord::Default => Self::Default,
            LevelWord::All => Self::All,
            LevelWord::Mentions => Self::Mentions,
            LevelWord::None => Self::None,
        }
    }
}

/// The keys of a subscription of Web Push or UnifiedPush (RFC 8291), in base64url.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SubscriptionKeys {
    /// The user agent's public key: 65 bytes.
    pub p256dh: String,
    /// Its authentication secret: 16 bytes.
    pub auth: String,
}

impl SubscriptionKeys {
    /// Both, one after the other.
    fn bytes(&self) -> Result<Vec<u8>, Fault> {
        let read = |text: &str, bytes: usize| {
            let read = BASE64URL_NOPAD.decode(text.trim_end_matches('=').as_bytes()).ok();
            read.filter(|read| read.len() == bytes).ok_or(Reason::BadTarget)
        };
        Ok([read(&self.p256dh, 65)?, read(&self.auth, 16)?].concat())
    }
}

/// Parameters of `push.register`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct RegisterParams {
    /// Who delivers.
    pub provider: ProviderWord,
    /// The device's token: `apns`, `fcm`, `expo`.
    pub token: Option<String>,
    /// The push service's URL for the subscription: `webpush`, `unifiedpush`.
    pub endpoint: Option<String>,
    /// Where to post: `webhook`.
    pub url: Option<String>,
    /// The push service: `xmpp`.
    pub jid: Option<String>,
    /// The subscription's keys: `webpush`, `unifiedpush`.
    pub keys: Option<SubscriptionKeys>,
    /// What the requests are signed with: `webhook`.
    pub secret: Option<String>,
    /// The app's topic where the server has no default (`apns`), or the service's node (`xmpp`).
    pub topic: Option<String>,
    /// The development service of `apns`.
    #[serde(default)]
    pub sandbox: bool,
    /// What the client calls itself.
    pub device: Option<String>,
}

impl RegisterParams {
    /// The target that is to be registered.
    ///
    /// # Errors
    /// `invalid_params` when something is missing, `bad_target`.
    pub fn target(&self) -> Result<Target, Fault> {
        let provider = Provider::from(self.provider);
        let (member, address) = match provider {
            Provider::WebPush | Provider::UnifiedPush => ("endpoint", &self.endpoint),
            Provider::Apns | Provider::Fcm | Provider::Expo => ("token", &self.token),
            Provider::Webhook => ("url", &self.url),
            Provider::Xmpp => ("jid", &self.jid),
        };
        let missing = |member: &str| Fault::invalid_params(format_args!("{} needs {member}", provider.word()));
        let address = address.as_deref().filter(|address| !address.is_empty()).ok_or_else(|| missing(member))?;
        let secret = match provider {
            Provider::WebPush | Provider::UnifiedPush => self.keys.as_ref().ok_or_else(|| missing("keys"))?.bytes()?,
            Provider::Webhook => self.secret.clone().filter(|secret| !secret.is_empty()).ok_or_else(|| missing("secret"))?.into_bytes(),
            _ => Vec::new(),
        };
        let (topic, device) = (self.topic.as_deref().unwrap_or(""), self.device.as_deref().unwrap_or(""));
        at_most(address, MAX_TARGET_BYTES, member)?;
        at_most(topic, MAX_TARGET_NAME_BYTES, "topic")?;
        at_most(device, MAX_TARGET_NAME_BYTES, "device")?;
        if secret.len() > MAX_TARGET_SECRET_BYTES {
            return Err(Fault::invalid_params(format_args!("secret is over {MAX_TARGET_SECRET_BYTES} bytes")));
        }
        Ok(Target {
            provider,
            address: address.into(),
            secret,
            topic: topic.into(),
            is_sandbox: self.sandbox,
            options: "".into(),
            device: device.into(),
            since_ms: 0,
        })
    }
}

/// A target's id, as clients see it.
#[must_use]
pub fn target_word(id: &TargetId) -> String {
    HEXLOWER_PERMISSIVE.encode(id)
}

/// Result of `push.register`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Registered {
    /// What it is unregistered by.
    pub target: String,
    /// Who delivers.
    #[schemars(with = "ProviderWord")]
    pub provider: &'static str,
}

/// Parameters of `push.unregister`: the target, or what it was registered with.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct UnregisterParams {
    /// What `push.register` gave.
    pub target: Option<String>,
    /// Who delivers.
    pub provider: Option<ProviderWord>,
    /// The device's token.
    pub token: Option<String>,
    /// The push service's URL for the subscription.
    pub endpoint: Option<String>,
    /// Where was posted to.
    pub url: Option<String>,
    /// The push service.
    pub jid: Option<String>,
}

impl UnregisterParams {
    /// Whether a target is meant.
    ///
    /// # Errors
    /// `invalid_params` when nothing is named.
    pub fn names(&self) -> Result<impl Fn(&TargetId, &Target) -> bool, Fault> {
        let id = match &self.target {
            // What is not even an id names no target.
            Some(word) => Some(HEXLOWER_PERMISSIVE.decode(word.as_bytes()).map_err(|_| Reason::UnknownTarget)?),
            None => None,
        };
        let provider = self.provider.map(Provider::from);
        let address = [&self.token, &self.endpoint, &self.url, &self.jid].into_iter().flatten().next();
        if id.is_none() && (provider.is_none() || address.is_none()) {
            return Err(Fault::invalid_params("target is missing, or provider with what was registered"));
        }
        Ok(move |found: &TargetId, target: &Target| match &id {
            Some(id) => found[..] == id[..],
            None => Some(target.provider) == provider && address.is_some_and(|address| **address == *target.address),
        })
    }
}

/// Where one is pushed to.
#[derive(Debug, Serialize, JsonSchema)]
pub struct TargetRow {
    /// What it is unregistered by.
    pub target: String,
    /// Who delivers.
    #[schemars(with = "ProviderWord")]
    pub provider: &'static str,
    /// What the client called itself.
    #[serde(skip_serializing_if = "str::is_empty")]
    #[schemars(with = "Option<String>")]
    pub device: Box<str>,
    /// When it was registered last.
    pub since: Time,
}

impl TargetRow {
    /// A target as its user sees it.
    #[must_use]
    pub fn of(id: &TargetId, target: &Target) -> Self {
        let (target_word, provider, device) = (target_word(id), target.provider.word(), (*target.device).into());
        Self { target: target_word, provider, device, since: Time(target.since_ms) }
    }
}

/// Result of `push.list`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Targets {
    /// Where.
    pub targets: Vec<TargetRow>,
}

/// Result of `push.key`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct PushKeys {
    /// The server's key for Web Push (RFC 8292): the point, uncompressed, in base64url; what browsers call `applicationServerKey`.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub webpush: Option<String>,
}

/// Hours of the day in which nothing is pushed, by the user's clock.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
pub struct Quiet {
    /// From then on: `HH:MM`.
    pub from: String,
    /// Until then.
    pub to: String,
}

/// A member that can be missing, or null.
fn given<'de, D: Deserializer<'de>, T: Deserialize<'de>>(deserializer: D) -> Result<Option<Option<T>>, D::Error> {
    Option::deserialize(deserializer).map(Some)
}

/// Parameters of `push.settings`: what is missing stays.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct SettingsParams {
    /// Where a conversation has no level of its own.
    pub level: Option<LevelWord>,
    /// Whether names and texts are in the push.
    pub content: Option<bool>,
    /// Hours of quiet; null for none.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<Quiet>")]
    pub quiet: Option<Option<Quiet>>,
    /// Minutes that one's clock is ahead of UTC.
    pub utc_offset_minutes: Option<i16>,
}

impl SettingsParams {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_question(&self) -> bool {
        self.level.is_none() && self.content.is_none() && self.quiet.is_none() && self.utc_offset_minutes.is_none()
    }

    /// The settings with what is given.
    ///
    /// # Errors
    /// `invalid_params` for what is no time of the day.
    pub fn over(&self, mut settings: PushSettings) -> Result<PushSettings, Fault> {
        settings.level = self.level.map_or(settings.level, Level::from);
        settings.content = self.content.unwrap_or(settings.content);
        settings.utc_offset_minutes = self.utc_offset_minutes.unwrap_or(settings.utc_offset_minutes);
        match &self.quiet {
            Some(Some(quiet)) => settings.quiet_minutes = (minute_of_day(&quiet.from)?, minute_of_day(&quiet.to)?),
            Some(None) => settings.quiet_minutes = (0, 0),
            None => {}
        }
        Ok(settings)
    }
}

/// The minute that `HH:MM` is of its day.
fn minute_of_day(text: &str) -> Result<u16, Fault> {
    let number = |digits: &str| digits.bytes().all(|byte| byte.is_ascii_digit()).then(|| digits.parse::<u16>().ok()).flatten();
    let parts = text.split_once(':').filter(|(hour, minute)| hour.len() == 2 && minute.len() == 2);
    let (hour, minute) = parts.and_then(|(hour, minute)| Some((number(hour)?, number(minute)?))).unwrap_or((24, 0));
    if hour < 24 && minute < 60 {
        return Ok(hour * 60 + minute);
    }
    Err(Fault::invalid_params("a time of the day is HH:MM"))
}

/// Result of `push.settings`.
#[derive(Debug, PartialEq, Eq, Serialize, JsonSchema)]
pub struct Settings {
    /// Where a conversation has no level of its own.
    #[schemars(with = "LevelWord")]
    pub level: &'static str,
    /// Whether names and texts are in the push.
    pub content: bool,
    /// Hours of quiet.
    pub quiet: Option<Quiet>,
    /// Minutes that one's clock is ahead of UTC.
    pub utc_offset_minutes: i16,
}

impl From<PushSettings> for Settings {
    fn from(settings: PushSettings) -> Self {
        let (from, to) = settings.quiet_minutes;
        let time = |minutes: u16| format!("{:02}:{:02}", minutes / 60, minutes % 60);
        Self {
            level: settings.level.word(),
            content: settings.content,
            quiet: (from != to).then(|| Quiet { from: time(from), to: time(to) }),
            utc_offset_minutes: settings.utc_offset_minutes,
        }
    }
}

/// Parameters of `conversation.notify`: what is missing stays.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct NotifyParams<'a> {
    /// Of which conversation.
    #[serde(borrow)]
    pub conversation: Cow<'a, str>,
    /// How much.
    pub level: Option<LevelWord>,
    /// Nothing until then: RFC 3339; null ends the silence.
    #[serde(default, deserialize_with = "given")]
    #[schemars(with = "Option<String>")]
    pub until: Option<Option<String>>,
}

impl NotifyParams<'_> {
    /// Whether it changes nothing.
    #[must_use]
    pub fn is_question(&self) -> bool {
        self.level.is_none() && self.until.is_none()
    }

    /// What is wanted then, with what is given.
    ///
    /// # Errors
    /// `invalid_params` for what is no time.
    pub fn over(&self, mut attention: Attention) -> Result<Attention, Fault> {
        attention.level = self.level.map_or(attention.level, Level::from);
        match &self.until {
            Some(Some(until)) => {
                attention.silent_until_ms = parse_time(until).ok_or_else(|| Fault::invalid_params("until is not a time of RFC 3339"))?;
            }
            Some(None) => attention.silent_until_ms = 0,
            None => {}
        }
        Ok(attention)
    }
}

/// Result of `conversation.notify`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Notify {
    /// How much.
    #[schemars(with = "LevelWord")]
    pub level: &'static str,
    /// Nothing until then.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub until: Option<Time>,
    /// Nothing now: no push, no badge.
    pub muted: bool,
}

impl Notify {
    /// As it is at a time.
    #[must_use]
    pub fn of(attention: Attention, now_ms: u64) -> Self {
        let until = Some(attention.silent_until_ms).filter(|until_ms| *until_ms > now_ms).map(Time);
        Self { level: attention.level.word(), until, muted: attention.is_muted(now_ms) }
    }
}

/// Parameters of `push.dead`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct DeadParams {
    /// Only those of lower numbers.
    pub before: Option<u64>,
    /// At most this many, up to 500.
    pub limit: Option<u64>,
}

/// A push that was given up.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Letter {
    /// Its number.
    pub letter: u64,
    /// Whose.
    #[schemars(with = "String")]
    pub user: Uid,
    /// Who was to deliver it.
    #[schemars(with = "ProviderWord")]
    pub provider: &'static str,
    /// The conversation that it was about.
    #[schemars(with = "String")]
    pub conversation: ConversationId,
    /// The message.
    pub seq: u64,
    /// How often it was tried.
    pub tries: u32,
    /// Since when.
    pub since: Time,
    /// Why it did not get through.
    pub why: String,
}

/// Result of `push.dead`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Letters {
    /// Newest first.
    pub letters: Vec<Letter>,
}

/// Parameters of `push.replay`.
#[derive(Debug, Deserialize, JsonSchema)]
pub struct ReplayParams {
    /// Which, 256 at most; all when it is not said.
    pub letters: Option<Vec<u64>>,
}

/// Result of `push.replay`.
#[derive(Debug, Serialize, JsonSchema)]
pub struct Replayed {
    /// How many are tried once more; those are not whose device is not registered any more.
    pub replayed: u64,
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;
    use crate::types::params_of;

    #[test]
    fn what_is_registered_has_the_members_of_its_provider() {
        let target = |json: &str| params_of::<RegisterParams>(json).and_then(|params| params.target());
        let key = BASE64URL_NOPAD.encode(&[4; 65]);
        let web = format!(
            r#"{{"provider":"webpush","endpoint":"https://push.example/x","keys":{{"p256dh":"{key}","auth":"AAAAAAAAAAAAAAAAAAAAAA=="}}}}"#
        );
        let web = target(&web).unwrap();
        assert_eq!((web.provider, &*web.address, web.secret.len()), (Provider::WebPush, "https://push.example/x", 81));
        let apns = target(r#"{"provider":"apns","token":"00ff","sandbox":true,"device":"phone"}"#).unwrap();
        assert!(apns.is_sandbox && apns.secret.is_empty());
        let ada = Uid::parse("ada").unwrap();
        assert_ne!(apns.id(&ada), web.id(&ada));
        for (wrong, reason) in [
            (r#"{"provider":"apns"}"#, "invalid_params"),
            (r#"{"provider":"apns","endpoint":"x"}"#, "invalid_params"),
            (r#"{"provider":"pigeon","token":"x"}"#, "invalid_params"),
            (r#"{"provider":"webhook","url":"https://x.example/"}"#, "invalid_params"),
            (r#"{"provider":"webpush","endpoint":"https://x.example/","keys":{"p256dh":"AA","auth":"AA"}}"#, "bad_target"),
        ] {
            assert_eq!(target(wrong).unwrap_err().reason, reason, "{wrong}");
        }
    }

    #[test]
    fn what_is_not_said_of_settings_stays() {
        let over = |json: &str, settings| params_of::<SettingsParams>(json).and_then(|params| params.over(settings));
        let quiet = over(r#"{"quiet":{"from":"22:00","to":"07:30"},"utc_offset_minutes":-90}"#, PushSettings::default()).unwrap();
        assert_eq!((quiet.quiet_minutes, quiet.utc_offset_minutes, quiet.content), ((1320, 450), -90, true));
        let level = over(r#"{"level":"mentions","content":false}"#, quiet.clone()).unwrap();
        assert_eq!((level.quiet_minutes, level.level, level.content), ((1320, 450), Level::Mentions, false));
        assert_eq!(Settings::from(level.clone()).quiet, Some(Quiet { from: "22:00".into(), to: "07:30".into() }));
        assert_eq!(over(r#"{"quiet":null}"#, level).unwrap().quiet_minutes, (0, 0));
        assert!(params_of::<SettingsParams>("{}").unwrap().is_question());
        for wrong in [r#"{"quiet":{"from":"24:00","to":"07:00"}}"#, r#"{"quiet":{"from":"7:00","to":"+8:00"}}"#, r#"{"level":"some"}"#] {
            assert!(over(wrong, PushSettings::default()).is_err(), "{wrong}");
        }
    }

    #[test]
    fn a_silence_ends_at_its_time_or_by_null() {
        let over = |json: &str, attention| params_of::<NotifyParams<'_>>(json).and_then(|params| params.over(attention));
        let silent = over(r#"{"conversation":"lobby","until":"1970-01-01T00:01:00Z"}"#, Attention::default()).unwrap();
        assert!(Notify::of(silent, 59_999).muted && !Notify::of(silent, 60_000).muted);
        assert_eq!(over(r#"{"conversation":"lobby","until":null}"#, silent).unwrap(), Attention::default());
        assert!(over(r#"{"conversation":"lobby","until":"tomorrow"}"#, silent).is_err());
    }

    proptest! {
        #[test]
        fn reading_never_panics(json in "\\PC{0,80}", time in "\\PC{0,8}") {
            let _ = params_of::<RegisterParams>(&json).map(|params| params.target());
            let _ = minute_of_day(&time);
        }
    }
}
