//! Makes sure that the configured conferences exist, or in demo mode the demo.

use hallway_bridge::xmpp::negotiation::Host;
use hallway_broker::clock;
use hallway_broker::command::{Action, Actor, Outcome};
use hallway_broker::hub::Hub;
use hallway_broker::ids::{BadId, ConfNo, ConferenceId, ConversationId};
use hallway_broker::model::{Kind, SignIn};
use hallway_broker::reject::Reject;
use hallway_broker::state::StateError;

use crate::config::{ChannelKind, Conference, Config, FullChannel, Mode};

/// The conference of demo mode.
const DEMO: &str = "demo";
/// Its XMPP domain.
const DEMO_DOMAIN: &str = "localhost";
/// Its title.
const DEMO_TITLE: &str = "Demo conference";

/// A conference could not be made.
#[derive(Debug, thiserror::Error)]
pub enum ConferencesError {
    /// The hub refused.
    #[error("cannot set up conference '{0}': {1}")]
    Refused(String, Reject),
    /// The store failed.
    #[error(transparent)]
    Store(#[from] StateError),
    /// An id that the configuration's check let through.
    #[error(transparent)]
    Id(#[from] BadId),
}

/// The sign-in of a conference for which none is named.
#[must_use]
pub fn default_sign_in(config: &Config) -> SignIn {
    if config.server.mode == Mode::Demo { SignIn::Open } else { SignIn::Password }
}

/// The conference that somebody means who names none: the first that is configured, or the demo.
///
/// # Errors
/// It is no id.
pub fn default_id(config: &Config) -> Result<ConferenceId, ConferencesError> {
    Ok(ConferenceId::parse(config.conference.keys().next().map_or(DEMO, String::as_str))?)
}

/// The domains that XMPP is spoken for: those that are configured; in demo mode the demo's is `localhost`, else that of the public URL is the
/// `default` conference's.
#[must_use]
pub fn xmpp_hosts(config: &Config, default: &ConferenceId) -> Vec<Host> {
    let configured = config.conference.iter().filter_map(|(id, conference)| {
        let domain = conference.xmpp_domain.clone()?;
        Some(Host { domain, conference: id.clone() })
    });
    let mut hosts: Vec<Host> = configured.collect();
    if hosts.is_empty() {
        let own = config.server.host_names().into_iter().next().filter(|_| config.server.mode != Mode::Demo);
        hosts.push(Host { domain: own.unwrap_or_else(|| DEMO_DOMAIN.to_owned()), conference: default.to_string() });
    }
    hosts
}

/// Makes what is missing and changes what the configuration says otherwise. What it does not name is left alone. A store without any
/// conference gets the demo in demo mode, if `demo`.
///
/// # Errors
/// The hub's refusal, and those of the store.
pub async fn ensure(hub: &Hub, config: &Config, demo: bool) -> Result<(), ConferencesError> {
    for (id, wanted) in &config.conference {
        ensure_one(hub, config, id, wanted).await?;
    }
    let is_new = config.conference.is_empty() && hub.reader().conferences()?.is_empty();
    if demo && is_new && config.server.mode == Mode::Demo {
        ensure_one(hub, config, DEMO, &Conference::default()).await?;
    }
    Ok(())
}

async fn ensure_one(hub: &Hub, config: &Config, id: &str, wanted: &Conference) -> Result<(), ConferencesError> {
    let refused = |reject| ConferencesError::Refused(id.to_owned(), reject);
    let (conf, is_new) = match hub.reader().conference(id)? {
        Some(known) => {
            let title = wanted.title.clone().filter(|title| *title != known.title);
            let sign_in = wanted.sign_in.filter(|sign_in| *sign_in != known.sign_in);
            if title.is_some() || sign_in.is_some() {
                call(hub, known.no, Action::SetConference { title, sign_in, epoch: None }).await.map_err(refused)?;
            }
            (known.no, false)
        }
        None => (add(hub, config, id, wanted).await?, true),
    };
    for channel in channels(config, id, wanted, is_new) {
        ensure_channel(hub, conf, &channel).await.map_err(|error| match error {
            ChannelError::Refused(reject) => refused(reject),
            ChannelError::Other(error) => error,
        })?;
    }
    Ok(())
}

async fn add(hub: &Hub, config: &Config, id: &str, wanted: &Conference) -> Result<ConfNo, ConferencesError> {
    let default_title = if id == DEMO { DEMO_TITLE } else { id };
    let action = Action::AddConference {
        id: ConferenceId::parse(id)?,
        title: wanted.title.clone().unwrap_or_else(|| default_title.to_owned()),
        sign_in: wanted.sign_in.unwrap_or_else(|| default_sign_in(config)),
        epoch: u64::from_be_bytes(clock::random()),
    };
    match call(hub, ConfNo(0), action).await {
        Ok(Outcome::Conference(conf)) => Ok(conf),
        Ok(_) => Ok(hub.reader().conference(id)?.map_or(ConfNo(0), |made| made.no)),
        Err(reject) => Err(ConferencesError::Refused(id.to_owned(), reject)),
    }
}

/// The channels to be there. A new conference of demo mode has three unless it is told otherwise.
fn channels(config: &Config, id: &str, wanted: &Conference, is_new: bool) -> Vec<FullChannel> {
    let channel = |id: &str, title: &str, kind| FullChannel { id: id.to_owned(), title: Some(title.to_owned()), kind };
    match &wanted.channels {
        Some(channels) => channels.iter().map(crate::config::Channel::full).collect(),
        None if is_new && id == DEMO && config.server.mode == Mode::Demo => vec![
            channel("lobby", "Lobby", ChannelKind::Channel),
            channel("help", "Help", ChannelKind::Channel),
            channel("announcements", "Announcements", ChannelKind::Announcements),
        ],
        None => Vec::new(),
    }
}

enum ChannelError {
    Refused(Reject),
    Other(ConferencesError),
}

impl<E: Into<ConferencesError>> From<E> for ChannelError {
    fn from(error: E) -> Self {
        Self::Other(error.into())
    }
}

async fn ensure_channel(hub: &Hub, conf: ConfNo, wanted: &FullChannel) -> Result<(), ChannelError> {
    let id = ConversationId::parse(&wanted.id)?;
    let known = hub.reader().conversation(conf, &id)?;
    let action = match (known, &wanted.title) {
        (None, title) => {
            let kind = match wanted.kind {
                ChannelKind::Channel => Kind::Channel,
                ChannelKind::Announcements => Kind::Announcements,
            };
            Action::Create { kind, title: title.clone().unwrap_or_else(|| wanted.id.clone()), id, members: Vec::new() }
        }
        (Some(known), Some(title)) if known.record.title != *title => Action::Update { conversation: id, title: title.as_str().into() },
        (Some(_), _) => return Ok(()),
    };
    call(hub, conf, action).await.map_err(ChannelError::Refused)?;
    Ok(())
}

async fn call(hub: &Hub, conf: ConfNo, action: Action) -> Result<Outcome, Reject> {
    hub.call(conf, Actor::system(), action).await
}
