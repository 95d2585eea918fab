//! A server that runs already: what the script `conformance/peers/xmpp` starts, or whatever else has the benchmark's accounts.

use std::collections::HashSet;
use std::net::SocketAddr;
use std::path::Path;

use anyhow::{Context as _, Result};

/// State of a listening socket in `/proc/net/tcp`.
const LISTENING: &str = "0A";

/// The process that listens on an IPv4 address.
pub fn pid_of(address: SocketAddr) -> Result<u32> {
    let table = std::fs::read_to_string("/proc/net/tcp")?;
    let inodes = listening(&table, address.port());
    pids()?.into_iter().find(|&pid| holds(pid, &inodes)).with_context(|| format!("no process that listens on {address} is to be seen"))
}

/// The inodes of sockets that listen on a port; loopback's, or everyone's.
fn listening(table: &str, port: u16) -> HashSet<String> {
    let port = format!(":{port:04X}");
    let of = |line: &str| {
        let fields: Vec<&str> = line.split_whitespace().collect();
        let is_it = fields.get(1)?.ends_with(&port) && *fields.get(3)? == LISTENING;
        is_it.then(|| fields.get(9).map(|inode| format!("socket:[{inode}]"))).flatten()
    };
    table.lines().skip(1).filter_map(of).collect()
}

fn pids() -> Result<Vec<u32>> {
    Ok(std::fs::read_dir("/proc")?.flatten().filter_map(|entry| entry.file_name().to_str()?.parse().ok()).collect())
}

/// Whether a process has one of these open; others' processes show nothing.
fn holds(pid: u32, inodes: &HashSet<String>) -> bool {
    let Ok(files) = std::fs::read_dir(Path::new("/proc").join(pid.to_string()).join("fd")) else {
        return false;
    };
    files.flatten().filter_map(|file| std::fs::read_link(file.path()).ok()).any(|to| to.to_str().is_some_and(|to| inodes.contains(to)))
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::net::TcpListener;

    #[test]
    fn only_listening_sockets_of_the_port_count() {
        let table = "  sl  local_address rem_address   st tx_queue rx_queue tr tm->when retrnsmt   uid  timeout inode\n\
                     0: 0100007F:1466 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 111 1 0\n\
                     1: 0100007F:1466 0100007F:9999 01 00000000:00000000 00:00000000 00000000     0        0 222 1 0\n\
                     2: 0100007F:1467 00000000:0000 0A 00000000:00000000 00:00000000 00000000     0        0 333 1 0\n";
        assert_eq!(listening(table, 0x1466), HashSet::from(["socket:[111]".to_owned()]));
    }

    #[test]
    fn a_listener_of_this_process_is_this_process() {
        let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
        assert_eq!(pid_of(listener.local_addr().expect("an address")).expect("a process"), std::process::id());
    }
}
