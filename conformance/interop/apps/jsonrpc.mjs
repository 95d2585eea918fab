#!/usr/bin/env node
// A plain WebSocket (ws) at /ws, JSON-RPC written by hand, in conversation with an MQTT and an XMPP client.
//
//     jsonrpc.mjs HTTP MQTT XMPP PREFIX
//
// HTTP, MQTT and XMPP are HOST:PORT, NODE_EXTRA_CA_CERTS the server's certificate, PREFIX begins every user name. Libraries are looked for in
// the directory INTEROP_NODE_MODULES, or beside this file. One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { Account, Inbox, ensure, inRoom, require, run, where, within } from "./peers.mjs";

const WebSocket = require("ws");

class Client {
  via = "ws";
  answers = new Inbox();
  messages = new Inbox();
  calls = 0;

  static async online(user) {
    const account = await Account.of(user);
    const one = new Client();
    one.user = user;
    one.socket = new WebSocket(`ws://${where.http}/ws`, "hallway.v1");
    one.socket.on("message", (data) => {
      const text = JSON.parse(data);
      if (text.method === "message") one.messages.put(text.params);
      else if (text.id) one.answers.put(text);
    });
    await within(new Promise((resolve, reject) => one.socket.once("open", resolve).once("error", reject)), "the WebSocket");
    await one.call("session.hello", { token: account.token });
    return one;
  }

  async call(method, params) {
    const id = (this.calls += 1);
    this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    const answer = await this.answers.expect(`the answer to ${method}`, (one) => one.id === id);
    ensure(answer.result, answer);
    return answer.result;
  }

  say(text, conversation = "lobby") {
    return this.call("message.send", { conversation, id: text, text });
  }

  hears(text, conversation = "lobby") {
    return this.messages.expect(`message ${text}`, (one) => one.conversation === conversation && one.text === text);
  }
}

async function withClient(user, story) {
  const client = await Client.online(user);
  try {
    await story(client);
  } finally {
    client.socket.close();
  }
}

const room = () =>
  withClient("anna", async (anna) => {
    await anna.call("conversation.subscribe", { conversation: "lobby" });
    await inRoom((peers) => peers.talk(anna));
  });

const directly = () =>
  withClient("anna", async (anna) => {
    await inRoom(async (peers) => {
      for (const peer of peers.peers) {
        const { conversation } = await anna.call("conversation.open", { with: where.uid(peer.user) });
        await anna.call("conversation.subscribe", { conversation });
      }
      await peers.talkDirectly(anna);
    });
  });

await run("JSON-RPC", [
  ["in a room", room],
  ["with each of them", directly],
]);
