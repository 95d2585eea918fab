//! A full disk: sends are refused with `disk_full`, reads go on, and after room is made sends work again without a restart.
//!
//! The data lies on a small tmpfs that this suite mounts; where that is not permitted it is skipped, and says so.

use std::fs::File;
use std::io::Write;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, anyhow, bail, ensure};
use rustix::mount::{MountFlags, UnmountFlags, mount, unmount};
use serde_json::json;

use super::Report;
use super::edge::join;
use super::load::{self, ack, draft};
use crate::check::Ack;
use crate::client::Client;
use crate::http::Request;
use crate::mqtt::Version;
use crate::mqtt::packet::{PUBACK, Publish};
use crate::mqtt::parse::Packet;
use crate::script::reasons::code_of;
use crate::server::{Options, Server};

/// The disk. The reserve of a disk under ten times `disk_reserve_bytes` is 10 % of it.
const DISK_BYTES: u64 = 256 << 20;
/// How long the server may take to notice that the disk is full, or no longer.
const NOTICED_WITHIN: Duration = Duration::from_secs(20);

/// A mounted tmpfs; unmounted when dropped.
struct SmallDisk {
    directory: tempfile::TempDir,
}

impl SmallDisk {
    fn mount() -> Result<SmallDisk, rustix::io::Errno> {
        let directory = tempfile::Builder::new().prefix("hallway-disk-").tempdir().map_err(|_| rustix::io::Errno::IO)?;
        let size = std::ffi::CString::new(format!("size={DISK_BYTES}")).unwrap_or_default();
        mount("tmpfs", directory.path(), "tmpfs", MountFlags::empty(), size.as_c_str())?;
        Ok(SmallDisk { directory })
    }

    fn path(&self) -> &Path {
        self.directory.path()
    }

    fn free_bytes(&self) -> Result<u64> {
        let stat = rustix::fs::statvfs(self.path())?;
        Ok(stat.f_bavail * stat.f_frsize)
    }

    /// Leaves only so much free.
    fn fill(&self, leave_bytes: u64) -> Result<PathBuf> {
        let path = self.path().join("filler");
        let mut file = File::create(&path)?;
        let block = vec![0x55; 64 << 10];
        while self.free_bytes()? > leave_bytes + block.len() as u64 {
            file.write_all(&block)?;
        }
        Ok(path)
    }
}

impl Drop for SmallDisk {
    fn drop(&mut self) {
        if let Err(error) = unmount(self.path(), UnmountFlags::DETACH) {
            eprintln!("cannot unmount {}: {error}", self.path().display());
        }
    }
}

/// Filled by somebody else, and by the server itself.
pub fn run(report: &mut Report) {
    for (name, story) in [
        ("disk: filled by others, and emptied again", filled_by_others as fn(&SmallDisk) -> Result<String>),
        ("disk: filled by messages", filled_by_messages),
        ("disk: files stop before messages do", files_stop_first),
    ] {
        match SmallDisk::mount() {
            Ok(disk) => report.check(name, || story(&disk)),
            Err(error) => report.skip(name, &format!("a tmpfs cannot be mounted here: {error}")),
        }
    }
}

fn start(disk: &SmallDisk) -> Result<Server> {
    Server::start(Options::new().without_rates().data(&disk.path().join("data")))
}

/// Sends until an answer is (or is not) a refusal; every ack is kept.
struct Talker {
    client: Client,
    next: usize,
    acks: Vec<Ack>,
}

impl Talker {
    fn new(server: &Server) -> Result<Talker> {
        Ok(Talker { client: load::join(server, "alice")?, next: 0, acks: Vec::new() })
    }

    /// True when it was stored.
    fn send(&mut self, bytes: usize) -> Result<bool> {
        let (id, text) = (format!("m{}", self.next), format!("{} {}", self.next, "x".repeat(bytes)));
        match self.client.call("message.send", &draft("lobby", &id, &text))? {
            Ok(result) => {
                self.acks.push(ack("alice", &id, &text, &result)?);
                self.next += 1;
                Ok(true)
            }
            Err(error) if error.reason == "disk_full" => {
                ensure!(Some(error.code) == code_of("disk_full"), "the code is {}", error.code);
                Ok(false)
            }
            Err(error) => bail!("refused, but: {error}"),
        }
    }

    /// Tries again and again, under the same id while it is refused.
    fn until(&mut self, stored: bool) -> Result<Duration> {
        let start = Instant::now();
        while self.send(100)? != stored {
            ensure!(
                start.elapsed() < NOTICED_WITHIN,
                "after {NOTICED_WITHIN:?} a send is still {}",
                if stored { "refused" } else { "stored" }
            );
            // A pause between tries, spent listening.
            self.client.pump(Duration::from_millis(20))?;
        }
        Ok(start.elapsed())
    }
}

