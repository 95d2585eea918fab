//! A session over WebSocket.

use std::time::Duration;

use anyhow::{Result, anyhow};
use serde_json::{Value, json};

use super::{Change, Heard, Line, Target};
use crate::client::Client;
use crate::server::Server;
use crate::suite::everywhere::sight::{of_json, of_signal};
use crate::suite::load;

/// The connection, and the calls that are not answered yet.
pub struct WebSocket {
    client: Client,
    waiting: Vec<(u64, String)>,
}

impl WebSocket {
    /// Signs in.
    ///
    /// # Errors
    /// When that is refused.
    pub fn open(server: &Server, uid: &str) -> Result<WebSocket> {
        let client = Client::sign_in(server.http(), &load::token(server, uid)?)?;
        Ok(WebSocket { client, waiting: Vec::new() })
    }

    fn call(&mut self, method: &str, params: &Value) -> Result<()> {
        let id = self.client.send(method, params)?;
        self.waiting.push((id, method.to_owned()));
        Ok(())
    }
}

impl Line for WebSocket {
    fn follow(&mut self, conversation: &str) -> Result<()> {
        self.client.call_ok("conversation.subscribe", &json!({"conversation": conversation}))?;
        Ok(())
    }

    fn say(&mut self, conversation: &str, id: &str, text: &str) -> Result<()> {
        self.call("message.send", &load::draft(conversation, id, text))
    }

    fn change(&mut self, conversation: &str, target: &Target, change: &Change) -> Result<()> {
        let mut params = json!({"conversation": conversation, "seq": target.seq});
        let method = match change {
            Change::Edit(text) => {
                params["text"] = json!(text);
                "message.edit"
            }
            Change::React(emoji, on) => {
                (params["emoji"], params["on"]) = (json!(emoji), json!(on));
                "message.react"
            }
            Change::Delete | Change::Moderate => "message.delete",
            Change::Read => "conversation.read",
            Change::Typing(on) => {
                params = json!({"conversation": conversation, "on": on});
                "conversation.typing"
            }
            Change::Title(title) => {
                params = json!({"conversation": conversation, "title": title});
                "conversation.update"
            }
        };
        self.call(method, &params)
    }

    fn hear(&mut self, within: Duration) -> Result<Heard> {
        self.client.pump(within)?;
        if self.client.is_closed() {
            return Err(anyhow!("the server closed the connection"));
        }
        let mut heard = Heard::default();
        for notification in self.client.take_notifications() {
            let (method, params) = (notification["method"].as_str().unwrap_or_default(), &notification["params"]);
            if method == "notice" && params["reason"] == "removed" {
                heard.put_out.push(params["conversation"].as_str().unwrap_or_default().to_owned());
            }
            heard.sights.extend(of_signal(method, params).or_else(|| of_json(params)));
        }
        for (id, method) in std::mem::take(&mut self.waiting) {
            match self.client.answer_now(id) {
                None => self.waiting.push((id, method)),
                Some(Ok(_)) => {}
                Some(Err(error)) => heard.refused.push(format!("{method}: {error}")),
            }
        }
        Ok(heard)
    }
}
