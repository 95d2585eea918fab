//! Plays the stories of `scenarios/`, each against a server of its own, a few at a time.

use std::collections::BTreeSet;
use std::path::PathBuf;
use std::sync::Mutex;
use std::sync::atomic::{AtomicUsize, Ordering};

use anyhow::{Result, ensure};

use super::Report;
use crate::script::{self, Scenario};

/// Scenarios played at the same time: most of their time they wait for the disk.
const AT_ONCE: usize = 4;

/// Where the scenarios lie.
#[must_use]
pub fn directory() -> PathBuf {
    PathBuf::from(env!("CARGO_MANIFEST_DIR")).join("scenarios")
}

/// Plays those named, or all.
///
/// # Errors
/// When a name is unknown, or a scenario does not parse.
pub fn run(names: &[String], report: &mut Report) -> Result<()> {
    let mut scenarios = script::load_all(&directory())?;
    let known: BTreeSet<String> = scenarios.iter().map(name_of).collect();
    for name in names {
        ensure!(known.contains(name), "there is no scenario '{name}'; there are: {}", known.iter().cloned().collect::<Vec<_>>().join(", "));
    }
    scenarios.retain(|scenario| names.is_empty() || names.contains(&name_of(scenario)));
    let (next, results) = (AtomicUsize::new(0), Mutex::new(Vec::new()));
    std::thread::scope(|scope| {
        for _ in 0..AT_ONCE {
            scope.spawn(|| {
                while let Some(scenario) = scenarios.get(next.fetch_add(1, Ordering::Relaxed)) {
                    let result = script::play(scenario);
                    if let Ok(mut results) = results.lock() {
                        results.push((name_of(scenario), result));
                    }
                }
            });
        }
    });
    let results = results.into_inner().unwrap_or_default();
    ensure!(results.len() == scenarios.len(), "{} of {} scenarios came to an end: a player panicked", results.len(), scenarios.len());
    for (name, result) in results {
        report.check(&format!("scenario {name}"), || Ok(format!("{} sentences", result?)));
    }
    Ok(())
}

fn name_of(scenario: &Scenario) -> String {
    scenario.path.file_stem().unwrap_or_default().to_string_lossy().into_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::script::reasons::{CODES, METHODS};

    /// Reasons that other suites provoke.
    const ELSEWHERE: [(&str, &str); 12] = [
        ("private_url", include_str!("push/hostile.rs")),
        ("allowance_unknown", include_str!("hostile/compat/webhook.rs")),
        ("disk_full", include_str!("disk.rs")),
        ("too_deep", include_str!("hostile/input.rs")),
        ("batch_too_large", include_str!("hostile/input.rs")),
        ("too_large", include_str!("hostile/input.rs")),
        ("too_many_uploads", include_str!("hostile/files.rs")),
        ("broken_media", include_str!("hostile/files.rs")),
        ("not_strippable", include_str!("hostile/files.rs")),
        ("too_many_members", include_str!("hostile/bounds.rs")),
        ("too_many_edits", include_str!("hostile/bounds.rs")),
        ("too_many_reactions", include_str!("hostile/bounds.rs")),
    ];

    /// Reasons that nothing can provoke from outside on purpose, and why.
    const OUT_OF_REACH: [(&str, &str); 4] = [
        ("too_many_blocked", "takes 1,001 accounts; the hub's tests have them"),
        ("store_error", "needs a failing disk; the simulation injects it"),
        ("draining", "the error, not the notice: between SIGTERM and the close there is no certain moment"),
        ("busy", "no bound says when"),
    ];

    #[test]
    fn every_method_and_every_reason_is_played() {
        let scenarios = script::load_all(&directory()).expect("scenarios");
        let text: String = scenarios.iter().map(|scenario| std::fs::read_to_string(&scenario.path).expect("text")).collect();
        let debug = format!("{scenarios:?}");
        for method in METHODS {
            assert!(debug.contains(method), "no scenario uses {method}");
        }
        for reason in CODES.iter().flat_map(|(_, reasons)| *reasons) {
            let said = text.contains(&format!("because {reason}")) || text.contains(&format!("\"{reason}\""));
            let elsewhere = ELSEWHERE.iter().any(|(word, source)| word == reason && source.contains(reason));
            let excused = OUT_OF_REACH.iter().any(|(word, _)| word == reason);
            assert!(said || elsewhere || excused, "nothing provokes '{reason}'");
            assert!(!(said && excused), "'{reason}' is played after all");
        }
    }
}
