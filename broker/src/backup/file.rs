//! The backup file. All numbers are little endian.
//!
//! | header | bytes | | frame | bytes |
//! | --- | --- | --- | --- | --- |
//! | magic `HALLBKUP` | 0..8 | | kind: `R`ecords, `C`hanges, `F`iles, `E`nd | 0 |
//! | format version | 8..12 | | zeros | 1..4 |
//! | CRC32C of 16..64 | 12..16 | | payload bytes | 4..8 |
//! | record schema | 16..20 | | CRC32C of 0..8 and the payload, continued from the frame before | 8..12 |
//! | conferences | 20..24 | | payload | 12.. |
//! | applied lsn | 24..32 | | | |
//! | taken at, Unix ms | 32..40 | | | |
//! | reserved, zeros | 40..64 | | | |
//!
//! A payload of `R` or `C` is a sequence of: 1 for a value or 0 for a removal, key bytes (2), value bytes (4), key, value. The state is: all `R`,
//! in any order, then all `C`, in the order of the file; where these stand between each other means nothing. A payload of `F` is a piece of an
//! attached file's bytes (`files`; from format version 2 on). The one `E` comes last; it is a
//! postcard [`End`], and its checksum, as the checksums are chained, is that of all frames. Keys are not sorted. The header is
//! written last, so a file that was not finished has none.

use std::collections::{BTreeMap, BTreeSet};
use std::fs::{self, File, OpenOptions};
use std::io::{self, BufReader, ErrorKind, Read, Write};
use std::os::unix::fs::{FileExt, OpenOptionsExt};
use std::path::{Path, PathBuf};
use std::sync::Arc;

use crc32c::{crc32c, crc32c_append};
use serde::{Deserialize, Serialize};

use super::BackupError;
use super::files::Piece;
use super::place::{partial, sync_dir};
use crate::ids::ConfNo;
use crate::keys;
use crate::log::Lsn;
use crate::model::{self, FileId};
use crate::state::Batch;
use crate::view::{SCHEMA, StoreHead, decode, encode};

const MAGIC: [u8; 8] = *b"HALLBKUP";
const FORMAT_VERSION: u32 = 2;
/// The oldest that is read.
const OLDEST_VERSION: u32 = 1;
/// A file that came so long before a backup was begun may not have had its record then, in ms.
const NEW_FILE_MS: u64 = 60_000;
const HEADER_BYTES: usize = 64;
const FRAME_HEADER_BYTES: usize = 12;
/// A frame ends with the record that takes it beyond this.
const FRAME_BYTES: usize = 256 << 10;
/// The longest frame: [`FRAME_BYTES`] and the longest record of a state.
const MAX_FRAME_BYTES: u32 = 65 << 20;
/// Begin of the conferences' keys.
const CONFERENCES: u8 = b'C';

/// What a frame holds.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Part {
    /// Records as the walk found them.
    Records = b'R' as isize,
    /// What was committed during the walk.
    Changes = b'C' as isize,
    /// The bytes of an attached file.
    Files = b'F' as isize,
    /// The end.
    End = b'E' as isize,
}

impl Part {
    fn of(byte: u8) -> Option<Self> {
        [Self::Records, Self::Changes, Self::Files, Self::End].into_iter().find(|part| *part as u8 == byte)
    }
}

/// The last frame.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
struct End {
    applied: Lsn,
    records: u64,
    changes: u64,
    conferences: Vec<String>,
}

/// What a backup says that it holds.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct BackupContents {
    /// The last command whose changes are in it.
    pub applied: Lsn,
    /// When it was taken, Unix ms.
    pub taken_ms: u64,
    /// Records found by the walk.
    pub records: u64,
    /// Changes committed during the walk.
    pub changes: u64,
    /// Attached files whose bytes are in it.
    pub files: u64,
    /// The conferences' ids.
    pub conferences: Vec<String>,
    /// The file's length.
    pub bytes: u64,
}

fn header(taken_ms: u64, schema: u32, end: &End) -> [u8; HEADER_BYTES] {
    let mut bytes = [0; HEADER_BYTES];
    bytes[..8].copy_from_slice(&MAGIC);
    bytes[8..12].copy_from_slice(&FORMAT_VERSION.to_le_bytes());
    bytes[16..20].copy_from_slice(&schema.to_le_bytes());
    bytes[20..24].copy_from_slice(&(end.conferences.len() as u32).to_le_bytes());
    bytes[24..32].copy_from_slice(&end.applied.to_le_bytes());
    bytes[32..40].copy_from_slice(&taken_ms.to_le_bytes());
    let crc = crc32c(&bytes[16..]);
    bytes[12..16].copy_from_slice(&crc.to_le_bytes());
    bytes
}

