//! The broker under test, as one test sees it: where it is, and names that no other test uses.

use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use anyhow::{Result, ensure};

use crate::mqtt::Version;
use crate::mqtt::client::Client;
use crate::mqtt::packet::{Connect, Will};
use crate::mqtt::parse::ConnAck;
use crate::mqtt::property::{self, Properties, Value};

/// What the command line says.
#[derive(Debug, Clone)]
pub struct Target {
    /// HOST:PORT.
    pub address: String,
    /// The version to speak.
    pub version: Version,
    /// User name, if the broker wants one.
    pub user: Option<String>,
    /// Password, likewise.
    pub password: Option<String>,
    /// What every topic begins with, e.g. `topic/`; may be empty.
    pub prefix: String,
}

/// The longest one test may take.
pub const TEST_TIME: Duration = Duration::from_secs(10);

/// A test cannot say anything about this broker, and why.
#[derive(Debug, thiserror::Error)]
#[error("{0}")]
pub struct Untested(pub String);

/// Handle of one test. Names differ between tests and between runs.
#[derive(Debug)]
pub struct Broker {
    target: Target,
    /// Six letters and digits of this test.
    tag: String,
    deadline: Instant,
    names: AtomicU32,
}

impl Broker {
    /// For the test with that number in a run with that random number.
    #[must_use]
    pub fn new(target: &Target, run: u32, number: usize) -> Self {
        let tag = format!("{:04x}{number:03}", run & 0xFFFF);
        Self { target: target.clone(), tag, deadline: Instant::now() + TEST_TIME, names: AtomicU32::new(0) }
    }

    /// The version under test.
    #[must_use]
    pub fn version(&self) -> Version {
        self.target.version
    }

    /// Whether that is 5.
    #[must_use]
    pub fn v5(&self) -> bool {
        self.version() == Version::V5
    }

    /// Whether the caller gave a user name, so that a wrong password must be refused.
    #[must_use]
    pub fn signs_in(&self) -> bool {
        self.target.user.is_some()
    }

    /// A topic of this test.
    #[must_use]
    pub fn topic(&self, name: &str) -> String {
        format!("{}{}/{name}", self.target.prefix, self.tag)
    }

    /// A word of this test, for topics outside the prefix.
    #[must_use]
    pub fn tag(&self) -> &str {
        &self.tag
    }

    /// A client id of this test: at most 23 letters and digits.
    #[must_use]
    pub fn id(&self, name: &str) -> String {
        format!("c{}{name}", self.tag)
    }

    /// A CONNECT with a client id of its own, clean, with the caller's credentials.
    #[must_use]
    pub fn hello(&self) -> Connect {
        let number = self.names.fetch_add(1, Ordering::Relaxed);
        self.named(&format!("n{number}"))
    }

    /// The same with a client id that can be used again.
    #[must_use]
    pub fn named(&self, name: &str) -> Connect {
        let mut hello = Connect::new(self.version(), &self.id(name));
        hello.user = self.target.user.clone().map(String::into_bytes);
        hello.password = self.target.password.clone().map(String::into_bytes);
        hello
    }

    /// The same for a session that outlives the connection by a minute; `clean` throws away an older one.
    #[must_use]
    pub fn lasting(&self, name: &str, clean: bool) -> Connect {
        let mut hello = self.named(name);
        // 3.1.1 has one flag for both: a clean session ends with the connection.
        hello.clean = clean && self.v5();
        if self.v5() {
            hello.properties.push((property::SESSION_EXPIRY, Value::Four(60)));
        }
        hello
    }

    /// A CONNECT with a will on that topic.
    #[must_use]
    pub fn mortal(&self, topic: &str, qos: u8, retain: bool) -> Connect {
        let mut hello = self.hello();
        hello.will = Some(Will { topic: topic.into(), payload: b"gone".to_vec(), qos, retain, properties: Vec::new() });
        hello
    }

    /// A socket, no CONNECT.
    ///
    /// # Errors
    /// The connection is refused.
    pub fn open(&self) -> Result<Client> {
        Client::open(&self.target.address, self.version(), self.deadline)
    }

    /// A socket on which that CONNECT was sent and nothing was read.
    ///
    /// # Errors
    /// The connection is refused.
    pub fn send(&self, hello: &Connect) -> Result<Client> {
        let mut client = self.open()?;
        client.throw(&hello.bytes());
        Ok(client)
    }

    /// Connected, with the answer.
    ///
    /// # Errors
    /// The CONNECT was not accepted.
    pub fn enter(&self, hello: &Connect) -> Result<(Client, ConnAck)> {
        let mut client = self.send(hello)?;
        let answer = client.expect_connack()?;
        ensure!(answer.code == 0, "CONNECT was answered with code 0x{:02X}", answer.code);
        Ok((client, answer))
    }

    /// A connected client with a clean session.
    ///
    /// # Errors
    /// The CONNECT was not accepted.
    pub fn client(&self) -> Result<Client> {
        Ok(self.enter(&self.hello())?.0)
    }

    /// A connected client with a subscription of that QoS or with these options.
    ///
    /// # Errors
    /// It was not granted.
    pub fn subscriber(&self, filter: &str, options: u8) -> Result<Client> {
        let mut client = self.client()?;
        client.subscribe(filter, options)?;
        Ok(client)
    }

    /// What the broker says in CONNACK, e.g. its highest topic alias.
    ///
    /// # Errors
    /// The CONNECT was not accepted.
    pub fn says(&self) -> Result<Properties> {
        let (client, answer) = self.enter(&self.hello())?;
        client.leave(0, &Vec::new())?;
        Ok(answer.properties)
    }

    /// Sends these bytes on a fresh connected client; the server must close it.
    ///
    /// # Errors
    /// It does not, with `what` in the words.
    pub fn must_close_on(&self, what: &str, bytes: &[u8]) -> Result<()> {
        let mut client = self.client()?;
        client.throw(bytes);
        client.expect_closed().map(drop).map_err(|error| error.context(what.to_owned()))
    }

    /// Sends that CONNECT on a fresh socket; it must be refused.
    ///
    /// # Errors
    /// It is not, with `what` in the words.
    pub fn must_refuse(&self, what: &str, hello: &Connect) -> Result<Option<u8>> {
        self.send(hello)?.expect_refused().map_err(|error| error.context(what.to_owned()))
    }
}
