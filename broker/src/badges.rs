//! Badges: what a badge is known by, however a reader writes it, and what else is printed around its code.

mod code;
pub mod contents;

pub use code::{CANDIDATES_MAX, CODE_BYTES_MAX};
