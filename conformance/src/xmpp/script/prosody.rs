//! A Prosody of its own for a story: configuration, certificate, accounts and data in a temporary directory, free ports.

use std::collections::BTreeSet;
use std::fmt::Write as _;
use std::fs;
use std::io::{BufRead, BufReader};
use std::net::{SocketAddr, TcpListener};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::OnceLock;
use std::sync::atomic::{AtomicU16, Ordering};
use std::sync::mpsc::{Receiver, sync_channel};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use tempfile::TempDir;

use crate::script::password;
use crate::xmpp::client::{Client, Endpoints, Over};

const DOMAIN: &str = "localhost";
const ROOMS: &str = "rooms.localhost";
/// Who makes the rooms that Hallway's demo has.
const OPERATOR: &str = "operator";
/// How long it may take to listen.
const READY_WITHIN: Duration = Duration::from_secs(20);

/// A running Prosody.
pub struct Prosody {
    child: Child,
    scratch: TempDir,
    endpoints: Endpoints,
}

/// Whether there is one on this machine.
#[must_use]
pub fn is_installed() -> bool {
    Path::new("/usr/bin/prosody").exists()
}

impl Prosody {
    /// Starts one with these accounts; staff are owners of the rooms.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(people: &BTreeSet<String>, staff: &BTreeSet<String>) -> Result<Prosody> {
        ensure!(is_installed(), "there is no /usr/bin/prosody: apt-get install prosody prosody-modules");
        let scratch = tempfile::Builder::new().prefix("prosody-").tempdir()?;
        let [tcp, tls, http] = free_ports()?;
        let endpoints = Endpoints { domain: DOMAIN.into(), tcp, tls, http };
        write_certificate(scratch.path())?;
        for name in people.iter().map(String::as_str).chain([OPERATOR]) {
            let accounts = scratch.path().join("data").join(DOMAIN).join("accounts");
            fs::create_dir_all(&accounts)?;
            fs::write(accounts.join(format!("{name}.dat")), format!("return {{ [\"password\"] = \"{}\" }};\n", password(name)))?;
        }
        let file = scratch.path().join("prosody.cfg.lua");
        fs::write(&file, configuration(scratch.path(), &endpoints, staff))?;
        let mut child = Command::new("/usr/bin/prosody")
            .arg("-F")
            .arg("--config")
            .arg(&file)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::null())
            .spawn()
            .context("cannot start Prosody")?;
        let lines = log_of(&mut child, scratch.path())?;
        let prosody = Prosody { child, scratch, endpoints };
        prosody.wait_until_it_listens(&lines)?;
        prosody.make_rooms()?;
        Ok(prosody)
    }

    fn wait_until_it_listens(&self, lines: &Receiver<String>) -> Result<()> {
        let deadline = Instant::now() + READY_WITHIN;
        let mut missing = BTreeSet::from(["'c2s'", "'c2s_direct_tls'", "'http'"]);
        while !missing.is_empty() {
            let line = lines.recv_timeout(deadline.saturating_duration_since(Instant::now()));
            let line = line.with_context(|| format!("Prosody does not listen; its log:\n{}", self.log_tail(20)))?;
            missing.retain(|service| !(line.contains("Activated service") && line.contains(service)));
        }
        Ok(())
    }

    /// The rooms of Hallway's demo: whoever enters first makes them.
    fn make_rooms(&self) -> Result<()> {
        let (mut client, _) = Client::sign_in(&self.endpoints, Over::Tcp, OPERATOR, &password(OPERATOR), "setup")?;
        for room in ["lobby", "help", "announcements"] {
            client.send(&format!("<presence to='{room}@{ROOMS}/{OPERATOR}'><x xmlns='http://jabber.org/protocol/muc'/></presence>"))?;
            client.expect_where("a subject", |element| element.name == "message" && element.child("subject").is_some())?;
            client.send(&format!("<presence type='unavailable' to='{room}@{ROOMS}/{OPERATOR}'/>"))?;
            client.expect_where("the end of it", |element| element.name == "presence" && element.attr("type") == Some("unavailable"))?;
        }
        client.close()
    }

    /// Where it listens.
    #[must_use]
    pub fn endpoints(&self) -> &Endpoints {
        &self.endpoints
    }

    /// The end of its log.
    #[must_use]
    pub fn log_tail(&self, lines: usize) -> String {
        let text = fs::read_to_string(self.scratch.path().join("log")).unwrap_or_default();
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Prosody {
    fn drop(&mut self) {
        // It may have ended by itself; either way it is reaped.
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

/// Ports that are free now: Prosody cannot be told to take whichever is. They lie below those that the kernel gives to others, and none is
/// tried twice, so that several at a time do not meet.
fn free_ports() -> Result<[SocketAddr; 3]> {
    static NEXT: OnceLock<AtomicU16> = OnceLock::new();
    let next = NEXT.get_or_init(|| AtomicU16::new(rand::random_range(12_000..28_000)));
    let mut free = std::iter::repeat_with(|| SocketAddr::from(([127, 0, 0, 1], next.fetch_add(1, Ordering::Relaxed))))
        .take(1000)
        .filter(|address| TcpListener::bind(address).is_ok());
    let mut port = || free.next().context("no port is free");
    Ok([port()?, port()?, port()?])
}

fn write_certificate(directory: &Path) -> Result<()> {
    let names = [DOMAIN.to_owned(), ROOMS.to_owned()];
    let made = rcgen::generate_simple_self_signed(names)?;
    fs::write(directory.join("cert.pem"), made.cert.pem())?;
    fs::write(directory.join("key.pem"), made.signing_key.serialize_pem())?;
    Ok(())
}

/// Copies the log to a file and hands its lines on as long as somebody wants them.
fn log_of(child: &mut Child, directory: &Path) -> Result<Receiver<String>> {
    let (send, receive) = sync_channel(1000);
    let stdout = child.stdout.take().context("no stdout")?;
    let mut file = fs::File::create(directory.join("log"))?;
    std::thread::Builder::new().name("prosody".into()).spawn(move || {
        for line in BufReader::new(stdout).lines().map_while(Result::ok) {
            // A log that cannot be written is missed when something fails, and only then.
            std::io::Write::write_all(&mut file, format!("{line}\n").as_bytes()).ok();
            send.try_send(line).ok();
        }
    })?;
    Ok(receive)
}

fn configuration(directory: &Path, endpoints: &Endpoints, staff: &BTreeSet<String>) -> String {
    let path = directory.display();
    let mut admins = format!("\"{OPERATOR}@{DOMAIN}\"");
    for name in staff {
        let _ = write!(admins, ", \"{name}@{DOMAIN}\"");
    }
    format!(
        r#"run_as_root = true
pidfile = "{path}/pid"
data_path = "{path}/data"
log = {{ {{ levels = {{ min = "info" }}, to = "console" }} }}
admins = {{ {admins} }}
interfaces = {{ "127.0.0.1" }}
c2s_ports = {{ {tcp} }}
c2s_direct_tls_ports = {{ {tls} }}
http_ports = {{ {http} }}
https_ports = {{}}
legacy_ssl_ports = {{}}
modules_disabled = {{ "s2s" }}
modules_enabled = {{
  "roster", "saslauth", "tls", "disco", "carbons", "pep", "private", "blocklist", "vcard4", "vcard_legacy", "version", "time",
  "ping", "smacks", "mam", "csi_simple", "bookmarks", "websocket", "http", "external_services", "posix",
}}
ssl = {{ certificate = "{path}/cert.pem"; key = "{path}/key.pem" }}
c2s_direct_tls_ssl = {{ certificate = "{path}/cert.pem"; key = "{path}/key.pem" }}
authentication = "internal_plain"
storage = "internal"
c2s_require_encryption = false
allow_unencrypted_plain_auth = true
consider_websocket_secure = true
http_default_host = "{DOMAIN}"
cross_domain_websocket = true
default_archive_policy = true
external_services = {{ {{ type = "stun", transport = "udp", host = "stun.example", port = 3478 }} }}
VirtualHost "{DOMAIN}"
Component "{ROOMS}" "muc"
  name = "Rooms"
  modules_enabled = {{ "muc_mam", "vcard_muc", "muc_moderation" }}
  muc_room_locking = false
  muc_room_default_persistent = true
  muc_room_default_public = true
  muc_room_default_history_length = 20
  muc_log_by_default = true
"#,
        tcp = endpoints.tcp.port(),
        tls = endpoints.tls.port(),
        http = endpoints.http.port(),
    )
}
