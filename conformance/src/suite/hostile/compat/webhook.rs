//! A topic webhook that hangs, lies, or says too much: what it does not allow is not allowed, in time, and nobody else waits for it.

use std::io::{Read, Write};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::atomic::{AtomicUsize, Ordering::SeqCst};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use anyhow::{Context, Result, ensure};
use ring::hmac;
use serde_json::{Value, json};

use super::{frame_of, sock, subscribe, transmit};
use crate::mqtt::Version;
use crate::mqtt::property::Properties;
use crate::server::{Options, Server};
use crate::suite::load::{self, Others};
use crate::suite::{Report, edge};

const SECRET: &str = "a secret of the organisers";
/// `timeout_ms` in these stories.
const TIMEOUT_MS: u64 = 500;
/// How much longer than that an answer may take.
const SLACK: Duration = Duration::from_millis(1500);
/// The others' latency meanwhile.
const OTHERS_P99: Duration = Duration::from_millis(100);

/// What a webhook does when it is asked.
#[derive(Debug, Clone, Copy)]
enum Answers {
    /// Nothing, while the line stays.
    Nothing,
    /// A byte now and then.
    Slowly,
    /// This body with status 200.
    Body(&'static str),
    /// This status line.
    Status(&'static str),
    /// More than anybody wants to read.
    Endless,
    /// It is for those who may publish or not by the topic's name.
    ByName,
}

/// A webhook, and the questions that it was asked.
struct Webhook {
    address: SocketAddr,
    asked: Arc<AtomicUsize>,
    last: Arc<Mutex<(String, String)>>,
}

impl Webhook {
    fn start(answers: Answers) -> Result<Self> {
        let listener = TcpListener::bind("127.0.0.1:0")?;
        let address = listener.local_addr()?;
        let (asked, last) = (Arc::<AtomicUsize>::default(), Arc::<Mutex<(String, String)>>::default());
        let (count, seen) = (Arc::clone(&asked), Arc::clone(&last));
        // Ends with the process: nobody connects any more.
        std::thread::spawn(move || {
            for stream in listener.incoming().flatten() {
                let (count, seen) = (Arc::clone(&count), Arc::clone(&seen));
                std::thread::spawn(move || {
                    let _ = answer(stream, answers, &count, &seen);
                });
            }
        });
        Ok(Self { address, asked, last })
    }

    fn server(&self) -> Result<Server> {
        Server::start(Options::new().config(&format!(
            "[server]\nmode = \"demo\"\n[conference.demo.topic_webhook]\nurl = \"http://{}/may\"\nsecret = \"{SECRET}\"\ntimeout_ms = {TIMEOUT_MS}\n",
            self.address
        )))
    }
}

/// A request's head and body.
fn read(stream: &mut TcpStream) -> std::io::Result<(String, String)> {
    let (mut bytes, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        let count = stream.read(&mut chunk)?;
        bytes.extend_from_slice(&chunk[..count]);
        let text = String::from_utf8_lossy(&bytes).into_owned();
        let length =
            |head: &str| head.lines().find_map(|line| line.to_ascii_lowercase().strip_prefix("content-length: ")?.parse::<usize>().ok());
        if let Some((head, body)) = text.split_once("\r\n\r\n")
            && body.len() >= length(head).unwrap_or(0)
        {
            return Ok((head.to_owned(), body.to_owned()));
        }
        if count == 0 {
            return Err(std::io::ErrorKind::UnexpectedEof.into());
        }
    }
}

fn answer(mut stream: TcpStream, answers: Answers, asked: &AtomicUsize, seen: &Mutex<(String, String)>) -> std::io::Result<()> {
    let (head, body) = read(&mut stream)?;
    asked.fetch_add(1, SeqCst);
    let name = serde_json::from_str::<Value>(&body).unwrap_or_default()["topic"].as_str().unwrap_or_default().to_owned();
    *seen.lock().unwrap_or_else(PoisonError::into_inner) = (head, body);
    let ok = |body: &str| format!("HTTP/1.1 200 OK\r\nContent-Length: {}\r\n\r\n{body}", body.len());
    match answers {
        Answers::Body(body) => stream.write_all(ok(body).as_bytes()),
        Answers::Status(status) => stream.write_all(format!("HTTP/1.1 {status}\r\nContent-Length: 0\r\n\r\n").as_bytes()),
        Answers::ByName => {
            let may = json!({"publish": name.contains("write"), "subscribe": name.contains("read")});
            stream.write_all(ok(&may.to_string()).as_bytes())
        }
        Answers::Endless => {
            stream.write_all(b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n")?;
            while stream.write_all(format!("1000\r\n{}\r\n", " ".repeat(0x1000)).as_bytes()).is_ok() {}
            Ok(())
        }
        Answers::Nothing | Answers::Slowly => {
            for byte in b"HTTP/1.1 200 OK\r\nContent-Length: 36\r\n\r\n{\"publish\":true,\"subscribe\":true}   ".chunks(1) {
                std::thread::sleep(Duration::from_millis(200));
                if matches!(answers, Answers::Slowly) {
                    stream.write_all(byte)?;
                }
            }
            Ok(())
        }
    }
}

/// All stories.
pub(super) fn run(report: &mut Report) {
    for (what, answers) in [
        ("hangs", Answers::Nothing),
        ("answers a byte at a time", Answers::Slowly),
        ("answers no JSON", Answers::Body("yes")),
        ("answers other JSON", Answers::Body("{\"publish\":\"yes\",\"subscribe\":1}")),
        ("answers nothing", Answers::Body("")),
        ("answers without end", Answers::Endless),
        ("fails", Answers::Status("500 Internal Server Error")),
        ("sends elsewhere", Answers::Status("302 Found\r\nLocation: http://127.0.0.1:1/")),
    ] {
        report.check(&format!("hostile: a topic webhook that {what}"), || refused(answers));
    }
    report.check("hostile: a topic webhook that is not there", not_there);
    report.check("topic webhook: it decides, is asked once, and can tell who asks", decides);
}

/// Refused within the time, over every protocol, while others talk.
fn refused(answers: Answers) -> Result<String> {
    let webhook = Webhook::start(answers)?;
    let server = webhook.server()?;
    let token = load::token(&server, "mallory")?;
    // While it is waited for, others talk.
    let others = matches!(answers, Answers::Nothing | Answers::Slowly).then(|| Others::start(&server, "talkers")).transpose()?;
    is_refused(&server, &token)?;
    ensure!(webhook.asked.load(SeqCst) > 0, "nobody was asked");
    let Some(others) = others else { return Ok(String::new()) };
    let latency = others.noticed_nothing(OTHERS_P99)?;
    Ok(format!("the others: {latency}"))
}

fn is_refused(server: &Server, token: &str) -> Result<()> {
    let within = Duration::from_millis(TIMEOUT_MS) + SLACK;
    let mut client = sock(server, token)?;
    let start = Instant::now();
    let answer = subscribe(&mut client, "read/1")?;
    ensure!(answer["type"] == "error" && answer["payload"]["reason"] == "allowance_unknown", "{answer}");
    ensure!(start.elapsed() <= within, "it took {:?}", start.elapsed());
    transmit(&mut client, "write/1", &json!(1), false)?;
    let answer = frame_of(&mut client, |frame| frame["topic"] == "write/1")?;
    ensure!(answer["type"] == "error" && answer["payload"]["reason"] == "allowance_unknown", "{answer}");
    let start = Instant::now();
    let mut mqtt = edge::join(server, Version::V5, "bob")?;
    let codes = mqtt.subscribe_with(&[("conf/demo/topic/read/2", 1)], &Properties::default())?;
    ensure!(codes == [0x87], "SUBACK {codes:?}");
    ensure!(start.elapsed() <= within + SLACK, "over MQTT it took {:?}", start.elapsed());
    Ok(())
}

fn not_there() -> Result<String> {
    let webhook = Webhook { address: TcpListener::bind("127.0.0.1:0")?.local_addr()?, asked: Arc::default(), last: Arc::default() };
    let server = webhook.server()?;
    is_refused(&server, &load::token(&server, "mallory")?)?;
    Ok(String::new())
}

fn decides() -> Result<String> {
    let webhook = Webhook::start(Answers::ByName)?;
    let server = webhook.server()?;
    let token = load::token(&server, "alice")?;
    let mut client = sock(&server, &token)?;
    for _ in 0..3 {
        ensure!(subscribe(&mut client, "read/write")?["type"] == "subscribed", "not let in");
        transmit(&mut client, "read/write", &json!(1), true)?;
        frame_of(&mut client, |frame| frame["type"] == "post")?;
    }
    ensure!(webhook.asked.load(SeqCst) == 1, "asked {} times", webhook.asked.load(SeqCst));
    ensure!(subscribe(&mut client, "write")?["payload"]["reason"] == "not_allowed", "let in where it may not");
    // The conversations' own are not its business.
    ensure!(subscribe(&mut client, "exchange/text:lobby")?["type"] == "subscribed", "not let into its own conversation");
    let (head, body) = webhook.last.lock().unwrap_or_else(PoisonError::into_inner).clone();
    is_signed(&head, &body)?;
    let question: Value = serde_json::from_str(&body)?;
    ensure!(question == json!({"conference": "demo", "topic": "write", "user": "alice", "role": "attendee"}), "asked {question}");
    client.close().context("the connection should have stayed")?;
    Ok(String::new())
}

fn is_signed(head: &str, body: &str) -> Result<()> {
    let header = head.lines().find_map(|line| line.split_once(": ").filter(|(name, _)| name.eq_ignore_ascii_case("hallway-signature")));
    let (_, value) = header.context("it is not signed")?;
    let (at, mac) = value.strip_prefix("t=").and_then(|rest| rest.split_once(",v1=")).context("no signature")?;
    let key = hmac::Key::new(hmac::HMAC_SHA256, SECRET.as_bytes());
    let wanted: String = hmac::sign(&key, format!("{at}.{body}").as_bytes()).as_ref().iter().map(|byte| format!("{byte:02x}")).collect();
    ensure!(mac == wanted, "the signature is {mac}, not {wanted}");
    Ok(())
}
