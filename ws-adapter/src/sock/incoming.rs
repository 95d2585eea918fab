//! What comes in over `/sock`.

use std::borrow::Cow;

use serde::Deserialize;
use serde_json::value::RawValue;

use crate::rpc::{Fault, check_depth};

/// A frame.
#[derive(Debug, Deserialize)]
pub struct Incoming<'a> {
    /// Whether it is stored with the topic.
    #[serde(default)]
    pub store: bool,
    /// What it is: one of the server's, or the application's own.
    #[serde(borrow)]
    pub action: Cow<'a, str>,
    /// The application's name of the topic.
    #[serde(borrow)]
    pub topic: Cow<'a, str>,
    /// What it says.
    #[serde(borrow, default)]
    pub payload: Option<&'a RawValue>,
}

/// What a frame asks for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Deed {
    /// To follow the topic.
    Subscribe,
    /// To follow it no more.
    Unsubscribe,
    /// To say something there.
    Say,
}

impl<'a> Incoming<'a> {
    /// Reads a frame.
    ///
    /// # Errors
    /// `parse_error`, `too_deep`, `invalid_params`.
    pub fn parse(text: &'a str) -> Result<Self, Fault> {
        check_depth(text)?;
        serde_json::from_str(text).map_err(|error| match error.classify() {
            serde_json::error::Category::Data => Fault::invalid_params(error),
            _ => Fault::parse_error(&error),
        })
    }

    /// What it asks for.
    #[must_use]
    pub fn deed(&self) -> Deed {
        match &*self.action {
            "subscribe" => Deed::Subscribe,
            "unsubscribe" => Deed::Unsubscribe,
            _ => Deed::Say,
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn a_frame_is_an_action_on_a_topic() {
        let frame = Incoming::parse(r#"{"store":true,"action":"move","topic":"a/b","payload":{"x":1}}"#).unwrap();
        assert_eq!(
            (frame.store, &*frame.topic, frame.deed(), frame.payload.map(RawValue::get)),
            (true, "a/b", Deed::Say, Some("{\"x\":1}"))
        );
        let frame = Incoming::parse(r#"{"action":"subscribe","topic":"a","payload":null}"#).unwrap();
        assert_eq!((frame.store, frame.deed()), (false, Deed::Subscribe));
        for (bad, reason) in [
            ("", "parse_error"),
            ("ping", "parse_error"),
            ("{}", "invalid_params"),
            (r#"{"action":"x"}"#, "invalid_params"),
            (r#"{"action":1,"topic":"a"}"#, "invalid_params"),
            (r#"{"action":"x","topic":"a","store":"yes"}"#, "invalid_params"),
        ] {
            assert_eq!(Incoming::parse(bad).unwrap_err().reason, reason, "{bad}");
        }
    }

    proptest! {
        #[test]
        fn anything_can_come(text in "\\PC{0,200}") {
            let _ = Incoming::parse(&text);
        }
    }
}
