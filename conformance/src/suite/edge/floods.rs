//! Bad input and floods over MQTT, while a pair of others goes on talking over WebSocket: each is answered as the standard says or ends its
//! connection, memory stays bounded, and the others notice nothing that counts.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use rand::rngs::StdRng;
use rand::{Rng, SeedableRng};

use super::{connect, drain, hello, join};
use crate::mqtt::Version;
use crate::mqtt::client::{Client, Seen};
use crate::mqtt::packet::{self, Connect, Publish, Will};
use crate::mqtt::parse::Packet;
use crate::server::{Options, Server};
use crate::suite::Report;
use crate::suite::load::{Pair, mib};

/// What a flood may cost in memory, in all.
const COSTS: u64 = 48 << 20;
/// How slow the others may get: a generous multiple of what they have alone, since the machine is shared.
const SLOWEST: Duration = Duration::from_secs(2);
/// Connections that do not say who they are: more than `limits.unauthenticated_per_address` (500).
const HALF_OPEN: usize = 600;
/// By then all of them are closed: the 10 s for a CONNECT and some allowance.
const GONE_WITHIN: Duration = Duration::from_secs(30);

/// What one of them does.
type Flood = fn(&Server) -> Result<String>;

/// All floods, on one server.
pub fn run(report: &mut Report) {
    let server = match Server::start(Options::new().set("limits.subscriptions_per_session", 500)) {
        Ok(server) => server,
        Err(error) => return report.check("floods over MQTT", || Err(error)),
    };
    let floods: [(&str, Flood); 11] = [
        ("malformed packets of every kind", malformed),
        ("changed packets at random", changed),
        ("lengths over the bound", too_long),
        ("half-open connections", half_open),
        ("one byte at a time", slow_bytes),
        ("2,000 connects and resets with one client id", resets),
        ("takeovers in a loop", takeovers),
        ("subscriptions without end", subscriptions),
        ("retained messages without end", retained),
        ("wills in a loop", wills),
        ("a reader that stalls", stalled),
    ];
    for (name, flood) in floods {
        report.check(&format!("floods over MQTT: {name}"), || among_others(&server, flood));
    }
    let mut server = server;
    report.check("floods over MQTT: the server ends well", || {
        server.terminate()?;
        let log = server.stderr_tail(2000);
        ensure!(!log.contains("panicked"), "something panicked:\n{log}");
        Ok(String::new())
    });
}

/// Runs a flood while two others talk.
fn among_others(server: &Server, flood: Flood) -> Result<String> {
    let before = server.rss_bytes()?;
    let pair = Pair::start(server, &format!("pair-{}", rand::random::<u32>()))?;
    let begun = Instant::now();
    let told = loop {
        // Long enough for the others to have talked.
        match flood(server) {
            Ok(_) if begun.elapsed() < Duration::from_millis(500) => {}
            told => break told,
        }
    };
    let latency = pair.stop()?;
    let told = told?;
    ensure!(latency.count > 0 && latency.max < SLOWEST, "the others: {latency}");
    let costs = server.rss_bytes()?.saturating_sub(before);
    ensure!(costs < COSTS, "it cost {}", mib(costs));
    Ok(format!("{told}; the others: {latency}; {}", mib(costs)))
}

/// A socket, nothing sent.
fn socket(server: &Server) -> Result<TcpStream> {
    let stream = TcpStream::connect(server.mqtt()?)?;
    stream.set_read_timeout(Some(Duration::from_secs(15)))?;
    Ok(stream)
}

/// Everything that comes until the server closes.
fn until_closed(mut stream: TcpStream) -> Result<Vec<u8>> {
    let mut all = Vec::new();
    match stream.read_to_end(&mut all) {
        Ok(_) => Ok(all),
        Err(error) if error.kind() == std::io::ErrorKind::ConnectionReset => Ok(all),
        Err(error) => Err(error).context("the server does not close"),
    }
}

