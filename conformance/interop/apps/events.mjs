#!/usr/bin/env node
// EventSource (npm eventsource) at /events, with POST /rpc beside it, in conversation with an MQTT and an XMPP client; and files.
//
//     events.mjs HTTP MQTT XMPP PREFIX
//
// The arguments are those of jsonrpc.mjs. One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { Account, Inbox, ensure, inRoom, require, run, unique, where, within } from "./peers.mjs";

const { EventSource } = require("eventsource");

const EVENTS = ["hello", "resync", "message", "event", "member", "typing", "read", "presence", "notice"];
const PNG = Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mNk+M9QDwADhgGAWjR9awAAAABJRU5ErkJggg==", "base64");

class Client {
  via = "http";
  inbox = new Inbox();
  ids = [];

  /** `query` is what the stream asks for beside the token; `lastEventId` where it goes on. */
  static async online(user, query = {}) {
    const account = await Account.of(user);
    const one = new Client();
    Object.assign(one, { user, account });
    const target = new URLSearchParams({ accessToken: account.token, device: "events.mjs", ...query });
    one.source = new EventSource(`http://${where.http}/events?${target}`);
    for (const name of EVENTS) {
      one.source.addEventListener(name, ({ data, lastEventId }) => {
        if (name === "message") one.ids.push(lastEventId);
        one.inbox.put({ name, id: lastEventId, data: JSON.parse(data) });
      });
    }
    one.hello = (await one.inbox.expect("hello", (event) => event.name === "hello")).data;
    return one;
  }

  /** A method for the stream's session. */
  async call(method, params) {
    const headers = { "content-type": "application/json", authorization: `Bearer ${this.account.token}`, "hallway-session": this.hello.session };
    const body = JSON.stringify({ jsonrpc: "2.0", id: 1, method, params });
    const answer = await fetch(`http://${where.http}/rpc`, { method: "POST", headers, body });
    ensure(answer.status === 200, `POST /rpc: ${answer.status}`);
    const { result, error } = await answer.json();
    ensure(result, error);
    return result;
  }

  say(text, conversation = "lobby") {
    return this.call("message.send", { conversation, id: text, text });
  }

  async hears(text, conversation = "lobby") {
    const fits = ({ name, data }) => name === "message" && data.conversation === conversation && data.text === text;
    return (await this.inbox.expect(`message ${text}`, fits)).data;
  }

  expect(name, fits) {
    return this.inbox.expect(name, (event) => event.name === name && fits(event.data));
  }
}

async function withClients(users, story, query) {
  const clients = [];
  try {
    for (const user of users) clients.push(await Client.online(user, query));
    await story(...clients);
  } finally {
    for (const client of clients) client.source.close();
  }
}

const room = () => withClients(["anna"], (anna) => inRoom((peers) => peers.talk(anna)));

const directly = () => withClients(["anna"], (anna) => inRoom((peers) => peers.talkDirectly(anna)));

const named = () =>
  withClients(["anna"], (anna) => inRoom((peers) => peers.talk(anna)), { conversations: "lobby" });

const signals = () =>
  withClients(["anna", "bert"], async (anna, bert) => {
    const uid = where.uid("anna");
    await anna.call("conversation.typing", { conversation: "lobby", on: true });
    await bert.expect("typing", (data) => data.conversation === "lobby" && data.from === uid && data.on);
    const text = unique("read me");
    const { seq } = await bert.say(text);
    await anna.hears(text);
    await anna.call("conversation.join", { conversation: "lobby" });
    await anna.call("conversation.read", { conversation: "lobby", seq });
    await bert.expect("read", (data) => data.from === uid && data.seq === seq);
    await anna.call("message.react", { conversation: "lobby", seq, emoji: "👍" });
    await bert.expect("event", (data) => data.kind === "react" && data.target === seq && data.emoji === "👍");
    await anna.call("presence.set", { status: "away" });
    await anna.call("message.send", { conversation: "lobby", id: unique("m"), text: `hey @${bert.user}`, mentions: [where.uid("bert")] });
    await bert.expect("notice", (data) => data.reason === "mention" && data.from === uid);
    const { sessions } = await anna.call("session.list", {});
    const own = sessions.find((session) => session.current);
    ensure(own?.session === anna.hello.session && own.protocol === "http" && own.device === "events.mjs", sessions);
  });