/// A file that is being written as `<file>.partial`. It gets its name by [`FileWriter::finish`]; dropped before, it is gone.
pub(super) struct FileWriter {
    file: Arc<File>,
    target: PathBuf,
    partial: PathBuf,
    taken_ms: u64,
    part: Part,
    frame: Vec<u8>,
    crc: u32,
    written: u64,
    head: Option<StoreHead>,
    end: End,
    /// Keys of conferences: present, or removed by a change.
    conferences: BTreeMap<Vec<u8>, bool>,
    /// Attached files so far.
    files: u64,
    /// Those that came while the records are walked: their bytes may not be in it yet.
    new_files: BTreeSet<(ConfNo, FileId)>,
}

impl FileWriter {
    /// Begins the file, readable by its owner only: it holds password keys.
    pub(super) fn create(target: &Path, taken_ms: u64) -> Result<Self, BackupError> {
        let partial = partial(target);
        if fs::symlink_metadata(target).is_ok() {
            return Err(BackupError::Exists(target.to_owned()));
        }
        match fs::remove_file(&partial) {
            Err(error) if error.kind() != ErrorKind::NotFound => return Err(BackupError::io(&partial)(error)),
            _ => {}
        }
        let file = OpenOptions::new().write(true).create_new(true).mode(0o600).open(&partial).map_err(BackupError::io(&partial))?;
        let end = End { applied: 0, records: 0, changes: 0, conferences: Vec::new() };
        let written = HEADER_BYTES as u64;
        let mut writer = Self {
            file: Arc::new(file),
            target: target.to_owned(),
            partial,
            taken_ms,
            part: Part::Records,
            frame: vec![0; FRAME_HEADER_BYTES],
            crc: 0,
            written,
            head: None,
            end,
            conferences: BTreeMap::new(),
            files: 0,
            new_files: BTreeSet::new(),
        };
        writer.write(&[0; HEADER_BYTES])?;
        Ok(writer)
    }

    /// The file, to sync it without holding the writer.
    pub(super) fn file(&self) -> Arc<File> {
        Arc::clone(&self.file)
    }

    /// Bytes so far.
    pub(super) fn written(&self) -> u64 {
        self.written
    }

    /// Adds a record, or a change.
    pub(super) fn add(&mut self, part: Part, key: &[u8], value: Option<&[u8]>) -> Result<(), BackupError> {
        if self.part != part || self.frame.len() >= FRAME_BYTES {
            self.end_frame()?;
            self.part = part;
        }
        self.note(part, key, value)?;
        let value_bytes = value.map_or(0, <[u8]>::len);
        self.frame.push(u8::from(value.is_some()));
        self.frame.extend_from_slice(&(key.len() as u16).to_le_bytes());
        self.frame.extend_from_slice(&(value_bytes as u32).to_le_bytes());
        self.frame.extend_from_slice(key);
        self.frame.extend_from_slice(value.unwrap_or_default());
        Ok(())
    }

    /// Remembers what the end says about the whole.
    fn note(&mut self, part: Part, key: &[u8], value: Option<&[u8]>) -> Result<(), BackupError> {
        let is_change = part == Part::Changes;
        if is_change {
            self.end.changes += 1;
        } else {
            self.end.records += 1;
        }
        if key.first() == Some(&CONFERENCES) {
            let present = self.conferences.entry(key[1..].to_vec()).or_insert(value.is_some());
            if is_change {
                *present = value.is_some();
            }
        }
        if is_change
            && let Some((id, value)) = keys::parts_of_file(key).zip(value)
            && decode::<model::File>(value)?.at_ms.saturating_add(NEW_FILE_MS) >= self.taken_ms
        {
            self.new_files.insert(id);
        }
        if key == keys::store_head()
            && let Some(value) = value
            && (is_change || self.head.is_none())
        {
            self.head = Some(decode(value)?);
        }
        Ok(())
    }

    /// Adds a piece of a file's bytes.
    pub(super) fn add_piece(&mut self, piece: &Piece<'_>) -> Result<(), BackupError> {
        self.end_frame()?;
        self.part = Part::Files;
        self.files += u64::from(piece.offset == 0);
        piece.write(&mut self.frame);
        self.end_frame()
    }

    /// The files that came while the records were walked.
    pub(super) fn new_files(&mut self) -> BTreeSet<(ConfNo, FileId)> {
        std::mem::take(&mut self.new_files)
    }

