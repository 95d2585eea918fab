//! Files that mean harm, lie about themselves, never end, or belong to others; and that what was taken in survives a kill.

use std::io::{ErrorKind, Read, Write};
use std::net::TcpStream;
use std::time::{Duration, Instant};

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};

use super::is_alive;
use crate::http::{self, Request, Response};
use crate::server::{Options, Server};
use crate::suite::Report;
use crate::suite::load::{self, mib};
use crate::wire::parse_response_head;

/// `limits.file_bytes`.
const FILE_BYTES: usize = 10 << 20;
/// `limits.uploads_per_user`.
const UPLOADS: usize = 4;
/// What one upload after the other may cost in memory: chunks, not files.
const EXTRA_BYTES: u64 = 24 << 20;
/// A body that does not come is given up after 10 s, with some allowance.
const GIVEN_UP_WITHIN: Duration = Duration::from_secs(25);
/// Looking at a file of 10 MiB takes a fraction of a second.
const LOOKED_AT_WITHIN: Duration = Duration::from_secs(4);
/// Kills while files come in.
const KILLS: usize = 5;

/// All of it.
pub fn run(server: &Server, token: &str, report: &mut Report) {
    for (name, bytes, expected) in harmful() {
        report.check(&format!("hostile: a file: {name}"), || does_nothing(server, token, &bytes, expected));
    }
    report.check("hostile: a file: a picture of five million blocks", || many_blocks(server, token));
    report.check("hostile: names of files", || names(server, token));
    report.check("hostile: files that are too large or never end", || endless(server, token));
    report.check("hostile: lengths that are lies", || lying_lengths(server, token));
    report.check("hostile: a file that comes one byte a second", || slow(server, token));
    report.check("hostile: many files at once", || too_many(server, token));
    report.check("hostile: files of others and of nobody", || of_others(server, token));
    report.check("hostile: kills while files come in", kills);
}

fn bring(server: &Server, token: &str, name: &str, bytes: &[u8]) -> Result<Response> {
    let request = Request::new("POST", &format!("/files?name={name}")).header("Authorization", &format!("Bearer {token}"));
    // The type that it is said to be counts for nothing.
    request.header("Content-Type", "text/html").body(bytes.to_vec()).send(server.http())
}

fn brought(server: &Server, token: &str, name: &str, bytes: &[u8]) -> Result<Value> {
    let response = bring(server, token, name, bytes)?;
    ensure!(response.status() == 201, "status {}: {}", response.status(), response.text());
    response.json()
}

fn url(answer: &Value) -> Result<&str> {
    answer["url"].as_str().with_context(|| format!("no url in {answer}"))
}

// ---- What it is ----

const SCRIPT: &[u8] = b"<script>alert(document.domain)</script>";

fn chunk(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len()).unwrap_or(0).to_be_bytes()[..], kind, body, b"crc!"].concat()
}

fn png(width: u32, height: u32, extra: &[u8]) -> Vec<u8> {
    let header = [&width.to_be_bytes()[..], &height.to_be_bytes(), &[8, 0, 0, 0, 0]].concat();
    [&b"\x89PNG\r\n\x1a\n"[..], &chunk(b"IHDR", &header), extra, &chunk(b"IDAT", &[1; 40]), &chunk(b"IEND", b"")].concat()
}

/// Where a photo or film was taken.
const PLACE: &[u8] = b"+52.5200+013.4050+034.000/";

fn atom(kind: &[u8; 4], body: &[u8]) -> Vec<u8> {
    [&u32::try_from(body.len() + 8).unwrap_or(0).to_be_bytes()[..], kind, body].concat()
}

/// A photo that says where it was taken, without its end.
fn half_a_photo() -> Vec<u8> {
    let exif = [&b"\xFF\xE1\0\x22Exif\0\0"[..], PLACE].concat();
    [&b"\xFF\xD8"[..], &exif, b"\xFF\xDA\0\x08\x01\x01\0\0\x3F\0", &[1; 50]].concat()
}