/** What is said between two streams comes with the second, once and in order. */
const resumed = () =>
  withClients(["bert"], async (bert) => {
    const anna = await Client.online("anna");
    const before = unique("before");
    await bert.say(before);
    await anna.hears(before);
    anna.source.close();
    const missed = [];
    for (let at = 0; at < 100; at += 1) {
      missed.push(unique(`missed ${at}`));
      await bert.say(missed.at(-1));
    }
    const lastEventId = anna.ids.at(-1);
    const again = await Client.online("anna", { lastEventId });
    try {
      const after = unique("after");
      await bert.say(after);
      // What was missed comes before anything live; what comes in another order is not heard.
      for (const text of [...missed, after]) await again.hears(text);
      const positions = again.ids.map((id) => Number(id.split(".")[1]));
      ensure(new Set(again.ids).size === again.ids.length, "an event came twice");
      ensure(positions.every((pos, at) => at === 0 || pos > positions[at - 1]), "the cursor went back");
      ensure(again.ids.length === missed.length + 1, `${again.ids.length} messages came instead of ${missed.length + 1}`);
    } finally {
      again.source.close();
    }
    const foreign = await Client.online("anna", { lastEventId: "1.1" });
    await foreign.inbox.expect("resync", ({ name, data }) => name === "resync" && data.epoch === foreign.hello.epoch);
    foreign.source.close();
  });

/** Another session closes the stream: it says so, and comes back only because EventSource does. */
const closed = () =>
  withClients(["anna"], async (anna) => {
    await anna.account.call("session.close", { session: anna.hello.session });
    await anna.expect("notice", (data) => data.reason === "session_closed");
    anna.source.close();
    const late = await fetch(`http://${where.http}/rpc`, {
      method: "POST",
      headers: { "content-type": "application/json", authorization: `Bearer ${anna.account.token}`, "hallway-session": anna.hello.session },
      body: JSON.stringify({ jsonrpc: "2.0", id: 1, method: "session.list" }),
    });
    ensure(late.status === 404, `a stream that has ended is asked: ${late.status}`);
  });

const refused = async () => {
  const source = new EventSource(`http://${where.http}/events?accessToken=nonsense`);
  const error = await within(new Promise((resolve) => source.addEventListener("error", resolve)), "the error");
  ensure(error.code === 401 && source.readyState === EventSource.CLOSED, `${error.code}, state ${source.readyState}`);
};

/** A picture that a stream's user brings is a URL for everybody: whole for who reads JSON, absolute for who speaks XMPP. */
const file = () =>
  withClients(["anna"], (anna) =>
    inRoom(async (peers) => {
      const headers = { authorization: `Bearer ${anna.account.token}`, "content-type": "text/html" };
      const answer = await fetch(`http://${where.http}/files?name=dot.png`, { method: "POST", headers, body: PNG });
      const brought = await answer.json();
      ensure(answer.status === 201 && brought.type === "image/png" && brought.width === 1 && brought.height === 1, brought);
      const text = unique("a dot");
      await anna.call("message.send", { conversation: "lobby", id: text, text, attachments: [brought.url] });
      const whole = `${brought.url}#type=image/png&bytes=${brought.bytes}&width=1&height=1`;
      const { attachments } = await anna.hears(text);
      ensure(attachments.length === 1 && attachments[0] === whole, attachments);
      const over = peers.mqtt.inbox.expect("the picture over MQTT", (one) => one.text === text);
      ensure((await over).attachments[0] === whole, "another URL came over MQTT");
      const absolute = `http://${where.http}${brought.url}`;
      const stanza = await peers.xmpp.person.hears(`${text}\n${absolute}`);
      ensure(stanza.getChild("x", "jabber:x:oob")?.getChildText("url") === absolute, stanza.toString());
      const got = await fetch(absolute);
      ensure(got.headers.get("content-type") === "image/png" && got.headers.get("x-content-type-options") === "nosniff", "the headers");
      ensure((await got.arrayBuffer()).byteLength === brought.bytes, "the bytes");
    }),
  );

await run("EventSource", [
  ["in a room", room],
  ["with each of them", directly],
  ["following by name", named],
  ["typing, markers, reactions, notices", signals],
  ["goes on after its last event", resumed],
  ["is closed by another session", closed],
  ["is refused without a token", refused],
  ["a picture for all protocols", file],
]);
