//! A file on its way in: written to the disk as it comes, looked at when it is whole, stripped of what it tells of its maker, made durable,
//! and then known to the hub. Of its bytes never more than a few chunks are in memory.

use std::collections::HashMap;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Seek, SeekFrom, Write};
use std::sync::{Arc, Mutex, PoisonError};

use hallway_broker::clock;
use hallway_broker::command::{Action, Actor, NewFile};
use hallway_broker::files::{self, Capability, Files, Incoming, checksum, clean_name};
use hallway_broker::hub::Hub;
use hallway_broker::ids::{ConfNo, Uid};
use hallway_broker::model::{MediaType, Via};
use hallway_broker::reject::{Class, Reason, Reject};
use hallway_broker::session::{Who, blocking};

use crate::media::{self, Malformed, SNIFFED_BYTES, Size};
use crate::rpc::Fault;
use crate::types::file::Uploaded;

/// Files that come in at the same time, of all users.
const MAX_UPLOADS: u32 = 512;
/// Bytes that are gathered for one write.
const CHUNK_BYTES: usize = 64 << 10;
/// When one who was refused because of others may try again, in ms.
const RETRY_AFTER_MS: u64 = 1000;

/// How many files come in now.
#[derive(Debug, Clone, Default)]
pub(crate) struct Uploads(Arc<Mutex<UnderWay>>);

#[derive(Debug, Default)]
struct UnderWay {
    all: u32,
    by_user: HashMap<(ConfNo, Uid), u32>,
}

/// One of them; it counts until it is dropped.
#[derive(Debug)]
struct Slot {
    uploads: Uploads,
    whose: (ConfNo, Uid),
}

impl Uploads {
    fn take(&self, whose: (ConfNo, Uid), most: u32) -> Result<Slot, Reject> {
        let mut under_way = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        if under_way.all >= MAX_UPLOADS {
            return Err(Reject { reason: Reason::Busy, retry_after_ms: Some(RETRY_AFTER_MS) });
        }
        let own = under_way.by_user.entry(whose.clone()).or_default();
        if most > 0 && *own >= most {
            return Err(Reject { reason: Reason::TooManyUploads, retry_after_ms: Some(RETRY_AFTER_MS) });
        }
        *own += 1;
        under_way.all += 1;
        drop(under_way);
        Ok(Slot { uploads: self.clone(), whose })
    }
}

impl Drop for Slot {
    fn drop(&mut self) {
        let mut under_way = self.uploads.0.lock().unwrap_or_else(PoisonError::into_inner);
        under_way.all = under_way.all.saturating_sub(1);
        if let Some(own) = under_way.by_user.get_mut(&self.whose) {
            *own = own.saturating_sub(1);
            if *own == 0 {
                under_way.by_user.remove(&self.whose);
            }
        }
    }
}

/// See the module's text. Dropped, it leaves nothing behind.
pub struct Upload {
    hub: Arc<Hub>,
    who: Who,
    /// Taken when it is whole.
    incoming: Option<Incoming>,
    gathered: Vec<u8>,
    bytes: u64,
    _slot: Slot,
}

/// What a file was found to be.
struct Kept {
    media: MediaType,
    bytes: u64,
    crc: u32,
    size: Option<Size>,
}

impl From<Malformed> for Reject {
    fn from(malformed: Malformed) -> Self {
        match malformed {
            Malformed::Not(what) => {
                tracing::debug!(what, "a file begins like an image or film and is none");
                Reason::BrokenMedia.into()
            }
            Malformed::Io(error) => failed(&error),
        }
    }
}

fn failed(error: &io::Error) -> Reject {
    tracing::warn!(%error, "a file could not be taken in");
    if error.kind() == io::ErrorKind::StorageFull { Reason::DiskFull.into() } else { Reason::StoreError.into() }
}

fn too_large() -> Fault {
    Fault { message: "the file is over limits.file_bytes".into(), ..Reason::TooLarge.into() }
}

impl Upload {
    /// Begins one for `who`, of so many bytes if that is known.
    pub(crate) async fn begin(hub: &Arc<Hub>, uploads: &Uploads, who: Who, bytes: Option<u64>) -> Result<Self, Fault> {
        hub.takes_files()?;
        let limits = hub.limits();
        if bytes.is_some_and(|bytes| bytes > limits.file_bytes) {
            return Err(too_large());
        }
        let has = hub.reader().uploads(who.conf, &who.uid).map_err(Reject::from)?.bytes;
        let all = hub.reader().uploads_of_all(who.conf).map_err(Reject::from)?.bytes;
        for (has, quota) in [(has, limits.files_bytes_per_user), (all, limits.files_bytes_per_conference)] {
            if quota > 0 && has.saturating_add(bytes.unwrap_or(1)) > quota {
                return Err(Reason::FilesFull.into());
            }
        }
        let slot = uploads.take((who.conf, who.uid.clone()), limits.uploads_per_user)?;
        let files = hub.files().clone();
        let incoming = blocking(move || files.begin().map_err(|error| failed(&error))).await?;
        Ok(Self { hub: Arc::clone(hub), who, incoming: Some(incoming), gathered: Vec::new(), bytes: 0, _slot: slot })
    }

    /// Takes what came next.
    ///
    /// # Errors
    /// `too_large`, and when the disk does not take it.
    pub async fn take(&mut self, bytes: &[u8]) -> Result<(), Fault> {
        self.bytes += bytes.len() as u64;
        if self.bytes > self.hub.limits().file_bytes {
            return Err(too_large());
        }
        self.gathered.extend_from_slice(bytes);
        if self.gathered.len() >= CHUNK_BYTES { self.write().await } else { Ok(()) }
    }