/// A name, the bytes, and the type that they are of, or the reason that they are refused by.
fn harmful() -> Vec<(&'static str, Vec<u8>, &'static str)> {
    let (binary, broken, opaque) = ("application/octet-stream", "broken_media", "not_strippable");
    let place = atom(b"udta", &atom(b"\xA9xyz", PLACE));
    let film = |brand: &[u8], head: &[u8]| [&atom(b"ftyp", brand)[..], &atom(b"moov", head), &atom(b"mdat", &[7; 40])].concat();
    let bomb = {
        // A zip whose one entry claims 4 GiB out of a few bytes.
        let mut zip = b"PK\x03\x04\x14\0\0\0\x08\0".to_vec();
        zip.extend_from_slice(&[0; 8]);
        zip.extend_from_slice(&[9, 0, 0, 0, 0xFF, 0xFF, 0xFF, 0xFF, 1, 0, 0, 0, b'x']);
        zip.extend_from_slice(&[0x63; 9]);
        zip
    };
    vec![
        ("HTML", [b"<!DOCTYPE html><html>", SCRIPT].concat(), binary),
        ("HTML behind spaces", [&[b' '; 600][..], SCRIPT].concat(), binary),
        ("SVG", b"<svg xmlns='http://www.w3.org/2000/svg' onload='alert(1)'/>".to_vec(), binary),
        ("XML with a stylesheet", b"<?xml version='1.0'?><?xml-stylesheet href='javascript:alert(1)'?><x/>".to_vec(), binary),
        ("a script", b"alert(1)".to_vec(), binary),
        ("a zip bomb", bomb, binary),
        ("a gzip bomb", b"\x1f\x8b\x08\0\0\0\0\0\0\xff".to_vec(), binary),
        ("a picture with a script in a text", png(8, 8, &chunk(b"tEXt", SCRIPT)), "image/png"),
        ("a picture with a page behind it", [png(8, 8, b""), SCRIPT.to_vec()].concat(), "image/png"),
        ("a picture with an archive behind it", [png(8, 8, b""), b"PK\x03\x04".to_vec(), SCRIPT.to_vec()].concat(), "image/png"),
        ("a picture of 10^18 pixels", png(1 << 30, 1 << 30, b""), broken),
        ("a picture whose chunk claims 2 GiB", [&b"\x89PNG\r\n\x1a\n"[..], &[0x7F, 0xFF, 0xFF, 0xFF], b"IHDR"].concat(), broken),
        ("a script that begins like a picture", b"GIF89a/*\0\0*/=alert(1);//".to_vec(), broken),
        ("a JPEG that is cut off", b"\xFF\xD8\xFF\xE0\0\x10JFIF\0".to_vec(), broken),
        ("a JPEG of segments without length", b"\xFF\xD8\xFF\xE1\0\0\xFF\xE1\0\0".to_vec(), broken),
        ("a WebP that claims 4 GiB", b"RIFF\xFF\xFF\xFF\xFFWEBPVP8 \xFF\xFF\xFF\xFF".to_vec(), broken),
        ("a photo that is cut off", half_a_photo(), broken),
        ("a photo of a format that is not taken apart", film(b"heic\0\0\0\0mif1heic", &place), opaque),
        ("a film that says where it was taken", film(b"isom\0\0\0\0isom", &[&atom(b"mvhd", &[0; 100])[..], &place].concat()), "video/mp4"),
        (
            "a film of a camera's own format",
            film(b"qt  \0\0\0\0qt  ", &[&atom(b"mvhd", &[0; 100])[..], &atom(b"meta", PLACE)].concat()),
            binary,
        ),
        (
            "a film that is cut off",
            atom(b"ftyp", b"isom\0\0\0\0isom").into_iter().chain(*b"\0\0\x10\0moov").chain(place.clone()).collect(),
            broken,
        ),
        ("PDF", b"%PDF-1.7\n1 0 obj<</OpenAction<</S/JavaScript/JS(app.alert(1))>>>>".to_vec(), "application/pdf"),
    ]
}

fn does_nothing(server: &Server, token: &str, bytes: &[u8], expected: &str) -> Result<String> {
    if !expected.contains('/') {
        let refused = bring(server, token, "x.html", bytes)?;
        ensure!(
            refused.status() == 400 && refused.json()?["error"]["data"]["reason"] == expected,
            "{}: {}",
            refused.status(),
            refused.text()
        );
        nothing_is_left(server)?;
        return Ok(String::new());
    }
    let answer = brought(server, token, "x.html", bytes)?;
    ensure!(answer["type"] == expected, "it is {answer}");
    let file = http::get(server.http(), url(&answer)?)?;
    let header = |name: &str| file.head.header(name).unwrap_or_default();
    ensure!(file.status() == 200 && header("content-type") == expected, "{:?}", file.head);
    ensure!(header("x-content-type-options") == "nosniff", "it may be sniffed: {:?}", file.head);
    let policy = header("content-security-policy");
    ensure!(policy.contains("sandbox") && policy.contains("default-src 'none'"), "the policy is {policy}");
    let is_shown = expected.starts_with("image/") || expected.starts_with("video/");
    let how = if is_shown { "inline;" } else { "attachment;" };
    ensure!(header("content-disposition").starts_with(how), "the disposition is {}", header("content-disposition"));
    let has = |part: &[u8]| file.body.windows(part.len()).any(|window| window == part);
    ensure!(!has(PLACE), "it says where it was taken");
    if expected.starts_with("image/") {
        ensure!(!has(SCRIPT), "the script is still in it");
    } else if bytes.windows(PLACE.len()).any(|window| window == PLACE) {
        ensure!(file.body.len() == bytes.len() && file.body.ends_with(&[7; 40]), "its frames are elsewhere");
    } else {
        ensure!(file.body == bytes, "it is not what was brought");
    }
    is_alive(server, token)?;
    Ok(String::new())
}

