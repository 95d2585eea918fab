//! Stories of push: who is away, and what comes of it, with gateways that a test is.