    async fn write(&mut self) -> Result<(), Fault> {
        self.hub.takes_files()?;
        let Some(incoming) = &self.incoming else { return Ok(()) };
        let (file, gathered) = (Arc::clone(&incoming.file), std::mem::take(&mut self.gathered));
        blocking(move || (&*file).write_all(&gathered).map_err(|error| failed(&error))).await?;
        Ok(())
    }

    /// It is whole: keeps it under this name. When it returns well, the file is there whatever happens.
    ///
    /// # Errors
    /// `invalid_params` for nothing at all, `broken_media`, `not_strippable`, `files_full`, and those of the store.
    pub async fn finish(mut self, name: &str) -> Result<Uploaded, Fault> {
        self.write().await?;
        if self.bytes == 0 {
            return Err(Fault::invalid_params("the file is empty"));
        }
        let Some(incoming) = self.incoming.take() else { return Err(Reason::StoreError.into()) };
        let (hub, conf) = (&self.hub, self.who.conf);
        let capability = Capability::new(conf, clock::random());
        let id = capability.id();
        let files = hub.files().clone();
        let Kept { media, bytes, crc, size } = blocking(move || keep(&files, incoming, &capability)).await?;
        let name: Arc<str> = clean_name(name).into();
        let limits = hub.limits();
        let (quota_bytes, conference_bytes) = (limits.files_bytes_per_user, limits.files_bytes_per_conference);
        let file = NewFile { name: Arc::clone(&name), media, bytes, crc, size, quota_bytes, conference_bytes };
        let actor = Actor { uid: self.who.uid.clone(), via: Via::Http, session: 0 };
        let kept = hub.call(conf, actor, Action::KeepFile { id, file }).await;
        if let Err(reject) = kept {
            // What could not be stored now may be stored yet: the log has it.
            if !matches!(reject.reason.class(), Class::Unavailable) {
                let files = hub.files().clone();
                let removed = blocking(move || {
                    files.remove(conf, id);
                    Ok(())
                });
                removed.await?;
            }
            return Err(reject.into());
        }
        let (width, height) = size.unzip();
        Ok(Uploaded { url: files::path(&capability, &name), name, media: media.word(), bytes, width, height })
    }
}

impl Drop for Upload {
    fn drop(&mut self) {
        // Removing it may take the disk a while; where nothing runs any more, it is removed here.
        if let Some((incoming, runtime)) = self.incoming.take().zip(tokio::runtime::Handle::try_current().ok()) {
            drop(runtime.spawn_blocking(move || drop(incoming)));
        }
    }
}

/// Looks at a whole file, strips it and makes it durable.
fn keep(files: &Files, incoming: Incoming, capability: &Capability) -> Result<Kept, Reject> {
    let mut head = Vec::with_capacity(SNIFFED_BYTES);
    let file = rewound(&incoming.file).map_err(Malformed::Io)?;
    file.take(SNIFFED_BYTES as u64).read_to_end(&mut head).map_err(Malformed::Io)?;
    if media::is_opaque_image(&head) {
        return Err(Reason::NotStrippable.into());
    }
    let media = media::sniff(&head);
    let (incoming, size) = if media::is_image(media) {
        let (stripped, size) = without_metadata(files, &incoming, media)?;
        (stripped, Some(size))
    } else {
        if media::is_film(&head) {
            media::silence(&mut &*incoming.file)?;
        }
        (incoming, None)
    };
    let stored = || {
        let sums = checksum(&mut rewound(&incoming.file)?)?;
        files.keep(incoming, capability.conf(), capability.id())?;
        Ok(sums)
    };
    let (bytes, crc) = stored().map_err(|error: io::Error| failed(&error))?;
    Ok(Kept { media, bytes, crc, size })
}

fn rewound(mut file: &File) -> io::Result<&File> {
    file.seek(SeekFrom::Start(0))?;
    Ok(file)
}

/// A copy of an image that does not say who made it.
fn without_metadata(files: &Files, incoming: &Incoming, media: MediaType) -> Result<(Incoming, Size), Malformed> {
    let stripped = files.begin()?;
    let mut into = BufWriter::with_capacity(CHUNK_BYTES, &*stripped.file);
    let mut from = BufReader::with_capacity(CHUNK_BYTES, rewound(&incoming.file)?);
    let size = media::strip(media, &mut from, &mut into)?;
    into.flush()?;
    drop(into);
    Ok((stripped, size))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_few_slow_people_do_not_hold_all_slots() {
        let (uploads, most) = (Uploads::default(), 4);
        let whose = |who: u32| (ConfNo(1), Uid::parse(&format!("user-{who}")).unwrap());
        let mut held: Vec<Slot> =
            (0..16).flat_map(|who| (0..most).map(move |_| who)).map(|who| uploads.take(whose(who), most).unwrap()).collect();
        assert_eq!(uploads.take(whose(0), most).unwrap_err().reason, Reason::TooManyUploads);
        held.push(uploads.take(whose(99), most).unwrap());
        held.extend((1000..1000 + MAX_UPLOADS - 65).map(|who| uploads.take(whose(who), most).unwrap()));
        assert_eq!(uploads.take(whose(5000), most).unwrap_err().reason, Reason::Busy);
        held.clear();
        assert!(uploads.0.lock().unwrap().by_user.is_empty() && uploads.take(whose(0), most).is_ok());
    }
}
