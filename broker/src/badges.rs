//! What is on badges: the codes that they are found by, and what else is printed around these.

pub mod contents;
