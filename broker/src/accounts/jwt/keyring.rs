//! Where an identity provider's keys come from, and how they stay new: read at the start and again and again, and sooner when a token names a
//! key that is not among them, though not more often than the provider bears. Keys that could not be read again for long are not used any
//! more: a provider may have taken one back meanwhile.

use std::io;
use std::path::{Path, PathBuf};
use std::sync::{Arc, PoisonError, RwLock, RwLockReadGuard, RwLockWriteGuard};
use std::time::Duration;

use bytes::Bytes;
use tokio::sync::{Notify, watch};

use super::keys::{KeyError, Keys};
use crate::clock::Clock;
use crate::outward::{Bounds, Failure, Outward, Request, StatusCode};

/// How often keys are read again from a URL.
const URL_EVERY: Duration = Duration::from_secs(60 * 60);
/// How often from a file.
const FILE_EVERY: Duration = Duration::from_secs(60);
/// When it is tried again after it failed, and how often at most for a token with an unknown key: from a URL.
const URL_AGAIN: Duration = Duration::from_secs(30);
/// The same from a file.
const FILE_AGAIN: Duration = Duration::from_secs(2);
/// How long keys are good that cannot be read again.
const MAX_AGE: Duration = Duration::from_secs(24 * 60 * 60);
/// What reading them may take.
const BOUNDS: Bounds = Bounds { timeout: Duration::from_secs(6), body_bytes: MAX_JWKS_BYTES, needs_body: true };
/// Longest key set, in bytes.
const MAX_JWKS_BYTES: usize = 256 * 1024;
/// How long a sign-in waits for them: less than a connection may take to sign in, so that it hears why not.
const WAIT: Duration = Duration::from_secs(7);

/// Where keys come from.
#[derive(Clone, PartialEq, Eq)]
pub enum KeySource {
    /// A shared secret.
    Secret(Vec<u8>),
    /// A file with a public key in PEM.
    PublicKeyFile(PathBuf),
    /// A file with a JSON Web Key Set.
    JwksFile(PathBuf),
    /// The URL of one.
    JwksUrl(String),
}

impl std::fmt::Debug for KeySource {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        match self {
            Self::Secret(_) => f.write_str("Secret(…)"),
            Self::PublicKeyFile(path) | Self::JwksFile(path) => f.debug_tuple("File").field(path).finish(),
            Self::JwksUrl(url) => f.debug_tuple("Url").field(url).finish(),
        }
    }
}

