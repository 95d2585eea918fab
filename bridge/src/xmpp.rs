//! The XMPP edge. [`stream`] turns bytes into stanzas and back; what stanzas mean is said above it.

pub mod stream;
