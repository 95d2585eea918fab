//! Somebody at `/ws`.

use std::io::{Read, Write};
use std::net::TcpStream;
use std::time::Instant;

use anyhow::{Context, Result, bail, ensure};
use serde_json::{Value, json};
use tungstenite::{Message, WebSocket};

use crate::SOON;

/// A JSON-RPC client.
pub struct WebSocketUser {
    socket: WebSocket<TcpStream>,
    calls: u64,
    notifications: Vec<Value>,
}

impl WebSocketUser {
    pub fn open(http: &str, uid: &str, password: &str) -> Result<Self> {
        let token = sign_in(http, uid, password)?;
        let stream = TcpStream::connect(http)?;
        stream.set_read_timeout(Some(SOON))?;
        let (socket, _) = tungstenite::client(format!("ws://{http}/ws"), stream)?;
        let mut user = Self { socket, calls: 0, notifications: Vec::new() };
        user.call("session.hello", &json!({"token": token}))?;
        Ok(user)
    }

    pub fn call(&mut self, method: &str, params: &Value) -> Result<Value> {
        self.calls += 1;
        let request = json!({"jsonrpc": "2.0", "id": self.calls, "method": method, "params": params});
        self.socket.send(Message::text(request.to_string()))?;
        loop {
            let answer = self.next()?;
            if answer["id"] == self.calls {
                ensure!(answer["result"].is_object(), "{method} was answered {answer}");
                return Ok(answer["result"].clone());
            }
            self.notifications.push(answer);
        }
    }

    /// The event of the message with this text.
    pub fn expect_message(&mut self, text: &str) -> Result<Value> {
        let end = Instant::now() + SOON;
        loop {
            let found = |one: &&Value| one["method"] == "message" && one["params"]["text"] == text;
            if let Some(message) = self.notifications.iter().find(found) {
                return Ok(message["params"].clone());
            }
            ensure!(Instant::now() < end, "{text:?} did not come to the WebSocket client");
            let next = self.next()?;
            self.notifications.push(next);
        }
    }

    fn next(&mut self) -> Result<Value> {
        loop {
            if let Message::Text(text) = self.socket.read().context("the WebSocket")? {
                return Ok(serde_json::from_str(text.as_str())?);
            }
        }
    }
}

/// `POST /api/login`: the token.
fn sign_in(http: &str, uid: &str, password: &str) -> Result<String> {
    let body = json!({"conference": "demo", "uid": uid, "password": password}).to_string();
    let mut stream = TcpStream::connect(http)?;
    stream.set_read_timeout(Some(SOON))?;
    write!(
        stream,
        "POST /api/login HTTP/1.1\r\nHost: {http}\r\nContent-Type: application/json\r\nContent-Length: {}\r\nConnection: close\r\n\r\n{body}",
        body.len()
    )?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let body = answer.split_once("\r\n\r\n").context("no HTTP answer")?.1;
    let (Some(start), Some(end)) = (body.find('{'), body.rfind('}')) else { bail!("sign-in was answered {answer}") };
    let answer: Value = serde_json::from_str(&body[start..=end])?;
    answer["token"].as_str().map(str::to_owned).with_context(|| format!("sign-in was answered {answer}"))
}
