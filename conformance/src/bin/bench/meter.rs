//! What processes use: processor time, and bytes on the disk.

use std::time::Instant;

use conformance::server::Server;

/// Measures a server and this generator from its start on.
pub struct Meter {
    pid: u32,
    server_s: f64,
    own_s: f64,
    start: Instant,
}

/// Cores used on average: 1.0 is one core all the time.
#[derive(Debug, Clone, Copy, Default)]
pub struct Used {
    pub peer_cores: f64,
    pub own_cores: f64,
    pub seconds: f64,
}

impl Meter {
    /// For a process: the server, or the bare writer.
    pub fn start(pid: u32) -> Meter {
        Meter { pid, server_s: cpu_s(pid).unwrap_or(0.0), own_s: own_cpu_s(), start: Instant::now() }
    }

    pub fn used(&self) -> Used {
        let seconds = self.start.elapsed().as_secs_f64();
        Used {
            peer_cores: (cpu_s(self.pid).unwrap_or(0.0) - self.server_s) / seconds,
            own_cores: (own_cpu_s() - self.own_s) / seconds,
            seconds,
        }
    }
}

/// The machine's processor time so far, as the kernel counts it: in a virtual machine some of it never comes.
#[derive(Debug, Clone, Copy, Default)]
pub struct HostTime {
    all_ticks: f64,
    stolen_ticks: f64,
}

impl HostTime {
    pub fn now() -> HostTime {
        let stat = std::fs::read_to_string("/proc/stat").unwrap_or_default();
        let first = stat.lines().next().unwrap_or_default();
        // user, nice, system, idle, iowait, irq, softirq, steal; guest time after that is counted in user already.
        let ticks: Vec<f64> = first.split_whitespace().skip(1).take(8).filter_map(|field| field.parse().ok()).collect();
        HostTime { all_ticks: ticks.iter().sum(), stolen_ticks: ticks.get(7).copied().unwrap_or(0.0) }
    }

    /// Between then and now: figures taken with more than a few per cent are not worth much.
    pub fn stolen_share(&self) -> f64 {
        let now = HostTime::now();
        (now.stolen_ticks - self.stolen_ticks) / (now.all_ticks - self.all_ticks).max(1.0)
    }
}

/// Resident memory of a server; 0 when it does not run.
pub fn rss_bytes(server: &Server) -> f64 {
    server.rss_bytes().unwrap_or(0) as f64
}

/// Processor time that this process used, in seconds.
fn own_cpu_s() -> f64 {
    cpu_s(std::process::id()).unwrap_or(0.0)
}

/// Processor time that a process used, in seconds; `None` when it does not run.
fn cpu_s(pid: u32) -> Option<f64> {
    let stat = std::fs::read_to_string(format!("/proc/{pid}/stat")).ok()?;
    // The name in parentheses may contain spaces; utime and stime are the 12th and 13th fields after it.
    let fields: Vec<&str> = stat.rsplit_once(')')?.1.split_whitespace().collect();
    let ticks = fields.get(11)?.parse::<f64>().ok()? + fields.get(12)?.parse::<f64>().ok()?;
    Some(ticks / rustix::param::clock_ticks_per_second() as f64)
}

/// Bytes that a process caused to be written to the disk; 0 where the kernel does not say.
pub fn written_bytes(pid: u32) -> u64 {
    let io = std::fs::read_to_string(format!("/proc/{pid}/io")).unwrap_or_default();
    io.lines().find_map(|line| line.strip_prefix("write_bytes: ")).and_then(|n| n.parse().ok()).unwrap_or(0)
}

/// Bytes that a directory takes on the disk, pre-allocated ones included.
pub fn disk_bytes(dir: &std::path::Path) -> u64 {
    use std::os::unix::fs::MetadataExt as _;
    let Ok(entries) = std::fs::read_dir(dir) else {
        return 0;
    };
    entries
        .flatten()
        .map(|entry| match entry.metadata() {
            Ok(meta) if meta.is_dir() => disk_bytes(&entry.path()),
            Ok(meta) => meta.blocks() * 512,
            // Gone meanwhile: a segment that was let go.
            Err(_) => 0,
        })
        .sum()
}
