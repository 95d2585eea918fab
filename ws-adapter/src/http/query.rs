//! What stands behind the question mark of a request's target.

use hallway_broker::files::percent_decoded;
use hyper::Uri;

/// The first value of this name, decoded; `None` when there is none, or it is not UTF-8.
pub fn value(uri: &Uri, name: &str) -> Option<String> {
    let pairs = uri.query()?.split('&').map(|pair| pair.split_once('=').unwrap_or((pair, "")));
    let (_, value) = pairs.into_iter().find(|(found, _)| *found == name)?;
    decoded(value)
}

/// A name or value, decoded; `None` when it is not UTF-8.
pub fn decoded(text: &str) -> Option<String> {
    // As forms write a space.
    percent_decoded(&text.replace('+', " "))
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn values_are_decoded() {
        let uri: Uri = "/files?name=a%20b+c%2B%C3%BC.txt&x&name=other&bad=%ff".parse().unwrap();
        assert_eq!(value(&uri, "name").as_deref(), Some("a b c+ü.txt"));
        assert_eq!((value(&uri, "x").as_deref(), value(&uri, "bad"), value(&uri, "y")), (Some(""), None, None));
        assert_eq!(value(&"/files".parse().unwrap(), "name"), None);
    }

    proptest! {
        #[test]
        fn any_target_can_be_asked(query in "[!-~]{0,80}") {
            if let Ok(uri) = format!("/x?{query}").parse::<Uri>() {
                let _ = value(&uri, "name");
            }
        }
    }
}