/// Why there are no keys.
#[derive(Debug, thiserror::Error)]
pub enum KeyringError {
    /// They are there and cannot be used.
    #[error(transparent)]
    Keys(#[from] KeyError),
    /// A file.
    #[error("{}: {error}", path.display())]
    File {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: io::Error,
    },
    /// A file that is there, and what is in it.
    #[error("{}: {error}", path.display())]
    InFile {
        /// Which.
        path: PathBuf,
        /// What is wrong with it.
        error: KeyError,
    },
    /// A URL.
    #[error(transparent)]
    Url(#[from] Failure),
    /// A URL that leads elsewhere.
    #[error("the answer is {0}")]
    Status(StatusCode),
    /// No URL at all.
    #[error("it is no URL")]
    NoUrl,
}

/// The keys as they are now.
#[derive(Clone)]
pub struct Current {
    /// They.
    pub keys: Arc<Keys>,
    /// Grows when they change.
    pub generation: u64,
}

#[derive(Default)]
struct Held {
    current: Option<Current>,
    /// As they were written, to see whether they changed.
    text: Bytes,
    /// When they were last read.
    read_at: Duration,
    /// When that was last tried.
    tried_at: Option<Duration>,
    /// It is being tried.
    looking: bool,
}

/// See the module's text.
pub struct Keyring {
    source: KeySource,
    clock: Arc<dyn Clock>,
    held: RwLock<Held>,
    wanted: Notify,
    /// How often it was looked.
    looks: watch::Sender<u64>,
}

impl Keyring {
    /// The keys of a source. Files are read here, so that a server does not start with broken ones; a URL's come with [`Keyring::tend`], since
    /// a server starts although another is down.
    ///
    /// # Errors
    /// [`KeyringError`].
    pub fn open(source: KeySource, clock: Arc<dyn Clock>) -> Result<Self, KeyringError> {
        let keyring = Self { source, clock, held: RwLock::default(), wanted: Notify::new(), looks: watch::Sender::new(0) };
        let read = match &keyring.source {
            KeySource::Secret(secret) => Some((Bytes::new(), Keys::secret(secret)?)),
            KeySource::PublicKeyFile(path) => Some(read_file(path, Keys::pem)?),
            KeySource::JwksFile(path) => Some(read_file(path, Keys::jwks)?),
            KeySource::JwksUrl(url) => url.parse::<hyper::Uri>().map(|_| None).map_err(|_| KeyringError::NoUrl)?,
        };
        if let Some((text, keys)) = read {
            keyring.hold(text, keys);
        }
        Ok(keyring)
    }

    /// The keys, while they are good.
    #[must_use]
    pub fn current(&self) -> Option<Current> {
        let held = self.read();
        let is_good = self.every().is_none() || self.clock.elapsed().saturating_sub(held.read_at) < MAX_AGE;
        held.current.clone().filter(|_| is_good)
    }

    /// Has the source looked at again and waits for it, unless that was done just now.
    pub async fn look_again(&self) {
        if self.every().is_none() {
            return;
        }
        let mut looks = self.looks.subscribe();
        {
            let held = self.read();
            if !held.looking && self.was_just_tried(&held) {
                return;
            }
        }
        self.wanted.notify_one();
        // Whether it came in time or not: what is held then is what there is.
        let _ = tokio::time::timeout(WAIT, looks.changed()).await;
    }

    /// Keeps the keys new as long as it is polled.
    pub async fn tend(&self, outward: &Outward) {
        let Some(every) = self.every() else { return };
        loop {
            let wait = match self.look(outward).await {
                Ok(()) => every,
                Err(error) => {
                    tracing::warn!(%error, source = ?self.source, "the keys of an identity provider cannot be read: sign-ins go on with those of before, for a day");
                    self.again()
                }
            };
            let next = tokio::time::sleep(wait);
            tokio::pin!(next);
            loop {
                tokio::select! {
                    () = &mut next => break,
                    () = self.wanted.notified() => if !self.was_just_tried(&self.read()) { break },
                }
            }
        }
    }

    async fn look(&self, outward: &Outward) -> Result<(), KeyringError> {
        {
            let mut held = self.write();
            held.looking = true;
            held.tried_at = Some(self.clock.elapsed());
        }
        let read = self.fetch(outward).await;
        self.write().looking = false;
        let done = read.map(|(text, keys)| self.hold(text, keys));
        self.looks.send_modify(|looks| *looks += 1);
        done
    }

    async fn fetch(&self, outward: &Outward) -> Result<(Bytes, Keys), KeyringError> {
        match &self.source {
            KeySource::JwksUrl(url) => {
                let request = Request::get(url).header("accept", "application/json").body(Bytes::new()).map_err(|_| KeyringError::NoUrl)?;
                let answer = outward.send(request, BOUNDS).await?;
                if answer.status() != StatusCode::OK {
                    return Err(KeyringError::Status(answer.status()));
                }
                let text = answer.into_body();
                let keys = Keys::jwks(&text)?;
                Ok((text, keys))
            }
            KeySource::JwksFile(path) => {
                let path = path.clone();
                let read = tokio::task::spawn_blocking(move || read_file(&path, Keys::jwks)).await;
                read.unwrap_or_else(|error| Err(KeyringError::File { path: PathBuf::new(), error: io::Error::other(error) }))
            }
            KeySource::Secret(_) | KeySource::PublicKeyFile(_) => Err(KeyringError::NoUrl),
        }
    }

    fn hold(&self, text: Bytes, keys: Keys) {
        let mut held = self.write();
        held.read_at = self.clock.elapsed();
        match &held.current {
            Some(_) if held.text == text => {}
            before => {
                let generation = before.as_ref().map_or(0, |before| before.generation + 1);
                held.current = Some(Current { keys: Arc::new(keys), generation });
                held.text = text;
            }
        }
    }

    fn was_just_tried(&self, held: &Held) -> bool {
        held.tried_at.is_some_and(|tried| self.clock.elapsed().saturating_sub(tried) < self.again())
    }

    /// How often the keys are read again; `None`: they stay.
    fn every(&self) -> Option<Duration> {
        match self.source {
            KeySource::Secret(_) | KeySource::PublicKeyFile(_) => None,
            KeySource::JwksFile(_) => Some(FILE_EVERY),
            KeySource::JwksUrl(_) => Some(URL_EVERY),
        }
    }

    fn again(&self) -> Duration {
        if matches!(self.source, KeySource::JwksUrl(_)) { URL_AGAIN } else { FILE_AGAIN }
    }

    fn read(&self) -> RwLockReadGuard<'_, Held> {
        self.held.read().unwrap_or_else(PoisonError::into_inner)
    }

    fn write(&self) -> RwLockWriteGuard<'_, Held> {
        self.held.write().unwrap_or_else(PoisonError::into_inner)
    }
}

fn read_file(path: &Path, parse: impl FnOnce(&[u8]) -> Result<Keys, KeyError>) -> Result<(Bytes, Keys), KeyringError> {
    let failed = |error| KeyringError::File { path: path.to_owned(), error };
    if std::fs::metadata(path).map_err(failed)?.len() > MAX_JWKS_BYTES as u64 {
        return Err(failed(io::Error::other(format!("is over {MAX_JWKS_BYTES} bytes"))));
    }
    let text = std::fs::read(path).map_err(failed)?;
    let keys = parse(&text).map_err(|error| KeyringError::InFile { path: path.to_owned(), error })?;
    Ok((text.into(), keys))
}