fn malformed(server: &Server) -> Result<String> {
    let firsts = [
        packet::frame(0x30, b"\0\x01ax"),
        packet::frame(0xC0, b""),
        packet::frame(0x00, b""),
        packet::frame(0xF0, b""),
        packet::frame(0x20, &[0, 0]),
        packet::frame(0x10, b""),
        packet::frame(0x10, b"\0\x04MQTT"),
        packet::frame(0x10, b"\0\x04MQTT\x04\xFF\0\0"),
        vec![0x10, 0xFF, 0xFF, 0xFF, 0xFF],
        vec![0x10, 0x80, 0x80, 0x80, 0x80, 0x01],
        b"GET / HTTP/1.1\r\n\r\n".to_vec(),
    ];
    for bytes in &firsts {
        let mut stream = socket(server)?;
        stream.write_all(bytes)?;
        let answer = until_closed(stream)?;
        ensure!(answer.is_empty(), "{bytes:02X?} was answered with {answer:02X?}");
    }
    let laters = [
        packet::frame(0x36, b"\0\x01a\0\x01x"),
        packet::frame(0x30, b"\0\x01#x"),
        packet::frame(0x30, b"\0\x05a"),
        packet::frame(0x32, b"\0\x01a\0\0x"),
        packet::frame(0x80, b"\0\x01\0\x01a\0"),
        packet::frame(0x82, b"\0\x01"),
        packet::frame(0x82, b"\0\x01\0\x01a\x03"),
        packet::frame(0xA2, b"\0\x01"),
        packet::frame(0x40, b"\0"),
        packet::frame(0x62, b"\0\0"),
        packet::frame(0x20, &[0, 0]),
        packet::frame(0xC0, b"x"),
        packet::frame(0x30, b"\0\x01\xFFx"),
        Connect::new(Version::V5, "again").bytes(),
    ];
    for bytes in &laters {
        for version in [Version::V4, Version::V5] {
            let mut client = join(server, version, "mallory")?;
            client.throw(bytes);
            let code = client.expect_closed().with_context(|| format!("{bytes:02X?}"))?;
            ensure!(version == Version::V4 || code.is_some_and(|code| code >= 0x80), "{bytes:02X?} was answered with {code:02X?}");
        }
    }
    Ok(format!("{} kinds before CONNECT, {} after", firsts.len(), laters.len()))
}

fn changed(server: &Server) -> Result<String> {
    let mut rng = StdRng::seed_from_u64(rand::random());
    let mut ended = 0;
    for round in 0..300 {
        let version = if round % 2 == 0 { Version::V4 } else { Version::V5 };
        let mut client = join(server, version, "mallory")?;
        let mut bytes = [
            Publish::new("conf/demo/topic/a/b", 1, "payload").id(7).bytes(version),
            packet::frame(0x82, &packet::subscribe_body(version, 8, &[("conf/demo/topic/#", 1), ("conf/demo/chat/+", 2)], &Vec::new())),
            packet::frame(0xA2, &packet::unsubscribe_body(version, 9, &["conf/demo/chat/+"])),
            packet::ack(packet::PUBREL, 3),
            Publish::new("conf/demo/chat/lobby", 2, "{\"text\":\"x\",\"id\":\"1\"}").id(10).bytes(version),
        ]
        .concat();
        for _ in 0..rng.random_range(1..4) {
            let at = rng.random_range(0..bytes.len());
            bytes[at] = rng.random();
        }
        client.throw(&bytes);
        client.throw(&packet::frame(0xC0, b""));
        let end = Instant::now() + Duration::from_millis(300);
        while Instant::now() < end {
            match client.see(Duration::from_millis(50))? {
                Seen::Closed => {
                    ended += 1;
                    break;
                }
                Seen::Packet(Packet::PingResp) => break,
                Seen::Packet(_) | Seen::Nothing => {}
            }
        }
    }
    Ok(format!("300 connections, {ended} ended"))
}

