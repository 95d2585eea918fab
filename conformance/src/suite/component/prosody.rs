//! A Prosody with one account and a component, which can be stopped and started again on the same ports.

use std::fs;
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use tempfile::TempDir;

use crate::xmpp::client::{Client, Endpoints, Over};

/// The domain of its people.
pub const DOMAIN: &str = "prosody.localhost";
/// The component's domain.
pub const COMPONENT: &str = "hallway.localhost";
/// What the component signs in with.
pub const SECRET: &str = "between the two of us";
/// The password of everybody.
const PASSWORD: &str = "pencil";
/// How long it may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// See the module's text.
pub struct Prosody {
    child: Option<Child>,
    scratch: TempDir,
    clients: SocketAddr,
    components: SocketAddr,
}

fn free_port() -> Result<SocketAddr> {
    for _ in 0..100 {
        let address = SocketAddr::from(([127, 0, 0, 1], rand::random_range(12_000..28_000)));
        if TcpListener::bind(address).is_ok() {
            return Ok(address);
        }
    }
    bail!("no port is free")
}

impl Prosody {
    /// Starts one.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(people: &[&str]) -> Result<Prosody> {
        ensure!(Path::new("/usr/bin/prosody").exists(), "there is no /usr/bin/prosody: apt-get install prosody");
        let scratch = tempfile::Builder::new().prefix("prosody-").tempdir()?;
        let (clients, components) = (free_port()?, free_port()?);
        let accounts = scratch.path().join("data/prosody%2elocalhost/accounts");
        fs::create_dir_all(&accounts)?;
        for name in people {
            fs::write(accounts.join(format!("{name}.dat")), format!("return {{ [\"password\"] = \"{PASSWORD}\" }};\n"))?;
        }
        fs::write(scratch.path().join("prosody.cfg.lua"), configuration(scratch.path(), clients.port(), components.port()))?;
        let mut prosody = Prosody { child: None, scratch, clients, components };
        prosody.restart()?;
        Ok(prosody)
    }

    /// Starts it again; stops it first when it runs.
    ///
    /// # Errors
    /// It does not start.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        let log = fs::File::create(self.scratch.path().join("log"))?;
        let mut command = Command::new("/usr/bin/prosody");
        command.arg("-F").arg("--config").arg(self.scratch.path().join("prosody.cfg.lua"));
        let child = command.stdin(Stdio::null()).stdout(log).stderr(Stdio::null()).spawn().context("cannot start Prosody")?;
        self.child = Some(child);
        let deadline = Instant::now() + READY_WITHIN;
        for address in [self.clients, self.components] {
            while TcpStream::connect(address).is_err() {
                ensure!(Instant::now() < deadline, "Prosody does not listen; its log:\n{}", self.log());
                std::thread::sleep(Duration::from_millis(20));
            }
        }
        Ok(())
    }

    /// Stops it, without a word to anybody.
    pub fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way it is reaped.
            child.kill().ok();
            child.wait().ok();
        }
    }

    /// Where it takes components.
    #[must_use]
    pub fn components(&self) -> SocketAddr {
        self.components
    }

    /// Its log.
    #[must_use]
    pub fn log(&self) -> String {
        fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default()
    }

    /// Signs somebody in, who is available.
    ///
    /// # Errors
    /// It does not let them.
    pub fn sign_in(&self, name: &str, resource: &str) -> Result<Client> {
        let endpoints = Endpoints { domain: DOMAIN.into(), tcp: self.clients, tls: self.clients, http: self.clients };
        let (mut client, _) = Client::sign_in(&endpoints, Over::Tcp, name, PASSWORD, resource)?;
        client.send("<presence/>")?;
        Ok(client)
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        self.stop();
    }
}

fn configuration(directory: &Path, clients: u16, components: u16) -> String {
    let path = directory.display();
    format!(
        r#"run_as_root = true
pidfile = "{path}/pid"
data_path = "{path}/data"
log = {{ {{ levels = {{ min = "debug" }}, to = "console" }} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {clients} }}
c2s_direct_tls_ports = {{}}
component_ports = {{ {components} }}
component_interfaces = {{ "127.0.0.1" }}
http_ports = {{}}
https_ports = {{}}
legacy_ssl_ports = {{}}
modules_disabled = {{ "s2s" }}
modules_enabled = {{ "roster", "saslauth", "disco", "ping", "posix" }}
authentication = "internal_plain"
storage = "internal"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
VirtualHost "{DOMAIN}"
Component "{COMPONENT}"
  component_secret = "{SECRET}"
"#
    )
}
