//! Two browser windows at `/` talk, driven by `browser/two-windows.cjs` through playwright-core.
//!
//! `conformance/test` installs what that needs; run by hand without it, the suite is skipped and says so.

use std::path::{Path, PathBuf};
use std::process::{Command, Stdio};

use anyhow::{Context, Result, ensure};

use super::Report;
use crate::server::{Options, Server};

/// Where `npm install --prefix` put playwright-core.
const MODULES: &str = "CONFORMANCE_NODE_MODULES";

/// One story, if there is a browser.
pub fn run(report: &mut Report) {
    const NAME: &str = "browser: two windows talk";
    match missing() {
        Some(what) => report.skip(NAME, &what),
        None => report.check(NAME, two_windows),
    }
}

fn chromium() -> PathBuf {
    std::env::var_os("CHROMIUM").map_or_else(|| PathBuf::from("/usr/bin/chromium"), PathBuf::from)
}

fn modules() -> Option<PathBuf> {
    std::env::var_os(MODULES).map(PathBuf::from).filter(|modules| modules.join("playwright-core").is_dir())
}

fn missing() -> Option<String> {
    let node = Command::new("node").arg("--version").stdout(Stdio::null()).stderr(Stdio::null()).status();
    if !node.is_ok_and(|status| status.success()) {
        return Some("there is no node".into());
    }
    if !chromium().is_file() {
        return Some(format!("there is no browser at {}", chromium().display()));
    }
    modules().is_none().then(|| format!("{MODULES} names no directory with playwright-core"))
}

fn two_windows() -> Result<String> {
    let mut server = Server::start(Options::new())?;
    let script = Path::new(env!("CARGO_MANIFEST_DIR")).join("browser/two-windows.cjs");
    let output = Command::new("node")
        .arg(script)
        .arg(format!("http://{}", server.http()))
        .env("NODE_PATH", modules().unwrap_or_default())
        .env("CHROMIUM", chromium())
        .output()
        .context("cannot run node")?;
    let (out, err) = (String::from_utf8_lossy(&output.stdout), String::from_utf8_lossy(&output.stderr));
    ensure!(output.status.success(), "{err}\n{out}");
    server.terminate()?;
    Ok(out.trim().to_owned())
}
