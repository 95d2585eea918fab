//! The peers: a server on `ws` and one on Socket.IO, in Node, started and ended here. Their programs are in `conformance/peers/node`.

use std::io::{BufRead as _, BufReader};
use std::net::SocketAddr;
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};

use anyhow::{Context as _, Result, ensure};
use conformance::server::target_dir;

use crate::options::Over;
use crate::stage::Account;

/// A running server of Node. It is killed when this is dropped.
pub struct Node {
    child: Child,
    pub over: Over,
    pub address: SocketAddr,
    /// Its library's.
    pub version: String,
    /// Whose names are their tokens.
    pub accounts: Vec<Account>,
}

/// Fetches the libraries, unless they are there; why not, where that fails.
pub fn set_up() -> Result<()> {
    let output = Command::new("bash").arg(programs().join("setup")).arg(libraries()).output().context("cannot run bash")?;
    ensure!(output.status.success(), "{}", String::from_utf8_lossy(&output.stderr).trim_end());
    Ok(())
}

fn programs() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("peers/node")
}

fn libraries() -> PathBuf {
    target_dir().join("peers")
}

impl Node {
    pub fn start(over: Over, accounts: usize) -> Result<Node> {
        let (child, address, version) = launch(over)?;
        let account = |uid: String| Account { token: uid.clone(), uid };
        let accounts = (0..accounts).map(|number| account(format!("bench{number:05}"))).collect();
        Ok(Node { child, over, address, version, accounts })
    }

    /// A fresh process, at another address.
    pub fn restart(&mut self) -> Result<()> {
        self.stop();
        (self.child, self.address, self.version) = launch(self.over)?;
        Ok(())
    }

    pub fn pid(&self) -> u32 {
        self.child.id()
    }

    fn stop(&mut self) {
        self.child.kill().ok();
        self.child.wait().ok();
    }
}

impl Drop for Node {
    fn drop(&mut self) {
        self.stop();
    }
}

/// The process, once it has said where it listens.
fn launch(over: Over) -> Result<(Child, SocketAddr, String)> {
    let program = match over {
        Over::Websocket => "ws.mjs",
        Over::Socketio => "socketio.mjs",
    };
    let mut command = Command::new("node");
    command.arg(programs().join(program)).env("PEER_NODE_MODULES", libraries().join("node/node_modules"));
    let mut child = command.stdin(Stdio::piped()).stdout(Stdio::piped()).spawn().context("cannot start node")?;
    let mut line = String::new();
    if let Some(stdout) = child.stdout.take() {
        BufReader::new(stdout).read_line(&mut line)?;
    }
    let (address, version) = line.trim().split_once(' ').with_context(|| format!("{program} said {line:?}"))?;
    Ok((child, address.parse()?, version.to_owned()))
}