/// The largest file of the smallest blocks is read in no more time than another.
fn many_blocks(server: &Server, token: &str) -> Result<String> {
    let head = [&b"GIF89a"[..], &[8, 0, 8, 0, 0, 0, 0, 0x2C, 0, 0, 0, 0, 8, 0, 8, 0, 0, 2]].concat();
    let bytes = [&head[..], &[1, 7].repeat((FILE_BYTES - 100) / 2), &[0, 0x3B]].concat();
    let start = Instant::now();
    let answer = brought(server, token, "x.gif", &bytes)?;
    let took = start.elapsed();
    ensure!(answer["type"] == "image/gif" && answer["width"] == 8, "it is {answer}");
    ensure!(took < LOOKED_AT_WITHIN, "it took {took:?}");
    Ok(format!("{:.1} s", took.as_secs_f64()))
}

// ---- Names ----

fn names(server: &Server, token: &str) -> Result<String> {
    let long = "x".repeat(5000);
    let names = [
        "../../../../etc/passwd",
        "..%2f..%2f..%2fstore%2fdb",
        "..%5c..%5cboot.ini",
        "%00.html",
        "a%0d%0aX-Evil:%20yes",
        "%22;%20filename=evil.exe",
        "%e2%80%ae%67%70%6a.exe",
        "CON",
        "%ff%fe",
        ".",
        "",
        &long,
    ];
    for name in names {
        let answer = brought(server, token, name, b"x").with_context(|| name.to_owned())?;
        let path = url(&answer)?;
        ensure!(path.split('/').count() == 4 && !path.contains("..") && path.len() < 500, "{name} became {path}");
        let file = http::get(server.http(), path)?;
        ensure!(file.status() == 200 && file.body == b"x" && file.head.header("x-evil").is_none(), "{name}: {:?}", file.head);
        let disposition = file.head.header("content-disposition").unwrap_or_default();
        let parts: Vec<&str> = disposition.split('"').collect();
        let [before, _, behind] = parts[..] else { bail!("{name}: {disposition}") };
        ensure!(
            before.ends_with("; filename=") && behind.starts_with("; filename*=UTF-8''") && behind.matches(' ').count() == 1,
            "{name}: {disposition}"
        );
        // Under no other name, whatever it looks like to the reader.
        let other = format!("{}/invoice.pdf", path.rsplit_once('/').map_or("", |(before, _)| before));
        ensure!(http::get(server.http(), &other)?.status() == 404, "{other} is served");
    }
    Ok(format!("{} names", names.len()))
}

// ---- How much ----

/// Begins a request by hand.
fn begin(server: &Server, token: &str, headers: &str) -> Result<TcpStream> {
    let mut stream = TcpStream::connect(server.http())?;
    stream.set_read_timeout(Some(GIVEN_UP_WITHIN))?;
    stream.set_write_timeout(Some(GIVEN_UP_WITHIN))?;
    let head = format!("POST /files?name=x HTTP/1.1\r\nHost: {}\r\nAuthorization: Bearer {token}\r\n{headers}\r\n", server.http());
    stream.write_all(head.as_bytes())?;
    Ok(stream)
}

/// The status that comes; 0 when the server closed without one.
fn status(stream: &mut TcpStream) -> Result<u16> {
    let (mut answer, mut chunk) = (Vec::new(), [0; 4096]);
    loop {
        if let Some((head, _)) = parse_response_head(&answer)? {
            return Ok(head.status);
        }
        match stream.read(&mut chunk) {
            Ok(0) => return Ok(0),
            Ok(count) => answer.extend_from_slice(&chunk[..count]),
            Err(error) if error.kind() == ErrorKind::ConnectionReset => return Ok(0),
            Err(error) => return Err(error).context("no answer"),
        }
    }
}

