//! Files that people attach to messages. A file has a record in the state ([`crate::model::File`]), and its bytes are in a file of their own:
//!
//! | path below the data directory | what |
//! | --- | --- |
//! | `files/<2 hex>/<conference, 8 hex><id, 32 hex>` | the bytes of a file; the two are the id's first |
//! | `files/incoming/` | what is being brought; emptied at the start |
//!
//! The bytes are durable under their name before the record is; whoever sees the record finds them. They never change. When the record is
//! gone nobody can read them any more, and a sweep removes them: one place that makes up for crashes, refusals, erasures and restores.
//!
//! A file is read by whoever knows its [`Capability`], which is in its URL ([`url`]) and nowhere else: the state has a hash of it.

mod name;
mod url;

#[cfg(test)]
mod tests;

use std::fs::{self, DirBuilder, File, OpenOptions};
use std::io::{self, ErrorKind, Read};
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::{Duration, UNIX_EPOCH};

use crc32c::crc32c_append;
use data_encoding::HEXLOWER;

use crate::clock;
use crate::ids::ConfNo;
use crate::model::{self, FileId};

pub use name::{MAX_FILE_NAME_BYTES, clean_name, percent_decoded, write_percent_encoded};
pub use url::{Capability, attachment, capability_in, path};

/// The directory below the data directory.
pub const FILES: &str = "files";
const INCOMING: &str = "incoming";
/// Directories that the files are divided among.
pub const BUCKETS: usize = 256;
/// Bytes that are read at once.
const CHUNK_BYTES: usize = 64 << 10;
/// Bytes without a record are left alone for so long: their record may be on its way.
const GRACE: Duration = Duration::from_secs(3600);

/// See the module's text.
#[derive(Debug, Clone)]
pub struct Files {
    dir: Arc<Path>,
}

/// Bytes that are being brought; dropped, they are gone.
#[derive(Debug)]
pub struct Incoming {
    /// To write to, at its end.
    pub file: Arc<File>,
    path: Option<PathBuf>,
}

impl Drop for Incoming {
    fn drop(&mut self) {
        if let Some(path) = self.path.take() {
            // The next start removes what cannot be removed now.
            drop(fs::remove_file(path));
        }
    }
}

fn make_dir(dir: &Path) -> io::Result<()> {
    match DirBuilder::new().mode(0o700).create(dir) {
        Ok(()) => dir.parent().map_or(Ok(()), sync_dir),
        Err(error) if error.kind() == ErrorKind::AlreadyExists => Ok(()),
        Err(error) => Err(error),
    }
}

fn sync_dir(dir: &Path) -> io::Result<()> {
    File::open(dir)?.sync_all()
}

