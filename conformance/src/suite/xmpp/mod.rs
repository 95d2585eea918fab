//! Plays the scripts of `conformance/xmpp`, each story against a server of its own, a few at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};

use super::Report;
use crate::xmpp::script::world::Kind;
use crate::xmpp::script::{self, Played, Script, Story};

/// Stories played at the same time: most of their time they wait for a server to start.
const AT_ONCE: usize = 4;

/// Where the scripts lie.
#[must_use]
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("xmpp")
}

/// Plays those named, or all; then tells where servers differ.
///
/// # Errors
/// When a name is unknown, or a script does not parse.
pub fn run(names: &[String], kind: Kind, report: &mut Report) -> Result<()> {
    let mut scripts = script::load_all(&directory())?;
    let known: BTreeSet<String> = scripts.iter().map(Script::name).collect();
    for name in names {
        ensure!(known.contains(name), "there is no script '{name}'; there are: {}", known.iter().cloned().collect::<Vec<_>>().join(", "));
    }
    scripts.retain(|script| names.is_empty() || names.contains(&script.name()));
    let stories: Vec<(&Script, &Story)> =
        scripts.iter().flat_map(|script| script.stories.iter().map(move |story| (script, story))).collect();
    let mut results = play_all(&stories, kind);
    ensure!(results.len() == stories.len(), "{} of {} stories came to an end: a player panicked", results.len(), stories.len());
    results.sort_by_key(|(at, _)| *at);
    let mut differences = Vec::new();
    for ((script, story), (_, result)) in stories.iter().zip(results) {
        let name = format!("xmpp on {}: {}: {}", kind.name(), script.name(), story.title);
        if story.only.is_some_and(|only| only != kind) {
            report.skip(&name, "a story for another server; why, is listed below");
        } else {
            let sentences = result.as_ref().map_or(0, |played| played.sentences);
            let verdict = result.as_ref().map(|_| format!("{sentences} sentences")).map_err(|error| anyhow::anyhow!("{error:#}"));
            report.check(&name, || verdict);
        }
        differences.extend(result.into_iter().flat_map(|played| played.differences).map(|(line, why)| (script.name(), line, why)));
    }
    for (script, line, why) in differences {
        println!("differs  {script}:{line}: {why}");
    }
    Ok(())
}

fn play_all(stories: &[(&Script, &Story)], kind: Kind) -> Vec<(usize, Result<Played>)> {
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                loop {
                    let at = next.fetch_add(1, Ordering::Relaxed);
                    let Some((script, story)) = stories.get(at) else { break };
                    let result = script::play(script, story, kind);
                    if let Ok(mut results) = results.lock() {
                        results.push((at, result));
                    }
                }
            });
        }
    });
    results.into_inner().unwrap_or_default()
}