fn endless(server: &Server, token: &str) -> Result<String> {
    let exactly = vec![7; FILE_BYTES];
    let before = server.rss_bytes()?;
    brought(server, token, "big", &exactly)?;
    let mut claimed = begin(server, token, &format!("Content-Length: {}\r\n", FILE_BYTES + 1))?;
    ensure!(status(&mut claimed)? == 413, "a length over the bound is not refused at once");
    let mut huge = begin(server, token, "Content-Length: 18446744073709551615\r\n")?;
    ensure!(matches!(status(&mut huge)?, 0 | 400 | 413 | 431), "a length of 2^64 - 1 is not refused");
    let mut stream = begin(server, token, "Transfer-Encoding: chunked\r\n")?;
    let chunk = [&b"10000\r\n"[..], &[7; 65_536], b"\r\n"].concat();
    let mut sent = 0;
    while stream.write_all(&chunk).is_ok() {
        sent += 65_536;
        ensure!(sent < 4 * FILE_BYTES, "{} of a body without end were taken", mib(sent as u64));
    }
    ensure!(matches!(status(&mut stream)?, 0 | 413), "a body without end is not refused");
    let after = server.peak_rss_bytes()?.max(server.rss_bytes()?);
    ensure!(after <= before.max(server.peak_rss_bytes()?) && server.rss_bytes()? <= before + EXTRA_BYTES, "memory rose by a file");
    nothing_is_left(server)?;
    Ok(format!("refused after {}", mib(sent as u64)))
}

/// What was being brought and is not any more is soon gone from the disk.
fn nothing_is_left(server: &Server) -> Result<()> {
    let incoming = server.data().join("files/incoming");
    let deadline = Instant::now() + Duration::from_secs(5);
    loop {
        let left = std::fs::read_dir(&incoming).map_or(0, Iterator::count);
        if left == 0 {
            return Ok(());
        }
        ensure!(Instant::now() < deadline, "{left} files are left in {}", incoming.display());
        std::thread::yield_now();
    }
}

fn lying_lengths(server: &Server, token: &str) -> Result<String> {
    // More claimed than sent.
    let mut short = begin(server, token, "Content-Length: 100\r\n")?;
    short.write_all(b"only this")?;
    short.shutdown(std::net::Shutdown::Write)?;
    ensure!(matches!(status(&mut short)?, 0 | 400), "half a file was taken");
    // A chunk that is cut off.
    let mut cut = begin(server, token, "Transfer-Encoding: chunked\r\n")?;
    cut.write_all(b"ff\r\nonly this")?;
    cut.shutdown(std::net::Shutdown::Write)?;
    ensure!(matches!(status(&mut cut)?, 0 | 400), "half a chunk was taken");
    let mut bad = begin(server, token, "Transfer-Encoding: chunked\r\n")?;
    bad.write_all(b"zz\r\nx\r\n0\r\n\r\n")?;
    ensure!(matches!(status(&mut bad)?, 0 | 400), "a chunk without a size was taken");
    // Both, and nothing at all.
    let mut both = begin(server, token, "Content-Length: 3\r\nTransfer-Encoding: chunked\r\n")?;
    both.write_all(b"0\r\n\r\n")?;
    ensure!(matches!(status(&mut both)?, 0 | 400), "two lengths were taken");
    ensure!(bring(server, token, "x", b"")?.status() == 400, "an empty file was taken");
    nothing_is_left(server)?;
    is_alive(server, token)?;
    Ok(String::new())
}

fn slow(server: &Server, token: &str) -> Result<String> {
    let mut stream = begin(server, token, "Content-Length: 1000\r\n")?;
    let start = Instant::now();
    stream.set_read_timeout(Some(Duration::from_secs(1)))?;
    let mut chunk = [0; 1024];
    loop {
        ensure!(start.elapsed() < GIVEN_UP_WITHIN, "a byte a second is still waited for after {GIVEN_UP_WITHIN:?}");
        if stream.write_all(b"x").is_err() {
            break;
        }
        match stream.read(&mut chunk) {
            Ok(0) => break,
            Ok(count) => {
                let head = String::from_utf8_lossy(&chunk[..count]).into_owned();
                ensure!(head.starts_with("HTTP/1.1 408"), "{head}");
                break;
            }
            Err(error) if matches!(error.kind(), ErrorKind::WouldBlock | ErrorKind::TimedOut) => {}
            Err(error) if error.kind() == ErrorKind::ConnectionReset => break,
            Err(error) => return Err(error.into()),
        }
    }
    nothing_is_left(server)?;
    Ok(format!("given up after {:.0} s", start.elapsed().as_secs_f64()))
}

