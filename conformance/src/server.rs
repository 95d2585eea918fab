//! A server under test: the release binary as a child process, on free ports and a data directory of its own.
//!
//! ```no_run
//! # fn main() -> anyhow::Result<()> {
//! use conformance::server::{Options, Server};
//! let mut server = Server::start(Options::new().set("limits.messages_per_second", 0))?;
//! println!("{} {} bytes", server.http(), server.rss_bytes()?);
//! server.kill()?; // SIGKILL
//! server.restart()?; // the same data; the port is a new one
//! server.terminate()?; // SIGTERM, exit status 0
//! # Ok(()) }
//! ```
//!
//! The child ends with its [`Server`] (unless this program is killed itself). Its stderr is kept in a file and shown when something fails.

use std::fs::File;
use std::io::{BufRead, BufReader, Write};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, ExitStatus, Output, Stdio};
use std::sync::mpsc::{Receiver, RecvTimeoutError, sync_channel};
use std::time::Duration;

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::event::{PollFd, PollFlags, Timespec, poll};
use rustix::process::{Pid, PidfdFlags, Signal, kill_process, pidfd_open};
use tempfile::TempDir;

use crate::xmpp::client::Endpoints;

/// A loopback address with whatever port is free.
const FREE_PORT: &str = "127.0.0.1:0";
/// How long a server may take to print `ready`, unless told otherwise.
pub const READY_WITHIN: Duration = Duration::from_secs(20);
/// How long a server may take to exit after SIGTERM.
pub const EXIT_WITHIN: Duration = Duration::from_secs(20);

/// What the server is started with.
#[derive(Debug, Clone)]
pub struct Options {
    data: Option<PathBuf>,
    settings: Vec<(String, String)>,
    config: Option<String>,
    args: Vec<String>,
    xmpp: bool,
    ready_within: Duration,
}

impl Default for Options {
    fn default() -> Options {
        Options { data: None, settings: Vec::new(), config: None, args: Vec::new(), xmpp: false, ready_within: READY_WITHIN }
    }
}

impl Options {
    /// Demo mode, default limits, a temporary data directory.
    #[must_use]
    pub fn new() -> Options {
        Options::default()
    }

    /// Sets a configuration key as DESIGN.md names it, e.g. `("limits.messages_per_second", 0)`, through the environment.
    #[must_use]
    pub fn set(mut self, key: &str, value: impl ToString) -> Options {
        self.settings.push((variable(key), value.to_string()));
        self
    }

    /// Switches the limits off that a load generator runs into: message rate, sign-in rate, connections per address.
    #[must_use]
    pub fn without_rates(self) -> Options {
        self.set("limits.messages_per_second", 0)
            .set("limits.failed_logins_per_minute_per_address", 0)
            .set("limits.unauthenticated_per_address", 0)
    }

    /// A whole `hallway.toml`; remember that its presence switches the default mode to `server`.
    #[must_use]
    pub fn config(mut self, toml: &str) -> Options {
        self.config = Some(toml.to_owned());
        self
    }

    /// Keeps the data here instead of in a temporary directory. It is not removed afterwards.
    #[must_use]
    pub fn data(mut self, dir: &Path) -> Options {
        self.data = Some(dir.to_owned());
        self
    }

    /// One more command line argument for `serve`.
    #[must_use]
    pub fn arg(mut self, arg: &str) -> Options {
        self.args.push(arg.to_owned());
        self
    }

    /// With XMPP, which is off otherwise.
    #[must_use]
    pub fn xmpp(mut self) -> Options {
        self.xmpp = true;
        self
    }

    /// How long `ready` may take.
    #[must_use]
    pub fn ready_within(mut self, within: Duration) -> Options {
        self.ready_within = within;
        self
    }
}

/// `limits.text_bytes` → `HALLWAY_LIMITS__TEXT_BYTES`.
fn variable(key: &str) -> String {
    format!("HALLWAY_{}", key.to_uppercase().replace('.', "__"))
}

