//! Every normative statement that concerns a server, with its test or the reason why it has none.
//!
//! The numbers are those of the OASIS standards (appendix B of each); the words are ours. Statements about clients only are left out.

mod v4;
mod v5;

use anyhow::Result;

use super::broker::Broker;
use crate::mqtt::Version;

/// A test: what was wrong is its error.
pub type Test = fn(&Broker) -> Result<()>;

/// How a statement is tried.
#[derive(Debug, Clone, Copy)]
pub enum Check {
    /// By this test.
    Test(Test),
    /// Not at all, for this reason.
    No(&'static str),
}

/// One row.
#[derive(Debug, Clone, Copy)]
pub struct Statement {
    /// Number in the standard.
    pub id: &'static str,
    /// What it asks, in our words.
    pub words: &'static str,
    /// How it is tried.
    pub check: Check,
}

const fn tested(id: &'static str, words: &'static str, test: Test) -> Statement {
    Statement { id, words, check: Check::Test(test) }
}

const fn untested(id: &'static str, words: &'static str, reason: &'static str) -> Statement {
    Statement { id, words, check: Check::No(reason) }
}

/// The statements of that version, in the order of the standard.
#[must_use]
pub fn statements(version: Version) -> Vec<Statement> {
    match version {
        Version::V4 => v4::statements(),
        Version::V5 => v5::statements(),
    }
}
