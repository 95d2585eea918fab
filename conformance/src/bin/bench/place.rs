//! Where the processes run: the number of open files, and the cores that generator, server and limit share.

use std::process::{Command, Stdio};

use anyhow::{Result, ensure};
use rustix::process::{Resource, Rlimit, getrlimit, setrlimit};

/// What 10,000 connections, the bare writer's readers and the server's own files (which inherits the limit) need.
const OPEN_FILES_NEEDED: u64 = 12_000;

/// Raises the soft limit on open files to the hard one.
pub fn raise_open_files() -> Result<()> {
    let hard = getrlimit(Resource::Nofile).maximum;
    setrlimit(Resource::Nofile, Rlimit { current: hard, maximum: hard })?;
    let open_files = hard.unwrap_or(u64::MAX);
    ensure!(open_files >= OPEN_FILES_NEEDED, "only {open_files} open files allowed: 'ulimit -Hn' must be {OPEN_FILES_NEEDED}");
    Ok(())
}

/// Pins this process, and so every child, to `cpus`; says what is in force.
///
/// The targets are for two cores that all share. `taskset` does it, because the standard library cannot.
pub fn pin(cpus: &str) -> String {
    pin_process(cpus, std::process::id());
    let cores = std::thread::available_parallelism().map_or(0, std::num::NonZero::get);
    format!("{cores} cores shared by all (--cpus {cpus})")
}

/// Pins all threads of a process to `cpus`, unless these are all.
pub fn pin_process(cpus: &str, pid: u32) {
    if cpus == "all" {
        return;
    }
    let taskset = Command::new("taskset").args(["-a", "-c", "-p", cpus, &pid.to_string()]).stdout(Stdio::null()).status();
    if !taskset.is_ok_and(|status| status.success()) {
        eprintln!("cannot pin process {pid} to cores {cpus} with taskset; it runs on all");
    }
}
