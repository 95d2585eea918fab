//! Each conversation's own: seqs are dense, n counts the messages, pos grows and is given once, ts does not go back, the counts of members
//! are right.

use std::ops::ControlFlow;

use super::{Bits, CheckReport, Checked, Walk, whole};
use crate::backup::snapshot::Record;
use crate::ids::{ConfNo, ConvNo};
use crate::keys;
use crate::model::{Body, Conversation, Entry, Head, Member, MemberRole};
use crate::state::{Direction, StateError};

impl Walk<'_> {
    pub(super) fn check_conversations(&mut self, conf: ConfNo) -> Result<(), StateError> {
        let prefix = keys::conversations(conf);
        let mut positions = Bits::default();
        let mut from = prefix.clone();
        while let Some((key, value)) = self.next_record(&from, &prefix)? {
            self.report.conversations += 1;
            let id = String::from_utf8_lossy(&key[prefix.len()..]).into_owned();
            match whole(&value) {
                Some(record) => self.check_conversation(conf, &id, &record, &mut positions)?,
                None => self.report.problem(format!("conversation {id}: its record is of another shape")),
            }
            from = key;
            from.push(0);
        }
        Ok(())
    }

    /// One at a time, so that nothing is held while the conversation is read.
    fn next_record(&self, from: &[u8], prefix: &[u8]) -> Result<Option<Record>, StateError> {
        let mut found = None;
        self.state.scan(from, &keys::end_of(prefix), Direction::Ascending, &mut |key, value| {
            found = Some((key.to_vec(), value.to_vec()));
            ControlFlow::Break(())
        })?;
        Ok(found)
    }

    fn check_conversation(&mut self, conf: ConfNo, id: &str, record: &Conversation, positions: &mut Bits) -> Result<(), StateError> {
        let Some(checked) = self.conferences.get_mut(&conf) else { return Ok(()) };
        let name = format!("{}/{id}", checked.id);
        if record.no.0 == 0 || record.no.0 > checked.head.conversations {
            self.report.problem(format!("{name}: its number {} was never given, {} were", record.no.0, checked.head.conversations));
        }
        if !checked.conversations.insert(u64::from(record.no.0)) {
            self.report.problem(format!("{name}: its number {} is another conversation's", record.no.0));
            return Ok(());
        }
        self.check_entries(conf, record.no, &name, positions)?;
        self.check_members(conf, record, &name)
    }

    fn check_entries(&mut self, conf: ConfNo, conv: ConvNo, name: &str, positions: &mut Bits) -> Result<(), StateError> {
        let Some(checked) = self.conferences.get(&conf) else { return Ok(()) };
        let (from, to) = (keys::entry(conf, conv, 0), keys::end_of(&keys::entry(conf, conv, u64::MAX)));
        let mut line = Line { name, last: Head::default(), checked, positions, report: self.report };
        self.state.scan(&from, &to, Direction::Ascending, &mut |key, value| {
            line.add(keys::seq_of_entry(key), whole(value));
            ControlFlow::Continue(())
        })
    }

    fn check_members(&mut self, conf: ConfNo, record: &Conversation, name: &str) -> Result<(), StateError> {
        let (mut members, mut owners) = (0, 0);
        self.scan(&keys::members(conf, record.no), &mut |_, value| {
            let role = whole::<Member>(value).and_then(|member| member.standing.role());
            members += u32::from(role.is_some());
            owners += u32::from(role == Some(MemberRole::Owner));
        })?;
        if (members, owners) != (record.members, record.owners) {
            let counted = format!("{} members and {} owners", record.members, record.owners);
            self.report.problem(format!("{name}: it has {members} members and {owners} owners, but counts {counted}"));
        }
        Ok(())
    }
}

/// The entries of a conversation, one after the other.
struct Line<'a> {
    name: &'a str,
    last: Head,
    checked: &'a Checked,
    positions: &'a mut Bits,
    report: &'a mut CheckReport,
}

impl Line<'_> {
    fn problem(&mut self, seq: u64, what: &str) {
        self.report.problem(format!("{} event {seq}: {what}", self.name));
    }

    fn add(&mut self, seq: u64, entry: Option<Entry>) {
        self.report.events += 1;
        if seq != self.last.seq + 1 {
            self.problem(seq, &format!("it follows event {}", self.last.seq));
        }
        let Some(entry) = entry else {
            self.problem(seq, "its record is of another shape");
            self.last.seq = seq;
            return;
        };
        let n = self.last.n + u64::from(matches!(entry.body, Body::Message(_)));
        if entry.n != n {
            self.problem(seq, &format!("its message number is {} instead of {n}", entry.n));
        }
        if entry.pos <= self.last.pos {
            self.problem(seq, &format!("its pos {} is not above {}, that of the event before", entry.pos, self.last.pos));
        }
        if entry.pos > self.checked.head.pos {
            self.problem(seq, &format!("its pos {} is above the conference's, {}", entry.pos, self.checked.head.pos));
        }
        if !self.positions.insert(entry.pos) {
            self.problem(seq, &format!("its pos {} is another event's", entry.pos));
        }
        if entry.ts_ms < self.last.ts_ms {
            self.problem(seq, "its time is before that of the event before");
        }
        self.last = Head { seq, pos: entry.pos, n: entry.n, ts_ms: entry.ts_ms };
    }
}