fn too_many(server: &Server, token: &str) -> Result<String> {
    let mut under_way = Vec::new();
    for _ in 0..UPLOADS {
        let mut stream = begin(server, token, "Content-Length: 1000\r\nExpect: 100-continue\r\n")?;
        // It is waited for: the upload has begun.
        ensure!(status(&mut stream)? == 100, "an upload was not begun");
        under_way.push(stream);
    }
    let refused = bring(server, token, "x", b"one more")?;
    ensure!(refused.status() == 429 && refused.json()?["error"]["data"]["reason"] == "too_many_uploads", "{}", refused.text());
    let other = load::token(server, "uploader")?;
    brought(server, &other, "x", b"of somebody else")?;
    drop(under_way);
    let deadline = Instant::now() + Duration::from_secs(10);
    while bring(server, token, "x", b"again")?.status() != 201 {
        ensure!(Instant::now() < deadline, "uploads that were given up still count");
    }
    Ok(String::new())
}

// ---- Whose ----

fn of_others(server: &Server, token: &str) -> Result<String> {
    server.cli_ok(&["conference", "add", "elsewhere", "--sign-in", "open"])?;
    server.cli_ok(&["user", "add", "elsewhere/zed", "--password", "zed-secret-1"])?;
    let zed = http::login(server.http(), "elsewhere", "zed", "zed-secret-1")?;
    let theirs = brought(server, &zed, "x", b"theirs")?;
    let ours = brought(server, token, "x", b"ours")?;
    let mut guess = url(&ours)?.to_owned().into_bytes();
    guess[20] = if guess[20] == b'a' { b'b' } else { b'a' };
    let guess = String::from_utf8(guess)?;
    ensure!(http::get(server.http(), &guess)?.status() == 404, "a guess is served");
    for (at, wrong) in [url(&theirs)?, &guess, "/files/", "javascript:alert(1)", "https://evil.example/x.png"].into_iter().enumerate() {
        let draft = json!({"conversation": "lobby", "id": format!("theirs-{at}"), "text": "x", "attachments": [wrong]});
        match http::rpc(server.http(), token, "message.send", &draft)? {
            Err(error) if error.reason == "unknown_file" => {}
            other => bail!("{wrong} was attached: {other:?}"),
        }
    }
    for path in ["/files/../secret", "/files/%2e%2e/%2e%2e/secret", "/files//", "/files/incoming/x", "/files/aa/bb"] {
        ensure!(http::get(server.http(), path)?.status() == 404, "{path} is served");
    }
    Ok(String::new())
}

// ---- Kills ----

/// What was answered 201 is there after SIGKILL, byte for byte; what was not leaves nothing behind.
fn kills() -> Result<String> {
    let mut server = Server::start(Options::new().without_rates().set("limits.files_bytes_per_user", 0))?;
    let token = load::token(&server, "mallory")?;
    let mut kept: Vec<(String, Vec<u8>)> = Vec::new();
    for round in 0..KILLS {
        let (to, token) = (server.http(), token.clone());
        let bringing = std::thread::spawn(move || {
            let mut kept = Vec::new();
            for at in 0.. {
                let bytes: Vec<u8> = (0..150_000 + at).map(|n| (n * (round + 3) % 251) as u8).collect();
                let request = Request::new("POST", "/files?name=x").header("Authorization", &format!("Bearer {token}"));
                let Ok(response) = request.body(bytes.clone()).send(to) else { break };
                let url = response.json().ok().and_then(|answer| answer["url"].as_str().map(str::to_owned));
                let Some(url) = url.filter(|_| response.status() == 201) else { break };
                kept.push((url, bytes));
            }
            kept
        });
        std::thread::sleep(Duration::from_millis(150 + 70 * round as u64));
        server.kill()?;
        kept.extend(bringing.join().map_err(|_| anyhow::anyhow!("the uploader panicked"))?);
        server.restart()?;
        for (url, bytes) in &kept {
            let file = http::get(server.http(), url)?;
            ensure!(file.status() == 200 && file.body == *bytes, "{url} was kept, and is not there after kill {round}");
        }
        nothing_is_left(&server)?;
    }
    ensure!(kept.len() >= KILLS, "only {} files were taken in", kept.len());
    server.terminate()?;
    let checked = server.cli_ok(&["check"])?;
    ensure!(checked.contains("all is well"), "{checked}");
    Ok(format!("{} files, {KILLS} kills", kept.len()))
}
