//! Texts cut so that what is sent is within a service's bound: between characters, and the end shows that there was more.

use hallway_broker::limits::beginning;

/// What stands for what was left out.
const MORE: &str = "…";

/// What `build` makes of as much of `text` as fits into `most` bytes; `None` when not even an empty text does. `build` grows with the text.
#[must_use]
pub fn fit(text: &str, most: usize, build: impl Fn(&str) -> Vec<u8>) -> Option<Vec<u8>> {
    if text.len() <= most {
        let whole = build(text);
        if whole.len() <= most {
            return Some(whole);
        }
    }
    let (mut fits, mut least, mut over) = (None, 0, text.len().min(most) + 1);
    // Nothing at or above `over` bytes of it fits; what is below `least` does.
    while least < over {
        let kept = beginning(text, least.midpoint(over));
        let built = build(&[kept, MORE].concat());
        if built.len() <= most {
            fits = Some(built);
            least = next_boundary(text, kept.len());
        } else {
            over = kept.len();
        }
    }
    fits.or_else(|| Some(build("")).filter(|built| built.len() <= most))
}

/// The end of the character that begins at `at`; beyond the text when none does.
fn next_boundary(text: &str, at: usize) -> usize {
    (at + 1..text.len()).find(|at| text.is_char_boundary(*at)).unwrap_or(if at < text.len() { text.len() } else { text.len() + 1 })
}

#[cfg(test)]
mod tests {
    use proptest::prelude::*;

    use super::*;

    fn quoted(text: &str) -> Vec<u8> {
        serde_json::to_vec(text).unwrap()
    }

    #[test]
    fn what_fits_stays_whole_and_what_does_not_is_cut() {
        assert_eq!(fit("abc", 5, quoted).unwrap(), b"\"abc\"");
        assert_eq!(String::from_utf8(fit("abcdef", 7, quoted).unwrap()).unwrap(), "\"ab…\"");
        assert_eq!(String::from_utf8(fit("ééé", 7, quoted).unwrap()).unwrap(), "\"é…\"");
        assert_eq!(fit("abcdef", 2, quoted).unwrap(), b"\"\"");
        assert_eq!(fit("abcdef", 1, quoted), None);
    }

    proptest! {
        #[test]
        fn as_much_is_kept_as_fits(text in "[a\"é\u{1f600}\n]{0,40}", most in 2_usize..90) {
            let built = fit(&text, most, quoted).unwrap();
            prop_assert!(built.len() <= most);
            let read: String = serde_json::from_slice(&built).unwrap();
            if read != text {
                prop_assert!(quoted(&text).len() > most);
                let kept = read.strip_suffix(MORE).unwrap_or_default();
                prop_assert!(text.starts_with(kept));
                // One character more would not have fitted.
                if read.ends_with(MORE) && let Some(next) = text[kept.len()..].chars().next() {
                    let longer = format!("{kept}{next}{MORE}");
                    prop_assert!(quoted(&longer).len() > most);
                }
            }
        }
    }
}
