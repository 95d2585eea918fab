//! What an idle client notices of a load: a connection in a thread of its own pings all the time, so that the generator's
//! own loop does not count.

use std::io::{ErrorKind, Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::sync::Arc;
use std::sync::atomic::{AtomicBool, Ordering};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use anyhow::{Context as _, Result, anyhow, bail, ensure};
use conformance::mqtt::packet::PINGREQ;

use super::broker::{Broker, Credential};
use super::packet;
use crate::latency::{Latency, Summary};

const INTERVAL: Duration = Duration::from_millis(5);
/// A server that does not answer for so long is a failure, not a figure.
const PATIENCE: Duration = Duration::from_secs(60);
const PINGRESP: u8 = 0xD0;

/// A client that pings until it is asked for its figures.
pub struct Pinger {
    stop: Arc<AtomicBool>,
    thread: Option<JoinHandle<Result<Latency>>>,
}

impl Pinger {
    /// `client`: the number of its account and client id.
    pub fn start(broker: &Broker, client: usize) -> Result<Pinger> {
        let stop = Arc::new(AtomicBool::new(false));
        let stopped = Arc::clone(&stop);
        let stream = connect(broker.plain()?, &broker.connect(client, Credential::Token))?;
        let thread = std::thread::Builder::new().name("pinger".into()).spawn(move || ping(stream, &stopped))?;
        Ok(Pinger { stop, thread: Some(thread) })
    }

    pub fn finish(mut self) -> Result<Summary> {
        self.stop.store(true, Ordering::Relaxed);
        let thread = self.thread.take().context("finished before")?;
        let mut latency = thread.join().map_err(|_| anyhow!("the pinger panicked"))??;
        Ok(latency.summary())
    }
}

impl Drop for Pinger {
    fn drop(&mut self) {
        self.stop.store(true, Ordering::Relaxed);
    }
}

fn connect(address: SocketAddr, connect: &[u8]) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(address)?;
    stream.set_nodelay(true)?;
    stream.set_read_timeout(Some(PATIENCE))?;
    stream.write_all(connect)?;
    let (first, body) = read_packet(&mut stream)?;
    ensure!(first == packet::CONNACK && body.get(1) == Some(&0), "the pinger was answered with {first:#04x} {body:02X?}");
    Ok(stream)
}

fn ping(mut stream: TcpStream, stop: &AtomicBool) -> Result<Latency> {
    let mut latency = Latency::default();
    while !stop.load(Ordering::Relaxed) {
        let start = Instant::now();
        stream.write_all(&PINGREQ)?;
        let (first, _) = read_packet(&mut stream)?;
        ensure!(first == PINGRESP, "instead of PINGRESP came {first:#04x}");
        latency.add(start.elapsed());
        std::thread::sleep(INTERVAL);
    }
    Ok(latency)
}

/// The next packet of a connection on which few come.
fn read_packet(stream: &mut TcpStream) -> Result<(u8, Vec<u8>)> {
    let mut bytes = Vec::new();
    loop {
        if let Some(packet) = packet::first(&bytes)? {
            ensure!(packet.len == bytes.len(), "more than one packet for the pinger: {bytes:02X?}");
            return Ok((packet.first, packet.body.to_vec()));
        }
        let mut buffer = [0; 4096];
        match stream.read(&mut buffer) {
            Ok(0) => bail!("the pinger's connection ended"),
            Ok(count) => bytes.extend_from_slice(&buffer[..count]),
            Err(error) if error.kind() == ErrorKind::Interrupted => {}
            Err(error) => return Err(error).with_context(|| format!("no PINGRESP within {PATIENCE:?}")),
        }
    }
}
