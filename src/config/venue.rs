//! `[[conference.<id>.venue]]`: a venue's own MQTT broker, whose readers are this conference's.

use std::path::{Path, PathBuf};
use std::{fs, io};

use hallway_bridge::venue::{self, Address, ReaderTopic, Topics, VenueOptions};
use serde::{Deserialize, Serialize};

/// Longest client id in bytes that every broker takes (MQTT 3.1.1 §3.1.3.1 asks for 23, and all take more).
const CLIENT_ID_BYTES_MAX: usize = 128;

/// A venue's broker.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Venue {
    /// Where it listens: `mqtt://HOST:PORT`, or `mqtts://HOST:PORT` for TLS.
    pub url: String,
    /// The user that it knows Hallway by.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub user: Option<String>,
    /// A file that holds the user's password; whitespace around it does not count.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub password_file: Option<PathBuf>,
    /// Certificates (PEM) that its own may be signed with, besides those that the machine trusts.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub ca_file: Option<PathBuf>,
    /// The id of Hallway's session there, `hallway-<conference>` when none is named. Another one begins anew, and the broker keeps scans for the old
    /// one for ever.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub client_id: Option<String>,
    /// Whose its topics are.
    pub readers: Vec<VenueReader>,
}

/// A topic of one reader, or of several.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct VenueReader {
    /// Where scans, statuses or last wills come from: `{reader}` stands for the reader's name, `+` and `#` for anything.
    pub topic: String,
    /// The uid of the device, when `topic` does not name it.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub reader: Option<String>,
    /// Where results go; none are told without.
    #[serde(skip_serializing_if = "Option::is_none")]
    pub result: Option<String>,
}

impl Venue {
    /// The id of the session there.
    #[must_use]
    pub fn client_id(&self, conference: &str) -> String {
        self.client_id.clone().unwrap_or_else(|| format!("hallway-{conference}"))
    }

    /// What is wrong with it, without looking at its files.
    ///
    /// # Errors
    /// A sentence.
    pub fn check(&self) -> Result<(), String> {
        let address = Address::parse(&self.url)?;
        if address.port == 0 {
            return Err(format!("url: '{}' has no port that anything listens at", self.url));
        }
        if self.ca_file.is_some() && !address.is_secure {
            return Err("ca_file: is for TLS, and url is mqtt://: take mqtts://".to_owned());
        }
        self.topics()?;
        if self.password_file.is_some() && self.user.is_none() {
            return Err("password_file: whose password it is, user says".to_owned());
        }
        let is_id = |id: &String| !id.is_empty() && id.len() <= CLIENT_ID_BYTES_MAX && !id.contains(char::is_control);
        if self.client_id.as_ref().is_some_and(|id| !is_id(id)) {
            return Err(format!("client_id: takes 1 to {CLIENT_ID_BYTES_MAX} bytes"));
        }
        Ok(())
    }

    /// What keeps two from being at one broker, this one of conference `id`.
    #[must_use]
    pub fn clash(&self, id: &str, other: &Self, other_id: &str) -> Option<String> {
        let at = |venue: &Self| Address::parse(&venue.url).ok().map(|address| (address.host.to_ascii_lowercase(), address.port));
        let (topics, others) = (self.topics().ok()?, other.topics().ok()?);
        if at(self)? != at(other)? {
            return None;
        }
        if self.client_id(id) == other.client_id(other_id) {
            return Some(format!("client_id: {} has a session of this id already: two would throw each other out", self.url));
        }
        if let Some(echo) = topics.echoed_by(&others).or_else(|| others.echoed_by(&topics)) {
            return Some(format!("readers: {} is named twice, and {echo}", self.url));
        }
        // Another conference has other devices.
        let shared = topics.shared_with(&others).filter(|_| id == other_id)?;
        Some(format!("readers: {} is named twice, and {shared}, whose messages would count twice", self.url))
    }

    fn topics(&self) -> Result<Topics, String> {
        let topic = |VenueReader { topic, reader, result }: &VenueReader| ReaderTopic {
            topic: topic.clone(),
            reader: reader.clone(),
            result: result.clone(),
        };
        Topics::new(&self.readers.iter().map(topic).collect::<Vec<_>>())
    }

    /// What the bridge needs.
    ///
    /// # Errors
    /// A file cannot be read; or what [`Venue::check`] finds.
    pub fn options(&self, conference: &str) -> io::Result<VenueOptions> {
        let address = Address::parse(&self.url).map_err(io::Error::other)?;
        let of = |key: &'static str, file: &PathBuf| {
            let file = file.display().to_string();
            move |error: io::Error| io::Error::new(error.kind(), format!("conference.{conference}.venue: {key}: {file}: {error}"))
        };
        let tls = match (&self.ca_file, address.is_secure) {
            (_, false) => None,
            (Some(file), true) => Some(venue::tls(Some(file)).map_err(of("ca_file", file))?),
            (None, true) => Some(venue::tls(None)?),
        };
        let password = match &self.password_file {
            Some(file) => password(file).map_err(of("password_file", file))?,
            None => String::new(),
        };
        let login = self.user.clone().map(|user| (user, password));
        let (conference, client_id) = (conference.to_owned(), self.client_id(conference));
        Ok(VenueOptions { conference, address, tls, login, client_id, topics: self.topics().map_err(io::Error::other)? })
    }
}

/// What a file holds, but for whitespace around it.
fn password(file: &Path) -> io::Result<String> {
    let text = fs::read_to_string(file)?;
    Some(text.trim().to_owned()).filter(|text| !text.is_empty()).ok_or_else(|| io::Error::other("it is empty"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_file_that_is_no_use_is_named_with_its_key() {
        let dir = tempfile::tempdir().unwrap();
        let (empty, missing) = (dir.path().join("empty"), dir.path().join("missing"));
        fs::write(&empty, " \n").unwrap();
        let readers = vec![VenueReader { topic: "a/{reader}".to_owned(), reader: None, result: None }];
        let venue = |password_file: Option<&PathBuf>, ca_file: Option<&PathBuf>| Venue {
            url: "mqtts://broker.example".to_owned(),
            user: Some("hallway".to_owned()),
            password_file: password_file.cloned(),
            ca_file: ca_file.cloned(),
            client_id: None,
            readers: readers.clone(),
        };
        for (venue, named) in [
            (venue(Some(&missing), None), "conference.demo.venue: password_file: "),
            (venue(Some(&empty), None), "/empty: it is empty"),
            (venue(None, Some(&missing)), "conference.demo.venue: ca_file: "),
            (venue(None, Some(&empty)), "/empty: it holds no certificate"),
        ] {
            venue.check().unwrap();
            let error = venue.options("demo").err().map(|error| error.to_string()).unwrap_or_default();
            assert!(error.contains(named), "{named:?} in {error:?}");
        }
    }
}
