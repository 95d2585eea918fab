//! The quotation before an answer, for those whose client knows no replies (XEP-0461 §3.1, XEP-0393 §6.1.3).

/// Most lines that are quoted.
const MAX_LINES: usize = 4;
/// Most characters of a text that are quoted.
const MAX_CHARS: usize = 280;

/// A text in `>` lines under its author's name, with a line feed at the end. Of a long one, the beginning.
#[must_use]
pub fn quote(name: &str, text: &str) -> String {
    let mut quoted = String::with_capacity(name.len() + text.len().min(4 * MAX_CHARS) + 16);
    line(name.chars().chain([':']), &mut quoted);
    if text.is_empty() {
        return quoted; // deleted
    }
    let mut left = MAX_CHARS;
    let mut lines = text.lines();
    for text in lines.by_ref().take(MAX_LINES) {
        let chars = text.chars().count();
        let is_cut = chars > left;
        line(text.chars().take(left).chain(is_cut.then_some('…')), &mut quoted);
        if is_cut {
            return quoted;
        }
        left -= chars;
    }
    if lines.next().is_some() {
        line(['…'], &mut quoted);
    }
    quoted
}

/// Line feeds and carriage returns would end the quotation.
fn line(chars: impl IntoIterator<Item = char>, quoted: &mut String) {
    quoted.push_str("> ");
    quoted.extend(chars.into_iter().map(|c| if matches!(c, '\n' | '\r') { ' ' } else { c }));
    quoted.push('\n');
}