/// The binary under test: `HALLWAY_BIN`, or the workspace's release build.
///
/// # Errors
/// When there is none, with the command that builds it.
pub fn binary() -> Result<PathBuf> {
    let path = match std::env::var_os("HALLWAY_BIN") {
        Some(path) => PathBuf::from(path),
        None => target_dir().join("release/hallway"),
    };
    ensure!(path.is_file(), "no server binary at {}: run 'cargo build --release', or name one in HALLWAY_BIN", path.display());
    Ok(path)
}

/// Where the workspace's builds go, and what the suites fetch.
#[must_use]
pub fn target_dir() -> PathBuf {
    let workspace = Path::new(env!("CARGO_MANIFEST_DIR")).parent().unwrap_or(Path::new("."));
    workspace.join(std::env::var_os("CARGO_TARGET_DIR").map_or_else(|| "target".into(), PathBuf::from))
}

/// A start that ended instead of printing `ready`.
#[derive(Debug)]
pub struct Refusal {
    /// How the process ended.
    pub status: ExitStatus,
    /// What it wrote to stderr.
    pub stderr: String,
}

/// A server process and its data.
#[derive(Debug)]
pub struct Server {
    options: Options,
    data: PathBuf,
    // Holds stderr, the configuration, and the data unless they were put elsewhere.
    scratch: Option<TempDir>,
    keep: bool,
    child: Option<Child>,
    ready: String,
    http: SocketAddr,
}

impl Server {
    /// Starts the server and waits for its `ready` line.
    ///
    /// # Errors
    /// When it ends or stays silent instead; the error has the end of its stderr.
    pub fn start(options: Options) -> Result<Server> {
        let mut server = Server::prepare(options)?;
        server.restart()?;
        Ok(server)
    }

    /// Everything but the process: directories and configuration. [`Server::restart`] starts it, [`Server::cli`] works already.
    ///
    /// # Errors
    /// When the temporary directory cannot be made.
    pub fn prepare(options: Options) -> Result<Server> {
        let scratch = tempfile::Builder::new().prefix("hallway-").tempdir()?;
        let data = options.data.clone().unwrap_or_else(|| scratch.path().join("data"));
        if let Some(toml) = &options.config {
            std::fs::write(scratch.path().join("hallway.toml"), toml)?;
        }
        Ok(Server {
            options,
            data,
            scratch: Some(scratch),
            keep: std::env::var_os("HALLWAY_KEEP").is_some(),
            child: None,
            ready: String::new(),
            http: SocketAddr::from(([127, 0, 0, 1], 0)),
        })
    }

