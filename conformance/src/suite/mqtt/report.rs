//! What a run of the MQTT statements found, as a table on the terminal, as a page and as JUnit XML.

use std::fmt::Write;

use super::broker::Target;
use crate::mqtt::Version;

/// What a test found.
#[derive(Debug, Clone, PartialEq, Eq)]
pub enum Outcome {
    /// The broker does it.
    Passed,
    /// It does not; what was seen.
    Failed(String),
    /// Nobody knows, and why.
    Untested(String),
}

/// A statement and what was found.
#[derive(Debug, Clone)]
pub struct Line {
    /// Number of the statement.
    pub id: &'static str,
    /// Our words for it.
    pub words: &'static str,
    /// What was found.
    pub outcome: Outcome,
    /// How long it took.
    pub seconds: f64,
}

impl Outcome {
    /// A word, and what there is to say.
    #[must_use]
    pub fn tell(&self) -> (&'static str, &str) {
        match self {
            Self::Passed => ("pass", ""),
            Self::Failed(seen) => ("FAIL", seen),
            Self::Untested(reason) => ("untested", reason),
        }
    }
}

/// Passed, failed, untested.
#[must_use]
pub fn counts(lines: &[Line]) -> [usize; 3] {
    let count = |word| lines.iter().filter(|line| line.outcome.tell().0 == word).count();
    [count("pass"), count("FAIL"), count("untested")]
}

/// `N passed, M failed, U untested`.
#[must_use]
pub fn sum(lines: &[Line]) -> String {
    let [passed, failed, untested] = counts(lines);
    format!("{passed} passed, {failed} failed, {untested} untested")
}

/// The table for a terminal, with the sum.
#[must_use]
pub fn text(lines: &[Line]) -> String {
    let mut out = String::new();
    for line in lines {
        let (word, detail) = line.outcome.tell();
        // Writing to a string cannot fail.
        let _ = writeln!(out, "{word:<8} {:<17} {}", line.id, line.words);
        if !detail.is_empty() {
            let _ = writeln!(out, "{:26} — {}", "", detail);
        }
    }
    let _ = writeln!(out, "{}", sum(lines));
    out
}

fn title(target: &Target) -> String {
    let version = if target.version == Version::V5 { "5.0" } else { "3.1.1" };
    format!("MQTT {version} server statements on {}", target.address)
}

fn escape(text: &str) -> String {
    // Control characters have no place in XML.
    let text: String = text.chars().map(|c| if c.is_control() { ' ' } else { c }).collect();
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

/// One page that needs nothing else.
#[must_use]
pub fn html(target: &Target, lines: &[Line]) -> String {
    let title = escape(&title(target));
    let mut out = format!(
        "<!doctype html><html lang=\"en\"><head><meta charset=\"utf-8\"><title>{title}</title><style>\
         body{{font:15px/1.4 sans-serif;max-width:70em;margin:2em auto;padding:0 1em}}table{{border-collapse:collapse;width:100%}}\
         td,th{{text-align:left;vertical-align:top;padding:.3em .6em;border-bottom:1px solid #ccc}}td:first-child{{white-space:nowrap}}\
         .pass td:last-child{{color:#176117}}.FAIL td:last-child{{color:#a40000}}.FAIL{{background:#fff0f0}}\
         .untested td:last-child{{color:#666}}</style></head><body><h1>{title}</h1><p>{}</p>\
         <table><tr><th>Statement</th><th>In our words</th><th>Result</th></tr>\n",
        sum(lines)
    );
    for line in lines {
        let (word, detail) = line.outcome.tell();
        let detail = if detail.is_empty() { String::new() } else { format!(": {}", escape(detail)) };
        let words = escape(line.words);
        let _ = writeln!(out, "<tr class=\"{word}\"><td>{}</td><td>{words}</td><td><b>{word}</b>{detail}</td></tr>", line.id);
    }
    out.push_str("</table></body></html>\n");
    out
}

/// JUnit XML: untested statements are skipped tests.
#[must_use]
pub fn junit(target: &Target, lines: &[Line]) -> String {
    let [_, failed, untested] = counts(lines);
    let mut out = format!(
        "<?xml version=\"1.0\" encoding=\"UTF-8\"?>\n<testsuite name=\"{}\" tests=\"{}\" failures=\"{failed}\" skipped=\"{untested}\">\n",
        escape(&title(target)),
        lines.len()
    );
    for line in lines {
        let words = escape(line.words);
        let _ = write!(out, "<testcase classname=\"{}\" name=\"{words}\" time=\"{:.3}\">", line.id, line.seconds);
        match &line.outcome {
            Outcome::Passed => {}
            Outcome::Failed(seen) => {
                let _ = write!(out, "<failure message=\"{}\"/>", escape(seen));
            }
            Outcome::Untested(reason) => {
                let _ = write!(out, "<skipped message=\"{}\"/>", escape(reason));
            }
        }
        out.push_str("</testcase>\n");
    }
    out.push_str("</testsuite>\n");
    out
}
