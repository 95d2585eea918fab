//! The web app at `/`: two people in two browsers through all of it, driven by `browser/app.mjs` through playwright-core, which starts,
//! kills and restarts the server itself.
//!
//! `conformance/test` installs what that needs; run by hand without it, the suite is skipped and says so.

use std::io::{BufRead, BufReader};
use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, anyhow, ensure};

use super::Report;
use crate::server::binary;

/// Where `npm install --prefix` put [`PACKAGES`].
pub(crate) const MODULES: &str = "CONFORMANCE_NODE_MODULES";
const PACKAGES: [&str; 2] = ["playwright-core", "axe-core"];

/// Names a directory for screenshots of every view.
const PICTURES: &str = "CONFORMANCE_PICTURES";

/// The app, if there is a browser.
pub fn run(report: &mut Report) {
    const NAME: &str = "browser: the web app";
    match missing() {
        Some(what) => report.skip(NAME, &what),
        None => {
            let ended = follow(report);
            report.check(NAME, || ended.map(|checks| format!("{checks} checks")));
        }
    }
}

/// The browser.
pub(crate) fn chromium() -> PathBuf {
    std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from)
}

/// Where its driver is.
pub(crate) fn modules() -> Option<PathBuf> {
    let modules = PathBuf::from(std::env::var_os(MODULES)?);
    PACKAGES.iter().all(|package| modules.join(package).is_dir()).then_some(modules)
}

/// What there is not, of what drives a browser.
pub(crate) fn missing() -> Option<String> {
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        return Some("there is no node".into());
    }
    if !chromium().is_file() {
        return Some(format!("there is no browser at {}", chromium().display()));
    }
    modules().is_none().then(|| format!("{MODULES} names no directory with {}", PACKAGES.join(" and ")))
}

/// Runs the script and reports each of its lines as a check; how many there were.
fn follow(report: &mut Report) -> Result<usize> {
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/app.mjs");
    let mut running = Command::new("node")
        .arg(script)
        .arg(binary()?)
        .args(std::env::var_os(PICTURES))
        .env(MODULES, modules().unwrap_or_default())
        .env("CHROMIUM", chromium())
        .stdout(Stdio::piped())
        .spawn()
        .context("cannot run node")?;
    let lines = BufReader::new(running.stdout.take().context("no stdout")?).lines();
    let (mut checks, mut failed) = (0, 0);
    for line in lines {
        let line = line?;
        let (word, what) = line.split_once(' ').unwrap_or((&line, ""));
        let (name, detail) = what.split_once(": ").unwrap_or((what, ""));
        let outcome = match word {
            "ok" => Ok(detail.to_owned()),
            "FAIL" => Err(anyhow!("{detail}")),
            _ => Err(anyhow!("neither ok nor FAIL: {line}")),
        };
        checks += 1;
        failed += usize::from(outcome.is_err());
        report.check(&format!("browser: {name}"), || outcome);
    }
    let status = running.wait()?;
    ensure!(checks > 0 && status.success() == (failed == 0), "the script ended with {status} after {checks} checks, {failed} failed");
    Ok(checks)
}
