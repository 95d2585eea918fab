//! The bytes of attached files in a backup: behind the records, in pieces. What is copied while the records are walked may have been let go of
//! meanwhile, and what came meanwhile is copied at the end; a file that a record of the snapshot names is always there.

use std::io::{self, Read, Write};
use std::path::Path;

use super::BackupError;
use super::file::{FileReader, FileWriter, Part};
use crate::files::{Files, Incoming};
use crate::ids::ConfNo;
use crate::keys;
use crate::model::{self, FileId};
use crate::state::{State, StateError};
use crate::view::decode;

/// Bytes of a file in one frame.
pub(super) const PIECE_BYTES: usize = 256 << 10;
/// Bytes in front of them: conference (4), id (16), where they are in the file (8).
const PIECE_HEAD_BYTES: usize = 28;

/// A piece of a file's bytes.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Piece<'a> {
    pub(super) conf: ConfNo,
    pub(super) id: FileId,
    /// Where in the file it is.
    pub(super) offset: u64,
    pub(super) bytes: &'a [u8],
}

impl<'a> Piece<'a> {
    pub(super) fn write(&self, into: &mut Vec<u8>) {
        into.extend_from_slice(&self.conf.0.to_le_bytes());
        into.extend_from_slice(&self.id.0);
        into.extend_from_slice(&self.offset.to_le_bytes());
        into.extend_from_slice(self.bytes);
    }

    /// `None` when it is too short to be one.
    pub(super) fn read(payload: &'a [u8]) -> Option<Self> {
        let (head, bytes) = payload.split_at_checked(PIECE_HEAD_BYTES)?;
        let (conf, rest) = head.split_first_chunk::<4>()?;
        let (id, offset) = rest.split_first_chunk::<16>()?;
        Some(Self { conf: ConfNo(u32::from_le_bytes(*conf)), id: FileId(*id), offset: u64::from_le_bytes(offset.try_into().ok()?), bytes })
    }
}

/// Gives a file's bytes to `put`, piece by piece. One that is gone has none.
pub(super) fn pieces(
    files: &Files,
    (conf, id): (ConfNo, FileId),
    put: &mut dyn FnMut(Piece<'_>) -> Result<(), BackupError>,
) -> Result<(), BackupError> {
    let failed = BackupError::io(Path::new(crate::files::FILES));
    let mut file = match files.open(conf, id) {
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(()),
        Err(error) => return Err(failed(error)),
        Ok(file) => file,
    };
    let (mut offset, mut piece) = (0, vec![0; PIECE_BYTES]);
    loop {
        match read_full(&mut file, &mut piece) {
            // An empty file is a piece, too.
            Ok(0) if offset > 0 => return Ok(()),
            Ok(read) => {
                put(Piece { conf, id, offset, bytes: &piece[..read] })?;
                offset += read as u64;
                if read < PIECE_BYTES {
                    return Ok(());
                }
            }
            Err(error) => return Err(failed(error)),
        }
    }
}

fn read_full(from: &mut impl Read, into: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < into.len() {
        match from.read(&mut into[filled..]) {
            Ok(0) => break,
            Ok(read) => filled += read,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

/// Adds what came while the records were walked.
pub(super) fn add_new(writer: &mut FileWriter, files: &Files) -> Result<(), BackupError> {
    for file in writer.new_files() {
        pieces(files, file, &mut |piece| writer.add_piece(&piece))?;
    }
    Ok(())
}

/// A file that comes out of a backup.
struct Coming {
    conf: ConfNo,
    id: FileId,
    /// `None`: it is there already.
    incoming: Option<Incoming>,
    at: u64,
}

/// Puts the files of a backup into `files`, but for those that are there already, whole.
pub(super) fn fill(path: &Path, state: &dyn State, files: &Files) -> Result<(), BackupError> {
    let failed = |error| BackupError::io(Path::new(crate::files::FILES))(error);
    let mut reader = FileReader::open(path)?;
    let mut coming: Option<Coming> = None;
    loop {
        let part = reader.next()?;
        // What was committed meanwhile stands between a file's pieces.
        if matches!(part, Part::Records | Part::Changes) {
            continue;
        }
        let piece = (part == Part::Files).then(|| Piece::read(&reader.frame)).flatten();
        let goes_on =
            |coming: &Coming| piece.is_some_and(|piece| (coming.conf, coming.id, coming.at) == (piece.conf, piece.id, piece.offset));
        if let Some(Coming { conf, id, incoming: Some(incoming), .. }) = coming.take_if(|coming| !goes_on(coming)) {
            files.keep(incoming, conf, id).map_err(failed)?;
        }
        if part == Part::End {
            return Ok(());
        }
        // The rest of a file that was copied twice is passed over with its first piece.
        let Some(piece) = piece.filter(|piece| piece.offset == 0 || coming.is_some()) else { continue };
        let Piece { conf, id, .. } = piece;
        let coming = match &mut coming {
            Some(coming) => coming,
            None => {
                let is_there = is_whole(state, files, conf, id)?;
                let incoming = if is_there { None } else { Some(files.begin().map_err(failed)?) };
                coming.insert(Coming { conf, id, incoming, at: 0 })
            }
        };
        if let Some(incoming) = &coming.incoming {
            (&*incoming.file).write_all(piece.bytes).map_err(failed)?;
        }
        coming.at += piece.bytes.len() as u64;
    }
}

fn is_whole(state: &dyn State, files: &Files, conf: ConfNo, id: FileId) -> Result<bool, StateError> {
    let record: Option<model::File> = state.get(&keys::file(conf, id))?.as_deref().map(decode).transpose()?;
    Ok(record.is_some_and(|record| files.verify(conf, id, &record).is_ok()))
}
