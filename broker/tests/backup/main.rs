//! Backups as an operator uses them: taken, restored, rebuilt from, checked, exported. In reading order: [`venue`] (what is backed up), [`restore`],
//! [`rebuild`], [`files`], [`kept`] (what is kept for people: badges, pushes).

#![allow(clippy::unwrap_used, reason = "a test's helpers may fail like the test")]

mod files;
mod kept;
mod rebuild;
mod restore;
mod venue;
