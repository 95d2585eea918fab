//! Badges: what a badge is known by, however a reader writes it.

mod code;

pub use code::{CANDIDATES_MAX, CODE_BYTES_MAX};
