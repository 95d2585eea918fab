//! What the types cannot say: which values do not go together.

use std::collections::{BTreeMap, BTreeSet};

use hallway_broker::ids::{ConferenceId, ConversationId};
use hallway_broker::limits::MAX_TITLE_BYTES;
use hallway_broker::model::SignIn;

use super::web_origin::is_host;
use super::{Address, Component, Conference, Config, ConfigError, Loaded, Mode, bounds};

/// Longest path that fits into a socket's address, its final zero left out.
const MAX_SOCKET_PATH_BYTES: usize = 107;

/// Checks a configuration as a whole.
///
/// # Errors
/// The first thing that is wrong, with the key to change.
pub fn check(loaded: &Loaded) -> Result<(), ConfigError> {
    let wrong = |(key, message): Wrong| ConfigError::Value { origin: loaded.origin(&key), key, message };
    let config = &loaded.config;
    mode(config).map_err(wrong)?;
    mqtt(config).map_err(wrong)?;
    tls(config).map_err(wrong)?;
    unix_socket(config).map_err(wrong)?;
    sizes(config).map_err(wrong)?;
    components(config).map_err(wrong)?;
    venues(config).map_err(wrong)?;
    let mut domains = BTreeMap::new();
    for (id, conference) in &config.conference {
        self::conference(id, conference, &mut domains).map_err(wrong)?;
    }
    Ok(())
}

/// A key, and what is wrong with its value.
pub(super) type Wrong = (String, String);

pub(super) fn wrong(key: &str, message: impl Into<String>) -> Result<(), Wrong> {
    Err((key.to_owned(), message.into()))
}

fn mode(config: &Config) -> Result<(), Wrong> {
    if config.server.mode == Mode::Server {
        if config.server.public_url.is_none() {
            let hint = "mode \"server\" needs server.public_url = \"https://…\", where people reach it; for a trial on this machine take server.mode = \"demo\"";
            return wrong("server.mode", hint);
        }
        return Ok(());
    }
    for (key, address) in config.listen.all() {
        if !address.is_private() {
            let hint = format!(
                "{address} is not a loopback address, and demo mode lets anybody in who reaches it: set server.mode = \"server\" and server.public_url, or take 127.0.0.1"
            );
            return wrong(key, hint);
        }
    }
    Ok(())
}

fn mqtt(config: &Config) -> Result<(), Wrong> {
    let plain_broker = config.mqtt.anonymous && config.mqtt.plain_topics && !config.mqtt.plain_broker_for_all;
    for (key, address) in [("listen.mqtt", config.listen.mqtt), ("listen.mqtts", config.listen.mqtts)] {
        if plain_broker && !address.is_private() {
            let hint = format!(
                "mqtt.anonymous and mqtt.plain_topics together make a broker for everybody who reaches {address}: set mqtt.plain_broker_for_all = true if that is meant"
            );
            return wrong(key, hint);
        }
    }
    Ok(())
}

fn tls(config: &Config) -> Result<(), Wrong> {
    match (&config.tls.certificate, &config.tls.key) {
        (Some(_), None) => wrong("tls.key", "is missing: tls.certificate needs its private key"),
        (None, Some(_)) => wrong("tls.certificate", "is missing: tls.key needs its certificate"),
        _ => Ok(()),
    }
}

fn unix_socket(config: &Config) -> Result<(), Wrong> {
    match config.listen.mqtt_unix.as_ref().map(|path| path.as_os_str().len()) {
        None | Some(1..=MAX_SOCKET_PATH_BYTES) => Ok(()),
        Some(0) => wrong("listen.mqtt_unix", "is empty: take a path, or none"),
        Some(_) => wrong("listen.mqtt_unix", format!("is too long: the path of a socket has at most {MAX_SOCKET_PATH_BYTES} bytes")),
    }
}

fn sizes(config: &Config) -> Result<(), Wrong> {
    if config.store.url.is_some() {
        return wrong("store.url", "this build keeps everything on one machine: leave it out");
    }
    if config.store.path.as_os_str().is_empty() {
        return wrong("store.path", "is empty");
    }
    bounds::check(config)?;
    if config.limits.text_bytes > config.limits.frame_bytes {
        return wrong("limits.text_bytes", "is more than limits.frame_bytes: such a text could not come in");
    }
    Ok(())
}