    /// Writes a `hallway.toml` that could not be known before: from the next start on it counts.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn configure(&mut self, toml: &str) -> Result<()> {
        std::fs::write(self.scratch().join("hallway.toml"), toml)?;
        self.options.config = Some(toml.to_owned());
        Ok(())
    }

    /// Starts the process again on the same data; kills it first when it runs. The address changes.
    ///
    /// # Errors
    /// As [`Server::start`].
    pub fn restart(&mut self) -> Result<()> {
        match self.try_start()? {
            None => Ok(()),
            Some(refusal) => {
                bail!("the server ended with {} instead of getting ready; its stderr:\n{}", refusal.status, refusal.stderr)
            }
        }
    }

    /// Starts a server that is expected to refuse: its exit status and stderr.
    ///
    /// # Errors
    /// When it gets ready, or does neither in time.
    pub fn expect_refusal(&mut self) -> Result<Refusal> {
        match self.try_start()? {
            Some(refusal) => Ok(refusal),
            None => bail!("the server got ready ({}) where it should have refused to start", self.ready),
        }
    }

    /// Starts the process: `None` when it got ready, else how it refused.
    ///
    /// # Errors
    /// When it does neither in time.
    pub fn try_start(&mut self) -> Result<Option<Refusal>> {
        if self.child.is_some() {
            self.kill()?;
        }
        let xmpp = if self.options.xmpp { FREE_PORT } else { "none" };
        let mut child = self
            .command(&["serve", "--http", FREE_PORT, "--mqtt", FREE_PORT, "--mqtts", FREE_PORT, "--xmpp", xmpp, "--xmpps", xmpp])?
            .args(&self.options.args)
            .stdin(Stdio::null())
            .stdout(Stdio::piped())
            .stderr(Stdio::from(self.stderr_file()?))
            .spawn()
            .context("cannot start the server")?;
        let lines = lines_of(child.stdout.take().ok_or_else(|| anyhow!("no stdout"))?)?;
        let answer = lines.recv_timeout(self.options.ready_within);
        self.child = Some(child);
        match answer {
            Ok(line) => {
                self.http = address(&line, "http").with_context(|| format!("the first line on stdout was {line:?}"))?;
                self.ready = line;
                Ok(None)
            }
            Err(RecvTimeoutError::Disconnected) => {
                let status = self.wait(EXIT_WITHIN)?;
                Ok(Some(Refusal { status, stderr: self.stderr_tail(40) }))
            }
            Err(RecvTimeoutError::Timeout) => {
                self.kill()?;
                bail!("no ready line within {:?}; stderr:\n{}", self.options.ready_within, self.stderr_tail(40))
            }
        }
    }

    /// Starts the process and kills it after `delay`, ready or not: a crash during recovery. True when it had got ready.
    ///
    /// # Errors
    /// When it ends by itself before that.
    pub fn kill_while_starting(&mut self, delay: Duration) -> Result<bool> {
        let within = std::mem::replace(&mut self.options.ready_within, delay);
        let launched = self.try_start();
        self.options.ready_within = within;
        match launched {
            Ok(None) => self.kill().map(|()| true),
            Ok(Some(refusal)) => bail!("the server ended with {}; stderr:\n{}", refusal.status, refusal.stderr),
            // Not ready in time: it was killed.
            Err(_) if self.child.is_none() => Ok(false),
            Err(error) => Err(error),
        }
    }

    /// The binary with `args` first, then data directory and configuration, in an environment free of other `HALLWAY_*`.
    fn command(&self, args: &[&str]) -> Result<Command> {
        let mut command = Command::new(binary()?);
        for (name, _) in std::env::vars_os() {
            if name.to_string_lossy().starts_with("HALLWAY_") {
                command.env_remove(name);
            }
        }
        command.args(args).arg("--data").arg(&self.data).current_dir(self.scratch());
        if self.options.config.is_some() {
            command.arg("--config").arg(self.scratch().join("hallway.toml"));
        }
        command.envs(self.options.settings.iter().map(|(key, value)| (key, value)));
        Ok(command)
    }

    /// A directory that lives as long as this server: for backups and other files of a test.
    ///
    /// # Panics
    /// Never while the server is not being dropped.
    #[must_use]
    pub fn scratch(&self) -> &Path {
        self.scratch.as_ref().map_or(Path::new("/nonexistent"), |scratch| scratch.path())
    }

    fn stderr_file(&self) -> Result<File> {
        let mut file = File::options().create(true).append(true).open(self.scratch().join("stderr"))?;
        writeln!(file, "---- start")?;
        Ok(file)
    }

    /// Where HTTP and WebSocket listen.
    #[must_use]
    pub fn http(&self) -> SocketAddr {
        self.http
    }

    /// Where MQTT listens.
    ///
    /// # Errors
    /// It does not.
    pub fn mqtt(&self) -> Result<SocketAddr> {
        address(&self.ready, "mqtt")
    }

    /// Where MQTT over TLS listens.
    ///
    /// # Errors
    /// It does not.
    pub fn mqtts(&self) -> Result<SocketAddr> {
        address(&self.ready, "mqtts")
    }

    /// Where XMPP listens, for the demo's domain.
    ///
    /// # Errors
    /// It does not.
    pub fn xmpp_endpoints(&self) -> Result<Endpoints> {
        let (tcp, tls) = (address(&self.ready, "xmpp")?, address(&self.ready, "xmpps")?);
        Ok(Endpoints { domain: "localhost".into(), tcp, tls, http: self.http })
    }

    /// The whole `ready` line.
    #[must_use]
    pub fn ready_line(&self) -> &str {
        &self.ready
    }

    /// The data directory.
    #[must_use]
    pub fn data(&self) -> &Path {
        &self.data
    }

    /// Leaves the scratch directory behind, for whoever looks into a failure. `HALLWAY_KEEP=1` does it always.
    pub fn keep(&mut self) {
        self.keep = true;
    }

    /// From the next start or command on, the data is here.
    pub fn set_data(&mut self, dir: &Path) {
        self.data = dir.to_owned();
    }

    /// The process id, while it runs.
    ///
    /// # Errors
    /// When it does not run.
    pub fn pid(&self) -> Result<u32> {
        Ok(self.child.as_ref().ok_or_else(|| anyhow!("the server does not run"))?.id())
    }

    /// Whether the process still runs.
    ///
    /// # Errors
    /// When the operating system does not say.
    pub fn is_running(&mut self) -> Result<bool> {
        match &mut self.child {
            None => Ok(false),
            Some(child) => Ok(child.try_wait()?.is_none()),
        }
    }

    /// SIGKILL, and waits until it is gone.
    ///
    /// # Errors
    /// When it does not run.
    pub fn kill(&mut self) -> Result<()> {
        let mut child = self.child.take().ok_or_else(|| anyhow!("the server does not run"))?;
        child.kill()?;
        child.wait()?;
        Ok(())
    }

    /// Sends SIGTERM and does not wait. See [`Server::wait`].
    ///
    /// # Errors
    /// When it does not run.
    pub fn signal_terminate(&self) -> Result<()> {
        kill_process(self.own_pid()?, Signal::TERM)?;
        Ok(())
    }

    /// SIGTERM; the server must drain and exit with status 0.
    ///
    /// # Errors
    /// When it does not, in time.
    pub fn terminate(&mut self) -> Result<()> {
        self.signal_terminate()?;
        let status = self.wait(EXIT_WITHIN)?;
        ensure!(status.success(), "after SIGTERM the server ended with {status}; stderr:\n{}", self.stderr_tail(40));
        Ok(())
    }

    /// Waits until the process has ended.
    ///
    /// # Errors
    /// When it has not within `within`; it is killed then.
    pub fn wait(&mut self, within: Duration) -> Result<ExitStatus> {
        let handle = pidfd_open(self.own_pid()?, PidfdFlags::empty())?;
        let limit = Timespec { tv_sec: within.as_secs().try_into()?, tv_nsec: within.subsec_nanos().into() };
        let ended = poll(&mut [PollFd::new(&handle, PollFlags::IN)], Some(&limit))? == 1;
        if !ended {
            self.kill()?;
            bail!("the server did not end within {within:?}; stderr:\n{}", self.stderr_tail(40));
        }
        let mut child = self.child.take().ok_or_else(|| anyhow!("the server does not run"))?;
        Ok(child.wait()?)
    }

    fn own_pid(&self) -> Result<Pid> {
        Pid::from_raw(self.pid()?.try_into()?).ok_or_else(|| anyhow!("process id 0"))
    }

    /// Resident memory now.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn rss_bytes(&self) -> Result<u64> {
        rss_bytes_of(self.pid()?)
    }

    /// The largest resident memory since the start.
    ///
    /// # Errors
    /// When the server does not run.
    pub fn peak_rss_bytes(&self) -> Result<u64> {
        status_bytes(self.pid()?, "VmHWM:")
    }

    /// Runs `hallway ARGS… --data DIR` to its end, whatever its exit status.
    ///
    /// # Errors
    /// When it cannot be started.
    pub fn cli(&self, args: &[&str]) -> Result<Output> {
        self.command(args)?.stdin(Stdio::null()).output().context("cannot run the command line")
    }

    /// Runs a command that must succeed, and returns its stdout without the line end.
    ///
    /// # Errors
    /// When the exit status is not 0; with its stderr.
    pub fn cli_ok(&self, args: &[&str]) -> Result<String> {
        let output = self.cli(args)?;
        ensure!(
            output.status.success(),
            "'hallway {}' ended with {}: {}",
            args.join(" "),
            output.status,
            String::from_utf8_lossy(&output.stderr)
        );
        Ok(String::from_utf8_lossy(&output.stdout).trim_end().to_owned())
    }

    /// The last lines of what the server wrote to stderr.
    #[must_use]
    pub fn stderr_tail(&self, lines: usize) -> String {
        let bytes = std::fs::read(self.scratch().join("stderr")).unwrap_or_default();
        let text = String::from_utf8_lossy(&bytes);
        let all: Vec<&str> = text.lines().collect();
        all[all.len().saturating_sub(lines)..].join("\n")
    }
}