fn too_long(server: &Server) -> Result<String> {
    let mut client = join(server, Version::V5, "mallory")?;
    // A header that promises 200 MB; `limits.frame_bytes` is 1 MB.
    client.throw(&[0x30, 0x80, 0x84, 0xAF, 0x5F]);
    let code = client.expect_closed()?;
    ensure!(code == Some(0x95), "answered with {code:02X?} instead of 0x95");
    let mut stream = socket(server)?;
    stream.write_all(&[0x10, 0xFF, 0xFF, 0xFF, 0x7F])?;
    ensure!(until_closed(stream)?.is_empty(), "a CONNECT of 256 MB was answered");
    // The longest text, and one byte more.
    let text = "x".repeat(65_536);
    let mut alice = join(server, Version::V5, "alice")?;
    alice.publish(Publish::new("conf/demo/chat/help", 1, &text))?;
    let id = alice.fresh_id();
    alice.send(&Publish::new("conf/demo/chat/help", 1, format!("{text}x")).id(id).bytes(Version::V5))?;
    match alice.expect("PUBACK")? {
        Packet::Ack { code: 0x97, .. } => Ok("0x95 for the packet, 0x97 for the text".into()),
        other => anyhow::bail!("a text over the bound was answered with {other:?}"),
    }
}

fn half_open(server: &Server) -> Result<String> {
    let sockets: Vec<TcpStream> = (0..HALF_OPEN).map(|_| socket(server)).collect::<Result<_>>()?;
    let end = Instant::now() + GONE_WITHIN;
    for stream in sockets {
        let left = end.saturating_duration_since(Instant::now()).max(Duration::from_millis(1));
        stream.set_read_timeout(Some(left))?;
        ensure!(until_closed(stream)?.is_empty(), "a connection that said nothing was answered");
    }
    join(server, Version::V4, "alice")?;
    Ok(format!("{HALF_OPEN} connections, all closed"))
}

fn slow_bytes(server: &Server) -> Result<String> {
    let bytes = hello(Version::V4, "alice", "slow", false).bytes();
    let mut stream = socket(server)?;
    let mut sent = 0;
    for byte in bytes.chunks(1) {
        if stream.write_all(byte).is_err() {
            break;
        }
        sent += 1;
        stream.set_read_timeout(Some(Duration::from_millis(500)))?;
        if let Ok(0) = stream.read(&mut [0; 1]) {
            break;
        }
    }
    ensure!(sent < bytes.len(), "a CONNECT of {} bytes at two a second was waited for", bytes.len());
    Ok(format!("given up after {sent} of {} bytes", bytes.len()))
}

fn resets(server: &Server) -> Result<String> {
    join(server, Version::V4, "mallory")?;
    let bytes = hello(Version::V4, "mallory", "one", true).bytes();
    for _ in 0..2_000 {
        let stream = socket(server)?;
        // No goodbye: what is unread makes it a reset.
        socket2::SockRef::from(&stream).set_linger(Some(Duration::ZERO))?;
        (&stream).write_all(&bytes)?;
    }
    // Until the server is through with them, each takes the place of the one before.
    let end = Instant::now() + GONE_WITHIN;
    loop {
        let settled = connect(server, &hello(Version::V4, "mallory", "one", true)).and_then(|(mut client, _)| client.ping());
        match settled {
            Ok(()) => return Ok("then it is let in".into()),
            Err(error) => ensure!(Instant::now() < end, "it is never let in again: {error:#}"),
        }
    }
}

fn takeovers(server: &Server) -> Result<String> {
    let hello = hello(Version::V5, "mallory", "one", true);
    let mut clients = Vec::new();
    for _ in 0..200 {
        clients.push(connect(server, &hello)?.0);
        if clients.len() > 2 {
            let code = clients.remove(0).expect_closed()?;
            ensure!(code == Some(0x8E), "who was taken over was told {code:02X?}");
        }
    }
    let mut last = clients.pop().context("a client")?;
    last.ping()?;
    Ok("200, each told 0x8E".into())
}

