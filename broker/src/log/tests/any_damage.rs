//! Property tests: frames, and logs that meet arbitrary damage.

use super::super::frame::{self, SEGMENT_HEADER_BYTES, Salt, SegmentHeader};
use super::super::segment::SegmentLog;
use super::super::{LogError, verify};
use super::{Bench, flip, read};
use proptest::prelude::*;
use std::fs::OpenOptions;
use std::os::unix::fs::FileExt;
use std::path::Path;

/// Without files in the source tree.
fn config(cases: u32) -> ProptestConfig {
    ProptestConfig { cases, failure_persistence: None, ..ProptestConfig::default() }
}

fn batch() -> impl Strategy<Value = Vec<Vec<u8>>> {
    let text = prop_oneof![prop::collection::vec(any::<u8>(), 0..40), prop::collection::vec(any::<u8>(), 0..900)];
    prop::collection::vec(text, 1..6)
}

#[derive(Debug, Clone)]
enum Damage {
    Flip(f64),
    Cut(f64),
    Zero(f64, usize),
    Garbage(f64, Vec<u8>),
}

impl Damage {
    /// Does it; returns the end of what it touched.
    fn happen(&self, path: &Path) -> u64 {
        let file = OpenOptions::new().write(true).open(path).unwrap();
        let length = file.metadata().unwrap().len();
        let at = |place: &f64, room: usize| ((length as f64 * place) as u64).min(length - room as u64);
        match self {
            Self::Flip(place) => {
                flip(path, at(place, 1) * 8 + 3);
                at(place, 1) + 1
            }
            Self::Cut(place) => {
                file.set_len(at(place, 1)).unwrap();
                length
            }
            Self::Zero(place, count) => {
                file.write_all_at(&vec![0; *count], at(place, *count)).unwrap();
                at(place, *count) + *count as u64
            }
            Self::Garbage(place, bytes) => {
                file.write_all_at(bytes, at(place, bytes.len())).unwrap();
                at(place, bytes.len()) + bytes.len() as u64
            }
        }
    }
}

/// Where the last batch of a segment begins.
fn last_frame(segment: &[u8]) -> u64 {
    let header = SegmentHeader::decode(segment[..SEGMENT_HEADER_BYTES].try_into().unwrap()).unwrap();
    let (mut last, mut next) = (0, SEGMENT_HEADER_BYTES);
    while let Ok(frame) = frame::decode(&segment[next..], header.salt) {
        (last, next) = (next, next + frame.bytes);
    }
    last as u64
}

fn damages() -> impl Strategy<Value = Damage> {
    let place = || 0.0..1.0;
    prop_oneof![
        4 => place().prop_map(Damage::Flip),
        1 => place().prop_map(Damage::Cut),
        1 => (place(), 1_usize..600).prop_map(|(place, count)| Damage::Zero(place, count)),
        1 => (place(), prop::collection::vec(any::<u8>(), 1..300)).prop_map(|(place, bytes)| Damage::Garbage(place, bytes)),
    ]
}

proptest! {
    #![proptest_config(config(256))]

    #[test]
    fn a_frame_is_read_as_it_was_written(batch in batch(), first in 1_u64..1 << 60, rest in 0_usize..100) {
        let records: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        let (salt, mut bytes) = (Salt::random(), Vec::new());
        frame::encode(&mut bytes, salt, first, &records);
        prop_assert_eq!(Some(bytes.len()), frame::frame_bytes(&records));
        prop_assert_eq!(bytes.len() % frame::ALIGN, 0);
        bytes.resize(bytes.len() + rest, 0);
        let frame = frame::decode(&bytes, salt).unwrap();
        prop_assert_eq!((frame.first, frame.next()), (first, first + records.len() as u64));
        prop_assert_eq!(frame.bytes + rest, bytes.len());
        let numbered: Vec<_> = (first..).zip(records).collect();
        prop_assert_eq!(frame.records().collect::<Vec<_>>(), numbered);
    }

    #[test]
    fn a_changed_frame_is_no_frame(batch in batch(), bit in any::<prop::sample::Index>(), cut in any::<prop::sample::Index>()) {
        let records: Vec<&[u8]> = batch.iter().map(Vec::as_slice).collect();
        let (salt, mut bytes) = (Salt::random(), Vec::new());
        frame::encode(&mut bytes, salt, 9, &records);
        let payload: usize = records.iter().map(|record| record.len() + 4).sum();
        let covered = frame::FRAME_HEADER_BYTES + payload; // the alignment is not
        prop_assert!(frame::decode(&bytes[..cut.index(covered)], salt).is_err());
        prop_assert!(frame::decode(&bytes, Salt::random()).is_err());
        let bit = bit.index(covered * 8);
        bytes[bit / 8] ^= 1 << (bit % 8);
        prop_assert!(frame::decode(&bytes, salt).is_err());
    }

    #[test]
    fn garbage_is_no_frame(bytes in prop::collection::vec(any::<u8>(), 0..200), header in any::<[u8; SEGMENT_HEADER_BYTES]>()) {
        prop_assert!(frame::decode(&bytes, Salt::random()).is_err());
        prop_assert!(SegmentHeader::decode(&header).is_err());
    }
}

proptest! {
    #![proptest_config(config(150))]

    /// The promise: whatever happens to one file, what is read is whole batches from the beginning, and what is missing is
    /// reported, unless no whole batch is left behind it.
    #[test]
    fn damage_is_never_silent(
        batches in prop::collection::vec(batch(), 1..20),
        victim in any::<prop::sample::Index>(),
        damage in damages(),
    ) {
        let mut bench = Bench::new();
        let mut log = bench.open();
        for batch in batches {
            bench.append(&mut log, batch);
        }
        drop(log);
        let paths = bench.segments();
        let (victim, last) = (&paths[victim.index(paths.len())], paths.last().unwrap());
        let before = std::fs::read(victim).unwrap();
        let touched_to = damage.happen(victim);
        let unchanged = std::fs::read(victim).unwrap() == before;
        drop(verify(bench.dir.path()));

        let log = match SegmentLog::open(bench.options()) {
            Err(LogError::Damaged { .. }) => {
                prop_assert!(!unchanged);
                return Ok(());
            }
            Err(other) => return Err(TestCaseError::fail(other.to_string())),
            Ok(log) => log,
        };
        let expected = bench.records();
        match read(&log, 0) {
            Err((records, error)) => {
                prop_assert!(!unchanged);
                prop_assert!(matches!(error, LogError::Damaged { .. }), "{}", error);
                prop_assert_eq!(&records[..], &expected[..records.len()]);
            }
            Ok(records) => {
                prop_assert_eq!(&records[..], &expected[..records.len()]);
                let lost = records.len() < expected.len();
                prop_assert!(!lost || (victim == last && touched_to > last_frame(&before)));
                // And the log goes on from there.
                while bench.records().len() > records.len() {
                    bench.acked.pop();
                }
                let mut log = log;
                bench.fill(&mut log, 20);
                drop(log);
                bench.check_reopened();
            }
        }
    }
}