fn components(config: &Config) -> Result<(), Wrong> {
    let key = "xmpp.components";
    if config.listen.xmpp_component != Address::Off {
        let hint =
            "Hallway connects to the other server and does not listen for it: leave this out and name the server in [[xmpp.components]]";
        return wrong("listen.xmpp_component", hint);
    }
    let mut domains = BTreeSet::new();
    for component in &config.xmpp.components {
        let Component { server, secret, secret_file, domain, conference } = component;
        if !is_host(domain) {
            return wrong(key, format!("domain: '{domain}' is not a domain name"));
        }
        if !domains.insert(domain) || config.conference.values().any(|conference| conference.xmpp_domain.as_ref() == Some(domain)) {
            return wrong(
                key,
                format!("domain: '{domain}' is in use already: take one that the other server has for this component alone"),
            );
        }
        let is_address = server.rsplit_once(':').is_some_and(|(host, port)| !host.is_empty() && port.parse::<u16>().is_ok());
        if !is_address {
            return wrong(key, format!("server: '{server}' is not HOST:PORT; Prosody takes components at port 5347"));
        }
        if secret.is_some() == secret_file.is_some() {
            return wrong(key, "takes exactly one of secret and secret_file");
        }
        let is_known = |id: &String| config.conference.is_empty() || config.conference.contains_key(id);
        if conference.as_ref().is_some_and(|id| !is_known(id)) {
            return wrong(key, format!("conference: there is no [conference.{}]", conference.as_deref().unwrap_or_default()));
        }
    }
    Ok(())
}

fn venues(config: &Config) -> Result<(), Wrong> {
    let mut before: Vec<(&str, &super::Venue)> = Vec::new();
    for (id, conference) in &config.conference {
        let key = format!("conference.{id}.venue");
        for venue in conference.venue.iter().flatten() {
            venue.check().map_err(|error| (key.clone(), error))?;
            if let Some(clash) = before.iter().find_map(|(other_id, other)| venue.clash(id, other, other_id)) {
                return wrong(&key, clash);
            }
            before.push((id, venue));
        }
    }
    Ok(())
}

fn conference<'a>(id: &'a str, conference: &'a Conference, domains: &mut BTreeMap<&'a str, &'a str>) -> Result<(), Wrong> {
    let key = |name: &str| format!("conference.{id}.{name}");
    ConferenceId::parse(id).map_err(|error| (format!("conference.{id}"), format!("'{id}' is {error}")))?;
    if conference.title.as_ref().is_some_and(|title| title.is_empty() || title.len() > MAX_TITLE_BYTES) {
        return wrong(&key("title"), format!("a title has 1 to {MAX_TITLE_BYTES} bytes"));
    }
    if let Some(domain) = &conference.xmpp_domain {
        if !is_host(domain) {
            return wrong(&key("xmpp_domain"), format!("'{domain}' is not a domain name"));
        }
        if let Some(other) = domains.insert(domain, id) {
            return wrong(&key("xmpp_domain"), format!("is the domain of conference '{other}' already"));
        }
    }
    for channel in conference.channels.iter().flatten() {
        let channel = channel.full();
        ConversationId::parse(&channel.id).map_err(|error| (key("channels"), format!("'{}' is {error}", channel.id)))?;
    }
    for rule in conference.topics.iter().flatten() {
        rule.check().map_err(|error| (key("topics"), error))?;
    }
    if let Some(webhook) = &conference.topic_webhook {
        webhook.check().map_err(|error| (key("topic_webhook"), error))?;
    }
    if let Some(pretix) = &conference.pretix {
        pretix.keys().map_err(|error| (key("pretix"), error))?;
    }
    if let Some(jwt) = &conference.jwt {
        jwt.provider().map_err(|error| (key("jwt"), error))?;
    }
    if conference.sign_in == Some(SignIn::Token) && conference.jwt.is_none() {
        return wrong(&key("sign_in"), format!("\"token\" needs an identity provider: name it in [conference.{id}.jwt]"));
    }
    Ok(())
}