fn subscriptions(server: &Server) -> Result<String> {
    let mut client = join(server, Version::V5, "mallory")?;
    let (mut granted, mut refused) = (0, 0);
    for round in 0..20 {
        let filters: Vec<(String, u8)> = (0..100).map(|at| (format!("conf/demo/topic/{round}/+/{at}/#"), 1)).collect();
        for code in client.subscribe_with(&filters, &Vec::new())? {
            match code {
                1 => granted += 1,
                0x97 => refused += 1,
                other => anyhow::bail!("answered with 0x{other:02X}"),
            }
        }
    }
    ensure!((granted, refused) == (500, 1_500), "{granted} granted and {refused} refused of 2,000, with a bound of 500");
    let deep = format!("conf/demo/topic/{}", "a/".repeat(20_000));
    let codes = client.subscribe_with(&[(deep.as_str(), 0)], &Vec::new())?;
    ensure!(codes == [0x8F], "20,000 levels were answered with {codes:02X?}");
    Ok("500 granted, 1,500 refused with 0x97".into())
}

fn retained(server: &Server) -> Result<String> {
    let mut client = join(server, Version::V5, "mallory")?;
    for at in 0..900 {
        let id = client.fresh_id();
        client.send(&Publish::new(format!("conf/demo/topic/flood/{at}"), 1, "x".repeat(100)).retained().id(id).bytes(Version::V5))?;
        client.expect("PUBACK")?;
    }
    let mut reader = join(server, Version::V5, "alice")?;
    reader.subscribe("conf/demo/topic/flood/+", 1)?;
    let got = drain(&mut reader, Duration::from_secs(1))?;
    ensure!(got.len() == 900 && got.iter().all(|message| message.retain), "{} of 900 retained messages came", got.len());
    Ok("900 kept and given".into())
}

fn wills(server: &Server) -> Result<String> {
    let mut reader = join(server, Version::V5, "alice")?;
    reader.subscribe("conf/demo/topic/wills/#", 1)?;
    for at in 0..200 {
        let mut connect = hello(Version::V4, "mallory", "mortal", false);
        let topic = format!("conf/demo/topic/wills/{at}").into();
        connect.will = Some(Will { topic, payload: b"gone".to_vec(), qos: 1, ..Will::default() });
        super::connect(server, &connect)?.0.drop_line();
    }
    let got = drain(&mut reader, Duration::from_secs(2))?;
    ensure!(got.len() == 200, "{} of 200 wills came", got.len());
    // A will where its client may not publish.
    let mut client = Client::open(&server.mqtt()?.to_string(), Version::V5, Instant::now() + Duration::from_secs(10))?;
    let mut connect = hello(Version::V5, "mallory", "sly", false);
    connect.will = Some(Will { topic: b"conf/other/chat/lobby".to_vec(), payload: b"x".to_vec(), ..Will::default() });
    client.send(&connect.bytes())?;
    let answer = client.expect_connack()?;
    ensure!(answer.code == 0x87, "a will for another conference was answered with 0x{:02X}", answer.code);
    Ok("200 lost connections, 200 wills".into())
}

/// Reads nothing while 30 MB pass by; then it gets what it missed.
fn stalled(server: &Server) -> Result<String> {
    let mut reader = join(server, Version::V4, "bob")?;
    reader.subscribe("conf/demo/chat/help", 0)?;
    let mut senders: Vec<Client> = (0..4).map(|at| join(server, Version::V4, &format!("sender-{at}"))).collect::<Result<_>>()?;
    let text = "y".repeat(30_000);
    let (mut sent, before) = (0, server.rss_bytes()?);
    for _ in 0..250 {
        for sender in &mut senders {
            sender.publish(Publish::new("conf/demo/chat/help", 1, &text))?;
            sent += 1;
        }
    }
    let grown = server.rss_bytes()?.saturating_sub(before);
    let got = drain(&mut reader, Duration::from_secs(3))?;
    let whole = got.iter().filter(|message| message.payload.len() > 30_000).count();
    ensure!(whole == sent + 1 || whole == sent, "{whole} of {sent} messages came after the stall");
    Ok(format!("{sent} messages passed it by and came later; {} meanwhile", mib(grown)))
}