fn filled_by_others(disk: &SmallDisk) -> Result<String> {
    let mut server = start(disk)?;
    let mut alice = Talker::new(&server)?;
    for _ in 0..100 {
        ensure!(alice.send(1000)?, "refused while there is room");
    }
    let pid = server.pid()?;
    let bob_token = load::token(&server, "bob")?;
    let filler = disk.fill(512 << 10)?;
    let noticed = alice.until(false)?;
    reads_go_on(&server, &mut alice, &bob_token)?;
    mqtt_is_told(&server)?;
    for _ in 0..20 {
        ensure!(!alice.send(10)?, "stored on a full disk, after having been refused");
    }
    std::fs::remove_file(filler)?;
    let recovered = alice.until(true)?;
    for _ in 0..100 {
        ensure!(alice.send(1000)?, "refused though there is room again");
    }
    ensure!(server.is_running()? && server.pid()? == pid, "the server was restarted");
    load::verify(&load::history(&mut alice.client, "lobby")?, &alice.acks)?;

    server.kill()?;
    server.restart()?;
    let mut judge = load::join(&server, "judge")?;
    load::verify(&load::history(&mut judge, "lobby")?, &alice.acks)?;
    Ok(format!("refused after {noticed:.1?}, stored again after {recovered:.1?}, {} messages kept", alice.acks.len()))
}

fn reads_go_on(server: &Server, alice: &mut Talker, bob_token: &str) -> Result<()> {
    load::verify(&load::history(&mut alice.client, "lobby")?, &alice.acks)?;
    let mut bob = Client::sign_in(server.http(), bob_token).context("nobody can sign in on a full disk")?;
    let caught_up = bob.call_ok("conversation.subscribe", &json!({"conversation": "lobby", "after": 0}))?;
    ensure!(caught_up["events"].as_array().is_some_and(|events| events.len() >= 100), "a reader got {caught_up}");
    bob.call_ok("conversation.list", &json!({}))?;
    bob.call_ok("people.list", &json!({}))?;
    Ok(())
}

/// Over MQTT: 5 has a reason code for it; 3.1.1 has none, so that the connection ends without an acknowledgement and the client tries again.
fn mqtt_is_told(server: &Server) -> Result<()> {
    let message = Publish::new("conf/demo/chat/lobby", 1, "no room").id(7);
    let mut five = join(server, Version::V5, "bob")?;
    five.send(&message.bytes(Version::V5))?;
    match five.expect("PUBACK")? {
        Packet::Ack { first: PUBACK, id: 7, code: 0x97, .. } => {}
        other => bail!("on a full disk MQTT 5 was answered with {other:?}"),
    }
    let mut four = join(server, Version::V4, "bob")?;
    four.send(&message.bytes(Version::V4))?;
    four.expect_closed().context("on a full disk, MQTT 3.1.1")?;
    Ok(())
}

/// Between one reserve and two: no files, and messages as ever.
fn files_stop_first(disk: &SmallDisk) -> Result<String> {
    let server = start(disk)?;
    let mut alice = Talker::new(&server)?;
    let token = load::token(&server, "bob")?;
    let bring = || {
        let request = Request::new("POST", "/files?name=x").header("Authorization", &format!("Bearer {token}"));
        request.body(b"a file".to_vec()).send(server.http())
    };
    ensure!(bring()?.status() == 201, "no file is taken while there is room");
    let filler = disk.fill(DISK_BYTES / 20 * 3)?;
    let noticed = Instant::now();
    let refused = loop {
        let answer = bring()?;
        if answer.status() != 201 {
            break answer;
        }
        ensure!(noticed.elapsed() < NOTICED_WITHIN, "files are still taken after {NOTICED_WITHIN:?}");
        ensure!(alice.send(10)?, "messages stop first");
    };
    ensure!(refused.json()?["error"]["data"]["reason"] == "disk_full", "{}", refused.text());
    for _ in 0..100 {
        ensure!(alice.send(1000)?, "messages stop with the files");
    }
    std::fs::remove_file(filler)?;
    while bring()?.status() != 201 {
        ensure!(noticed.elapsed() < 2 * NOTICED_WITHIN, "no file is taken again");
        ensure!(alice.send(10)?, "refused though there is room");
    }
    Ok(String::new())
}

fn filled_by_messages(disk: &SmallDisk) -> Result<String> {
    let mut server = start(disk)?;
    let token = load::token(&server, "judge")?;
    let mut alice = Talker::new(&server)?;
    // Each is more than its bytes on the disk, so this many cannot fit.
    let too_many = DISK_BYTES as usize / 60_000;
    let mut refused = false;
    for _ in 0..too_many {
        if !alice.send(60_000)? {
            refused = true;
            break;
        }
    }
    ensure!(refused, "{too_many} messages of 60 kB fit on a disk of {DISK_BYTES} bytes");
    let free = disk.free_bytes()?;
    ensure!(free >= DISK_BYTES / 50, "only {free} bytes are left: the reserve was not kept");
    load::verify(&load::history(&mut alice.client, "lobby")?, &alice.acks)?;
    server.terminate().map_err(|error| anyhow!("on a full disk: {error:#}"))?;
    server.restart().context("start on a full disk")?;
    // The token is of before: on a full disk none can be made.
    let mut judge = Client::sign_in(server.http(), &token)?;
    load::verify(&load::history(&mut judge, "lobby")?, &alice.acks)?;
    Ok(format!("refused after {} messages with {} free", alice.acks.len(), load::mib(free)))
}
