//! The peer that MQTT is measured beside: mosquitto, started here with a configuration of its own and ended here.

use std::fmt::Write as _;
use std::net::{Ipv4Addr, SocketAddr, TcpListener, TcpStream};
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, ensure};
use tempfile::TempDir;

const READY_WITHIN: Duration = Duration::from_secs(10);

/// Beside the defaults: nothing on the disk, no Nagle, and no bound that would drop or hold back what a window of
/// 100 messages to 1,000 subscribers has outstanding (by default 20 in flight and 1,000 queued per client). It would
/// give up root, which could not read the certificate; the line means nothing to a start by anyone else.
const SETTINGS: &str = "allow_anonymous true
user root
persistence false
log_dest none
set_tcp_nodelay true
max_inflight_messages 0
max_queued_messages 0
";

/// [`SETTINGS`] for the report's notes.
pub const SETTINGS_NOTE: &str = "no persistence, set_tcp_nodelay true, max_inflight_messages 0, max_queued_messages 0";

/// A running mosquitto. It is killed when this is dropped.
pub struct Mosquitto {
    child: Option<Child>,
    dir: TempDir,
    pub plain: SocketAddr,
    /// Where a certificate could be made.
    pub tls: Option<SocketAddr>,
}

/// Its version; `None` where it is not installed.
pub fn version() -> Option<String> {
    let help = Command::new(program()).arg("-h").output().ok()?;
    // `mosquitto version 2.0.11`, then the options.
    let help = String::from_utf8_lossy(&help.stdout).into_owned();
    Some(help.split_whitespace().nth(2).unwrap_or("of unknown version").to_owned())
}

/// Debian puts it where only root looks.
fn program() -> &'static str {
    if Path::new("/usr/sbin/mosquitto").exists() { "/usr/sbin/mosquitto" } else { "mosquitto" }
}

impl Mosquitto {
    pub fn start() -> Result<Mosquitto> {
        let dir = tempfile::Builder::new().prefix("bench-mosquitto-").tempdir()?;
        let plain = free_address()?;
        let tls = make_certificate(dir.path()).then(free_address).transpose()?;
        let mut config = format!("{SETTINGS}listener {} {}\n", plain.port(), plain.ip());
        if let Some(tls) = tls {
            let dir = dir.path().display();
            write!(config, "listener {} {}\ncertfile {dir}/cert.pem\nkeyfile {dir}/key.pem\n", tls.port(), tls.ip())?;
        }
        std::fs::write(dir.path().join("mosquitto.conf"), config)?;
        let mut mosquitto = Mosquitto { child: None, dir, plain, tls };
        mosquitto.restart()?;
        Ok(mosquitto)
    }

    /// A fresh process on the same addresses, once it accepts.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        let config = self.dir.path().join("mosquitto.conf");
        let child = Command::new(program()).arg("-c").arg(config).stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null()).spawn();
        self.child = Some(child.context("cannot start mosquitto")?);
        for address in std::iter::once(self.plain).chain(self.tls) {
            await_listener(address)?;
        }
        Ok(())
    }

    fn stop(&mut self) {
        if let Some(mut child) = self.child.take() {
            child.kill().ok();
            child.wait().ok();
        }
    }

    pub fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().context("mosquitto does not run")?.id())
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        self.stop();
    }
}

/// mosquitto takes no port 0. Between this and its start another process could take the port; then the start fails.
fn free_address() -> Result<SocketAddr> {
    Ok(TcpListener::bind((Ipv4Addr::LOCALHOST, 0))?.local_addr()?)
}

fn await_listener(address: SocketAddr) -> Result<()> {
    let start = Instant::now();
    while TcpStream::connect(address).is_err() {
        ensure!(start.elapsed() < READY_WITHIN, "mosquitto does not listen on {address} after {READY_WITHIN:?}");
        std::thread::sleep(Duration::from_millis(20));
    }
    Ok(())
}

/// `cert.pem` and `key.pem` by the `openssl` program; false when there is none.
fn make_certificate(dir: &Path) -> bool {
    let arguments = "req -x509 -newkey ec -pkeyopt ec_paramgen_curve:prime256v1 -nodes -keyout key.pem -out cert.pem -days 2 \
                     -subj /CN=localhost -addext subjectAltName=DNS:localhost,IP:127.0.0.1";
    let made = Command::new("openssl").args(arguments.split(' ')).current_dir(dir).stdout(Stdio::null()).stderr(Stdio::null()).status();
    made.is_ok_and(|status| status.success())
}