    /// Writes what was added so far.
    pub(super) fn end_frame(&mut self) -> Result<(), BackupError> {
        if self.frame.len() == FRAME_HEADER_BYTES {
            return Ok(());
        }
        let mut frame = std::mem::take(&mut self.frame);
        frame[..4].copy_from_slice(&[self.part as u8, 0, 0, 0]);
        let payload = (frame.len() - FRAME_HEADER_BYTES) as u32;
        frame[4..8].copy_from_slice(&payload.to_le_bytes());
        self.crc = crc32c_append(crc32c_append(self.crc, &frame[..8]), &frame[FRAME_HEADER_BYTES..]);
        frame[8..12].copy_from_slice(&self.crc.to_le_bytes());
        self.write(&frame)?;
        self.written += frame.len() as u64;
        frame.truncate(FRAME_HEADER_BYTES);
        frame.shrink_to(2 * FRAME_BYTES);
        self.frame = frame;
        Ok(())
    }

    fn write(&mut self, bytes: &[u8]) -> Result<(), BackupError> {
        (&*self.file).write_all(bytes).map_err(BackupError::io(&self.partial))
    }

    /// Ends the file, makes it durable and gives it its name.
    pub(super) fn finish(mut self) -> Result<BackupContents, BackupError> {
        self.end_frame()?;
        let head = self.head.take().ok_or_else(|| BackupError::Interrupted("it has no head record".into()))?;
        let present = self.conferences.iter().filter(|(_, present)| **present);
        self.end.conferences = present.map(|(id, _)| String::from_utf8_lossy(id).into_owned()).collect();
        self.end.applied = head.applied;
        self.part = Part::End;
        let end = encode(&self.end);
        self.frame.extend_from_slice(&end);
        self.end_frame()?;
        let header = header(self.taken_ms, head.schema, &self.end);
        let synced = self.file.write_all_at(&header, 0).and_then(|()| self.file.sync_all());
        synced.map_err(BackupError::io(&self.partial))?;
        if fs::symlink_metadata(&self.target).is_ok() {
            return Err(BackupError::Exists(self.target.clone()));
        }
        fs::rename(&self.partial, &self.target).map_err(BackupError::io(&self.target))?;
        sync_dir(self.target.parent().unwrap_or(Path::new("")))?;
        let End { applied, records, changes, conferences } = self.end.clone();
        Ok(BackupContents { applied, taken_ms: self.taken_ms, records, changes, files: self.files, conferences, bytes: self.written })
    }
}

impl Drop for FileWriter {
    fn drop(&mut self) {
        // After `finish` it has another name.
        drop(fs::remove_file(&self.partial));
    }
}

/// A backup that is being read, frame by frame.
pub(super) struct FileReader {
    file: BufReader<File>,
    path: PathBuf,
    bytes: u64,
    at: u64,
    crc: u32,
    header: [u8; HEADER_BYTES],
    pub(super) frame: Vec<u8>,
}

fn u32_at(bytes: &[u8], at: usize) -> u32 {
    u32::from_le_bytes([bytes[at], bytes[at + 1], bytes[at + 2], bytes[at + 3]])
}

fn u64_at(bytes: &[u8], at: usize) -> u64 {
    u64::from(u32_at(bytes, at)) | u64::from(u32_at(bytes, at + 4)) << 32
}

impl FileReader {
    /// Opens the file and reads its header.
    pub(super) fn open(path: &Path) -> Result<Self, BackupError> {
        let file = File::open(path).map_err(BackupError::io(path))?;
        let metadata = file.metadata().map_err(BackupError::io(path))?;
        if !metadata.is_file() {
            return Err(BackupError::io(path)(io::Error::new(ErrorKind::InvalidInput, "not a file")));
        }
        let (path, bytes, frame) = (path.to_owned(), metadata.len(), Vec::new());
        let mut reader =
            Self { file: BufReader::with_capacity(64 << 10, file), path, bytes, at: 0, crc: 0, header: [0; HEADER_BYTES], frame };
        let mut header = [0; HEADER_BYTES];
        reader.fill(&mut header, "it is cut off within its header")?;
        if header[..8] != MAGIC {
            return Err(reader.damaged(0, "this is not a backup, or it was not finished"));
        }
        let version = u32_at(&header, 8);
        if !(OLDEST_VERSION..=FORMAT_VERSION).contains(&version) {
            return Err(reader.damaged(8, format!("format version {version}, this build knows {OLDEST_VERSION} to {FORMAT_VERSION}")));
        }
        if u32_at(&header, 12) != crc32c(&header[16..]) {
            return Err(reader.damaged(12, "the header's checksum is wrong"));
        }
        match u32_at(&header, 16) {
            SCHEMA => Ok(Self { header, ..reader }),
            found => Err(BackupError::Schema { file: reader.path, found }),
        }
    }

    /// The lsn that the header says.
    pub(super) fn applied(&self) -> Lsn {
        u64_at(&self.header, 24)
    }

    fn damaged(&self, offset: u64, what: impl Into<String>) -> BackupError {
        BackupError::Damaged { file: self.path.clone(), offset, what: what.into() }
    }

