//! The MQTT edge, begun: what topics, filters and payloads mean. Nothing listens yet.

pub mod payload;
pub mod topic;