/// The length and CRC32C of what is there to be read.
///
/// # Errors
/// The reader's.
pub fn checksum(from: &mut impl Read) -> io::Result<(u64, u32)> {
    let (mut bytes, mut crc, mut chunk) = (0, 0, vec![0; CHUNK_BYTES]);
    loop {
        match from.read(&mut chunk) {
            Ok(0) => return Ok((bytes, crc)),
            Ok(read) => {
                crc = crc32c_append(crc, &chunk[..read]);
                bytes += read as u64;
            }
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
}

fn file_name(conf: ConfNo, id: FileId) -> String {
    format!("{:08x}{}", conf.0, HEXLOWER.encode(&id.0))
}

/// Where a file's bytes are, below [`FILES`].
pub(crate) fn place(conf: ConfNo, id: FileId) -> String {
    format!("{}/{}", HEXLOWER.encode(&id.0[..1]), file_name(conf, id))
}

/// Whose bytes are under this name.
fn parts_of(name: &str) -> Option<(ConfNo, FileId)> {
    let bytes: [u8; 20] = HEXLOWER.decode(name.as_bytes()).ok()?.try_into().ok()?;
    let (conf, id) = bytes.split_first_chunk::<4>()?;
    Some((ConfNo(u32::from_be_bytes(*conf)), FileId(*id.first_chunk()?)))
}

impl Files {
    /// Those of a data directory.
    #[must_use]
    pub fn new(data_dir: &Path) -> Self {
        Self { dir: data_dir.join(FILES).into() }
    }

    /// Those in a directory of any name, for who builds a new one.
    pub(crate) fn at(dir: PathBuf) -> Self {
        Self { dir: dir.into() }
    }

    /// Removes what was being brought when the server ended.
    ///
    /// # Errors
    /// The system's.
    pub fn forget_incoming(&self) -> io::Result<()> {
        match fs::remove_dir_all(self.dir.join(INCOMING)) {
            Err(error) if error.kind() != ErrorKind::NotFound => Err(error),
            _ => Ok(()),
        }
    }

    /// Somewhere to write the bytes of a new file to.
    ///
    /// # Errors
    /// The system's.
    pub fn begin(&self) -> io::Result<Incoming> {
        let dir = self.dir.join(INCOMING);
        make_dir(&self.dir)?;
        make_dir(&dir)?;
        let path = dir.join(HEXLOWER.encode(&clock::random::<16>()));
        let file = OpenOptions::new().read(true).write(true).create_new(true).mode(0o600).open(&path)?;
        Ok(Incoming { file: Arc::new(file), path: Some(path) })
    }

    /// Makes the bytes durable under their name.
    ///
    /// # Errors
    /// The system's.
    pub fn keep(&self, mut incoming: Incoming, conf: ConfNo, id: FileId) -> io::Result<()> {
        incoming.file.sync_all()?;
        let bucket = self.bucket(id);
        make_dir(&bucket)?;
        if let Some(path) = incoming.path.take() {
            let named = fs::rename(&path, bucket.join(file_name(conf, id)));
            if named.is_err() {
                incoming.path = Some(path);
            }
            named?;
        }
        sync_dir(&bucket)
    }

    fn bucket(&self, id: FileId) -> PathBuf {
        self.dir.join(HEXLOWER.encode(&id.0[..1]))
    }

    fn bucket_at(&self, at: usize) -> PathBuf {
        self.dir.join(format!("{:02x}", at % BUCKETS))
    }

    /// Opens a file's bytes.
    ///
    /// # Errors
    /// The system's.
    pub fn open(&self, conf: ConfNo, id: FileId) -> io::Result<File> {
        File::open(self.bucket(id).join(file_name(conf, id)))
    }

    /// Whether a file's bytes are there as they were brought; what is wrong with them.
    ///
    /// # Errors
    /// What is wrong with them, for people.
    pub fn verify(&self, conf: ConfNo, id: FileId, record: &model::File) -> Result<(), String> {
        let mut file = self.open(conf, id).map_err(|error| error.to_string())?;
        let (bytes, crc) = checksum(&mut file).map_err(|error| error.to_string())?;
        match (bytes == record.bytes, crc == record.crc) {
            (true, true) => Ok(()),
            (true, false) => Err("they are not those that were brought".into()),
            (false, _) => Err(format!("there are {bytes} instead of {}", record.bytes)),
        }
    }

    /// Removes a file's bytes, whose record is gone or never came.
    pub fn remove(&self, conf: ConfNo, id: FileId) {
        match fs::remove_file(self.bucket(id).join(file_name(conf, id))) {
            Err(error) if error.kind() != ErrorKind::NotFound => {
                tracing::warn!(%error, "a file that nobody needs stays until the next sweep")
            }
            _ => {}
        }
    }

    /// The files in one of the [`BUCKETS`], in any order.
    ///
    /// # Errors
    /// The system's.
    pub fn bucket_files(&self, at: usize) -> io::Result<Vec<(ConfNo, FileId)>> {
        let entries = match fs::read_dir(self.bucket_at(at)) {
            Err(error) if error.kind() == ErrorKind::NotFound => return Ok(Vec::new()),
            entries => entries?,
        };
        let names = entries.map(|entry| Ok(entry?.file_name().to_str().and_then(parts_of)));
        names.filter_map(Result::transpose).collect()
    }

    /// Whether a file's bytes have been there for so long that their record would be, too.
    #[must_use]
    pub fn is_settled(&self, conf: ConfNo, id: FileId, now_ms: u64) -> bool {
        let metadata = fs::metadata(self.bucket(id).join(file_name(conf, id)));
        let made = metadata.and_then(|metadata| metadata.modified()).ok();
        made.and_then(|made| (UNIX_EPOCH + Duration::from_millis(now_ms)).duration_since(made).ok()).is_some_and(|age| age > GRACE)
    }
}