    fn fill(&mut self, buffer: &mut [u8], cut: &str) -> Result<(), BackupError> {
        if self.bytes - self.at < buffer.len() as u64 {
            return Err(self.damaged(self.at, cut));
        }
        self.file.read_exact(buffer).map_err(BackupError::io(&self.path))?;
        self.at += buffer.len() as u64;
        Ok(())
    }

    /// Reads the next frame's payload into `self.frame`.
    pub(super) fn next(&mut self) -> Result<Part, BackupError> {
        let start = self.at;
        let mut head = [0; FRAME_HEADER_BYTES];
        self.fill(&mut head, "it is cut off: its end is missing")?;
        let payload = u32_at(&head, 4);
        let Some(part) = Part::of(head[0]).filter(|_| payload <= MAX_FRAME_BYTES && u64::from(payload) <= self.bytes - self.at) else {
            return Err(self.damaged(start, "a frame makes no sense, or is cut off"));
        };
        let mut frame = std::mem::take(&mut self.frame);
        frame.resize(payload as usize, 0);
        self.fill(&mut frame, "it is cut off within a frame")?;
        self.crc = crc32c_append(crc32c_append(self.crc, &head[..8]), &frame);
        self.frame = frame;
        if self.crc == u32_at(&head, 8) { Ok(part) } else { Err(self.damaged(start, "a frame's checksum is wrong")) }
    }

    /// What the last frame says, which has to fit what was counted and what the header says.
    fn end(&self, records: u64, changes: u64) -> Result<End, BackupError> {
        let end: End = decode(&self.frame).map_err(|_| self.damaged(self.at, "the end makes no sense"))?;
        let fits = (end.records, end.changes, end.applied) == (records, changes, self.applied())
            && end.conferences.len() as u64 == u64::from(u32_at(&self.header, 20));
        if !fits {
            return Err(self.damaged(self.at, "its beginning and its end contradict each other"));
        }
        if self.at != self.bytes {
            return Err(self.damaged(self.at, "something follows its end"));
        }
        Ok(end)
    }
}

/// Takes the next record off a frame; `None` when there is none, or what is there is none.
pub(super) fn take_record<'a>(frame: &mut &'a [u8]) -> Option<(&'a [u8], Option<&'a [u8]>)> {
    let (head, rest) = frame.split_at_checked(7)?;
    let (key, rest) = rest.split_at_checked(usize::from(u16::from_le_bytes([head[1], head[2]])))?;
    let (value, rest) = rest.split_at_checked(u32_at(head, 3) as usize)?;
    *frame = rest;
    Some((key, (head[0] == 1).then_some(value)))
}

/// Reads the whole file and checks everything that can be checked without a store.
///
/// # Errors
/// [`BackupError::Damaged`] with the place, [`BackupError::Schema`], [`BackupError::Io`].
pub fn read_contents(path: &Path) -> Result<BackupContents, BackupError> {
    let mut reader = FileReader::open(path)?;
    let (mut records, mut changes, mut files) = (0, 0, 0);
    loop {
        let part = reader.next()?;
        let counted = match part {
            Part::Records => &mut records,
            Part::Changes => &mut changes,
            Part::Files => {
                let piece = Piece::read(&reader.frame).ok_or_else(|| reader.damaged(reader.at, "a piece of a file makes no sense"))?;
                files += u64::from(piece.offset == 0);
                continue;
            }
            Part::End => break,
        };
        let mut frame = &reader.frame[..];
        while take_record(&mut frame).is_some() {
            *counted += 1;
        }
        if !frame.is_empty() {
            return Err(reader.damaged(reader.at, "a record makes no sense"));
        }
    }
    let End { applied, conferences, .. } = reader.end(records, changes)?;
    let taken_ms = u64_at(&reader.header, 32);
    Ok(BackupContents { applied, taken_ms, records, changes, files, conferences, bytes: reader.bytes })
}

/// The lsn that a backup's header says, without a look at the rest.
pub(super) fn read_applied(path: &Path) -> Result<Lsn, BackupError> {
    Ok(FileReader::open(path)?.applied())
}

/// Gives the contents of one part, in order, to `commit`, in batches that a state takes.
pub(super) fn replay_part(path: &Path, wanted: Part, commit: &mut dyn FnMut(&Batch) -> Result<(), BackupError>) -> Result<(), BackupError> {
    let mut reader = FileReader::open(path)?;
    let mut batch = Batch::default();
    loop {
        let part = reader.next()?;
        if part == Part::End {
            break;
        }
        let mut frame = &reader.frame[..];
        while part == wanted
            && let Some((key, value)) = take_record(&mut frame)
        {
            batch.changes.push((key.to_vec(), value.map(<[u8]>::to_vec)));
        }
        if !batch.changes.is_empty() {
            commit(&batch)?;
            batch.changes.clear();
        }
    }
    Ok(())
}