impl Drop for Server {
    fn drop(&mut self) {
        if let Some(mut child) = self.child.take() {
            // It may have ended by itself; either way it is reaped.
            child.kill().ok();
            child.wait().ok();
        }
        if self.keep
            && let Some(scratch) = self.scratch.take()
        {
            eprintln!("kept {}", scratch.keep().display());
        }
    }
}

/// A process's resident memory, for threads that watch a server while others use it.
///
/// # Errors
/// When there is no such process.
pub fn rss_bytes_of(pid: u32) -> Result<u64> {
    status_bytes(pid, "VmRSS:")
}

fn status_bytes(pid: u32, field: &str) -> Result<u64> {
    let status = std::fs::read_to_string(format!("/proc/{pid}/status"))?;
    let kib = status.lines().find_map(|line| line.strip_prefix(field)).ok_or_else(|| anyhow!("no {field}"))?;
    Ok(kib.trim().trim_end_matches(" kB").parse::<u64>()? * 1024)
}

/// The first line of `stdout`; the rest is read and dropped, so that the server never blocks on a full pipe.
fn lines_of(stdout: std::process::ChildStdout) -> Result<Receiver<String>> {
    let (send, receive) = sync_channel(1);
    std::thread::Builder::new().name("stdout".into()).spawn(move || {
        let mut lines = BufReader::new(stdout).lines().map_while(Result::ok);
        if let Some(first) = lines.next() {
            send.send(first).ok();
        }
        lines.for_each(drop);
    })?;
    Ok(receive)
}

/// A protocol's address in `ready http=127.0.0.1:8080 mqtt=…`.
fn address(line: &str, protocol: &str) -> Result<SocketAddr> {
    let mut words = line.split_whitespace();
    ensure!(words.next() == Some("ready"), "it is not 'ready …'");
    let found = words.find_map(|word| word.strip_prefix(protocol)?.strip_prefix('='));
    Ok(found.ok_or_else(|| anyhow!("it names no {protocol} address"))?.parse()?)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn configuration_keys_become_variables() {
        assert_eq!(variable("limits.messages_per_second"), "HALLWAY_LIMITS__MESSAGES_PER_SECOND");
    }

    #[test]
    fn the_ready_line_names_the_addresses() {
        let line = "ready http=127.0.0.1:8080 mqtt=127.0.0.1:1883 mqtts=127.0.0.1:8883";
        for (protocol, port) in [("http", 8080), ("mqtt", 1883), ("mqtts", 8883)] {
            assert_eq!(address(line, protocol).expect("an address").port(), port);
        }
        assert!(address("ready mqtt=127.0.0.1:1883", "http").is_err());
        assert!(address("Ready http=127.0.0.1:8080", "http").is_err());
    }
}
