//! The venue's own broker: a mosquitto with two doors, a plain one for the readers and one over TLS for whoever joins them with Hallway.

use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rcgen::{BasicConstraints, CertificateParams, IsCa, Issuer, KeyPair};
use rustix::process::{Pid, Signal, kill_process};

use crate::suite::interop;

/// How long it may take to listen, and to end.
const WITHIN: Duration = Duration::from_secs(10);
/// Hallway's name there, and its password.
pub const BRIDGE: (&str, &str) = ("hallway", "bridge-secret-1");
/// The readers' name there, and their password.
pub const READERS: (&str, &str) = ("readers", "readers-secret-1");

/// A mosquitto and its directory.
#[derive(Debug)]
pub struct Mosquitto {
    dir: PathBuf,
    plain: SocketAddr,
    tls: SocketAddr,
    child: Option<Child>,
}

impl Mosquitto {
    /// Starts it in `dir`.
    ///
    /// # Errors
    /// It is not installed, or does not start.
    pub fn start(dir: &Path) -> Result<Self> {
        interop::set_up_broker()?;
        std::fs::create_dir_all(dir)?;
        certificates(dir)?;
        passwords(dir)?;
        let mut one = Self { dir: dir.to_owned(), plain: free_port()?, tls: free_port()?, child: None };
        std::fs::write(dir.join("mosquitto.conf"), one.configuration())?;
        one.restart()?;
        Ok(one)
    }

    /// Where the readers connect.
    #[must_use]
    pub fn plain(&self) -> SocketAddr {
        self.plain
    }

    /// Where Hallway connects.
    #[must_use]
    pub fn url(&self) -> String {
        format!("mqtts://localhost:{}", self.tls.port())
    }

    /// The certificate that its own is signed with.
    #[must_use]
    pub fn ca_file(&self) -> PathBuf {
        self.dir.join("ca.pem")
    }

    /// The password of [`BRIDGE`], in a file.
    #[must_use]
    pub fn password_file(&self) -> PathBuf {
        self.dir.join("bridge.password")
    }

    /// Ends it as its service does; what it keeps is written to disk.
    ///
    /// # Errors
    /// It does not end.
    pub fn stop(&mut self) -> Result<()> {
        let mut child = self.child.take().context("mosquitto does not run")?;
        let pid = Pid::from_raw(child.id().try_into()?).context("process id 0")?;
        kill_process(pid, Signal::TERM)?;
        let end = Instant::now() + WITHIN;
        while child.try_wait()?.is_none() {
            if Instant::now() > end {
                child.kill()?;
                child.wait()?;
                bail!("mosquitto did not end within {WITHIN:?}");
            }
            std::thread::park_timeout(Duration::from_millis(10));
        }
        Ok(())
    }

    /// Starts it, with what it had kept, and waits until it listens.
    ///
    /// # Errors
    /// It does not listen in time.
    pub fn restart(&mut self) -> Result<()> {
        let log = std::fs::File::options().create(true).append(true).open(self.dir.join("log"))?;
        let mut command = Command::new(program());
        command.arg("-c").arg(self.dir.join("mosquitto.conf")).stdin(Stdio::null()).stdout(log.try_clone()?).stderr(log);
        let mut child = command.spawn().context("cannot start mosquitto")?;
        let end = Instant::now() + WITHIN;
        while TcpStream::connect(self.plain).is_err() || TcpStream::connect(self.tls).is_err() {
            if let Some(status) = child.try_wait()? {
                bail!("mosquitto ended with {status}: {}", self.log());
            }
            ensure!(Instant::now() < end, "mosquitto does not listen within {WITHIN:?}: {}", self.log());
            std::thread::park_timeout(Duration::from_millis(10));
        }
        self.child = Some(child);
        Ok(())
    }

    fn log(&self) -> String {
        std::fs::read_to_string(self.dir.join("log")).unwrap_or_default()
    }

    fn configuration(&self) -> String {
        let dir = self.dir.display();
        let (plain, tls) = (self.plain.port(), self.tls.port());
        // As root it would become another user, whose the directory is not.
        let user = if rustix::process::geteuid().is_root() { "user root\n" } else { "" };
        format!(
            "{user}per_listener_settings false\nallow_anonymous false\npassword_file {dir}/passwords\n\
             listener {plain} 127.0.0.1\n\
             listener {tls} 127.0.0.1\ncertfile {dir}/cert.pem\nkeyfile {dir}/key.pem\n\
             persistence true\npersistence_location {dir}/\nmax_queued_messages 0\nset_tcp_nodelay true\n"
        )
    }
}

impl Drop for Mosquitto {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way it is reaped.
            child.kill().ok();
            child.wait().ok();
        }
    }
}

/// Debian keeps it where only root looks.
fn program() -> &'static Path {
    let there = Path::new("/usr/sbin/mosquitto");
    if there.is_file() { there } else { Path::new("mosquitto") }
}

fn free_port() -> Result<SocketAddr> {
    Ok(TcpListener::bind("127.0.0.1:0")?.local_addr()?)
}

/// A certificate for `localhost` and one that it is signed with: clients trust the latter alone.
fn certificates(dir: &Path) -> Result<()> {
    let (ca_key, key) = (KeyPair::generate()?, KeyPair::generate()?);
    let mut params = CertificateParams::new(Vec::new())?;
    params.is_ca = IsCa::Ca(BasicConstraints::Unconstrained);
    let ca = params.self_signed(&ca_key)?;
    let cert =
        CertificateParams::new(vec!["localhost".to_owned(), "127.0.0.1".to_owned()])?.signed_by(&key, &Issuer::new(params, ca_key))?;
    for (name, pem) in [("ca.pem", ca.pem()), ("cert.pem", cert.pem()), ("key.pem", key.serialize_pem())] {
        std::fs::write(dir.join(name), pem)?;
    }
    Ok(())
}

fn passwords(dir: &Path) -> Result<()> {
    let file = dir.join("passwords");
    std::fs::write(&file, "")?;
    for (user, password) in [BRIDGE, READERS] {
        let output =
            Command::new("mosquitto_passwd").arg("-b").arg(&file).args([user, password]).output().context("cannot run mosquitto_passwd")?;
        ensure!(output.status.success(), "mosquitto_passwd: {}", String::from_utf8_lossy(&output.stderr));
    }
    let secret = dir.join("bridge.password");
    std::fs::write(&secret, BRIDGE.1)?;
    let mode = std::os::unix::fs::PermissionsExt::from_mode(0o600);
    std::fs::set_permissions(&secret, mode).map_err(|error| anyhow!("{}: {error}", secret.display()))
}
