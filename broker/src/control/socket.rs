//! The control socket: `<data>/control/control.sock` in a 0700 directory, JSON lines, one answer for each request. Only the user that
//! runs the server (and root, who could read the store anyway) is listened to.

use std::fs::{self, DirBuilder, File, Permissions};
use std::io;
use std::os::fd::AsRawFd;
use std::os::unix::fs::{DirBuilderExt, PermissionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Duration;

use serde::{Deserialize, Serialize};
use tokio::io::{AsyncBufReadExt, AsyncReadExt, AsyncWriteExt, BufReader};
use tokio::net::{UnixListener, UnixStream};
use tokio::sync::Semaphore;
use tokio::task::JoinHandle;
use tokio::time::timeout;

use super::{ControlError, ControlReply, ControlRequest, handle};
use crate::hub::Hub;

/// Longest request, in bytes.
const MAX_REQUEST_BYTES: u64 = 65_536;
/// Longest answer: a page of users.
const MAX_ANSWER_BYTES: u64 = 4_194_304;
/// Connections served at once; more wait.
const MAX_CONNECTIONS: usize = 16;
/// How long a connection may be silent.
const SILENCE: Duration = Duration::from_secs(10);
/// How long the command line waits for an answer that is not slow by its nature.
const ANSWER: Duration = Duration::from_secs(60);
/// Longest path that fits into a socket address, its final zero left out.
const MAX_PATH_BYTES: usize = 107;

#[derive(Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
enum Answer {
    Ok(ControlReply),
    Error(ControlError),
}

fn directory(data_dir: &Path) -> PathBuf {
    data_dir.join("control")
}

/// Where the socket of a data directory is.
#[must_use]
pub fn path(data_dir: &Path) -> PathBuf {
    directory(data_dir).join("control.sock")
}

/// Calls `reach` with a path to the socket that a socket address can hold: a long one is reached through the open directory.
fn reach<T>(data_dir: &Path, reach: impl FnOnce(&Path) -> io::Result<T>) -> io::Result<T> {
    let whole = path(data_dir);
    if whole.as_os_str().len() <= MAX_PATH_BYTES {
        return reach(&whole);
    }
    if !cfg!(target_os = "linux") {
        let text = format!("the path {} is too long for a socket: take a shorter --data", whole.display());
        return Err(io::Error::new(io::ErrorKind::InvalidInput, text));
    }
    let directory = File::open(directory(data_dir))?;
    reach(&Path::new("/proc/self/fd").join(directory.as_raw_fd().to_string()).join("control.sock"))
}

/// Answers requests until it is stopped or dropped.
#[derive(Debug)]
pub struct ControlServer {
    accepting: JoinHandle<()>,
    path: PathBuf,
}

impl ControlServer {
    /// Opens the socket and answers on it. Whoever holds the hub holds the store's lock, so a socket that is there is a dead server's.
    ///
    /// # Errors
    /// When the directory or the socket cannot be made.
    pub fn start(hub: Arc<Hub>, data_dir: &Path) -> io::Result<Self> {
        make_private(&directory(data_dir))?;
        let path = path(data_dir);
        match fs::remove_file(&path) {
            Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(error),
            _ => {}
        }
        let listener = reach(data_dir, |path| UnixListener::bind(path))?;
        fs::set_permissions(&path, Permissions::from_mode(0o600))?;
        Ok(Self { accepting: tokio::spawn(accept(hub, listener)), path })
    }

    /// Takes no more requests.
    pub fn stop(self) {}
}

impl Drop for ControlServer {
    fn drop(&mut self) {
        self.accepting.abort();
        let _ = fs::remove_file(&self.path);
    }
}

fn make_private(directory: &Path) -> io::Result<()> {
    DirBuilder::new().recursive(true).mode(0o700).create(directory)?;
    fs::set_permissions(directory, Permissions::from_mode(0o700))
}

async fn accept(hub: Arc<Hub>, listener: UnixListener) {
    let free = Arc::new(Semaphore::new(MAX_CONNECTIONS));
    while let Ok(place) = Arc::clone(&free).acquire_owned().await {
        match listener.accept().await {
            Ok((stream, _)) => {
                let hub = Arc::clone(&hub);
                tokio::spawn(async move {
                    let _place = place;
                    if let Err(error) = converse(&hub, stream).await {
                        tracing::debug!(%error, "control connection");
                    }
                });
            }
            Err(error) => {
                tracing::warn!(%error, "control socket");
                tokio::time::sleep(Duration::from_secs(1)).await;
            }
        }
    }
}

/// One connection: requests and answers in turn, until the other side hangs up.
async fn converse(hub: &Arc<Hub>, stream: UnixStream) -> io::Result<()> {
    let mut stream = BufReader::new(stream);
    if let Err(refused) = may_ask(stream.get_ref().peer_cred()?.uid()) {
        return send(&mut stream, &Answer::Error(refused)).await;
    }
    loop {
        let line = match timeout(SILENCE, read_line(&mut stream, MAX_REQUEST_BYTES)).await {
            Ok(line) => line?,
            Err(_) => return Ok(()),
        };
        let Some(line) = line else { return Ok(()) };
        let answer = match serde_json::from_slice::<ControlRequest>(&line) {
            Ok(request) => handle(hub, request).await,
            Err(error) => Err(ControlError::new("bad_request", format!("not a request of this version: {error}"))),
        };
        send(&mut stream, &answer.map_or_else(Answer::Error, Answer::Ok)).await?;
    }
}

fn may_ask(peer: u32) -> Result<(), ControlError> {
    if peer == 0 || peer == rustix::process::geteuid().as_raw() {
        return Ok(());
    }
    Err(ControlError::new("wrong_user", "the server runs as another user: run the command as that user"))
}

/// A line without its end; `None` at the end of the stream, an error when it is longer than `most` bytes.
async fn read_line(stream: &mut BufReader<UnixStream>, most: u64) -> io::Result<Option<Vec<u8>>> {
    let mut line = Vec::new();
    let read = stream.take(most).read_until(b'\n', &mut line).await?;
    match line.pop() {
        None => Ok(None),
        Some(b'\n') => Ok(Some(line)),
        Some(_) if read as u64 == most => Err(io::Error::new(io::ErrorKind::InvalidData, "the line is too long")),
        Some(_) => Err(io::ErrorKind::UnexpectedEof.into()),
    }
}

async fn send(stream: &mut BufReader<UnixStream>, message: &impl Serialize) -> io::Result<()> {
    let mut line = serde_json::to_vec(message)?;
    line.push(b'\n');
    match timeout(SILENCE, stream.write_all(&line)).await {
        Ok(sent) => sent,
        Err(_) => Err(io::ErrorKind::TimedOut.into()),
    }
}

/// The command line's end of the socket.
#[derive(Debug)]
pub struct ControlClient {
    stream: BufReader<UnixStream>,
}

impl ControlClient {
    /// Connects to the server that runs on a data directory, `None` when none does.
    ///
    /// # Errors
    /// When there is a socket that cannot be used, by its permissions for example.
    pub async fn connect(data_dir: &Path) -> io::Result<Option<Self>> {
        let connected = reach(data_dir, |path| std::os::unix::net::UnixStream::connect(path));
        match connected {
            Ok(stream) => {
                stream.set_nonblocking(true)?;
                Ok(Some(Self { stream: BufReader::new(UnixStream::from_std(stream)?) }))
            }
            Err(error)
                if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::NotADirectory | io::ErrorKind::ConnectionRefused) =>
            {
                Ok(None)
            }
            Err(error) => Err(error),
        }
    }

    /// Asks, and waits for the answer.
    ///
    /// # Errors
    /// The server's refusal, or `no_answer`.
    pub async fn ask(&mut self, request: &ControlRequest) -> Result<ControlReply, ControlError> {
        let no_answer = |error: io::Error| ControlError::new("no_answer", format!("the running server did not answer: {error}"));
        send(&mut self.stream, request).await.map_err(no_answer)?;
        let reading = read_line(&mut self.stream, MAX_ANSWER_BYTES);
        let line = if request.is_slow() {
            reading.await
        } else {
            timeout(ANSWER, reading).await.unwrap_or_else(|_| Err(io::ErrorKind::TimedOut.into()))
        };
        let line = line.and_then(|line| line.ok_or_else(|| io::ErrorKind::UnexpectedEof.into())).map_err(no_answer)?;
        match serde_json::from_slice(&line) {
            Ok(Answer::Ok(reply)) => Ok(reply),
            Ok(Answer::Error(error)) => Err(error),
            Err(error) => Err(ControlError::new("no_answer", format!("the running server is of another version: {error}"))),
        }
    }
}
