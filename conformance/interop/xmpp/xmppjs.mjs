#!/usr/bin/env node
// An XMPP server as @xmpp/client 0.14 (xmpp.js) sees it: over TCP with STARTTLS, direct TLS and WebSocket.
//
//     xmppjs.mjs HTTP XMPP XMPPS CA DOMAIN PREFIX
//
// The arguments are those of with_slixmpp.py. Its libraries are looked for in the directory INTEROP_NODE_MODULES, or beside this file.
// One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { Inbox, Link, PASSWORD, ensure, load, register, require, run, trustCertificate, unique, where, within } from "./people.mjs";

trustCertificate();
const { client, xml } = await load("@xmpp/client");
// Node has one of its own from version 22 on.
globalThis.WebSocket ??= require("ws");

const NS_MUC = "http://jabber.org/protocol/muc";
const CARRIERS = {
  STARTTLS: (to = where.plain) => `xmpp://${to}`,
  // The certificate is for the name.
  TLS: (to = where.tls) => `xmpps://${to.replace(/^127\.0\.0\.1/, "localhost")}`,
  WebSocket: (to = where.http) => `ws://${to}/xmpp-websocket`,
};

/** A client whose stanzas end in an inbox, so that a check reads from top to bottom. */
class Person {
  inbox = new Inbox();
  events = new Inbox();

  static async online(carrier, user, { to, resource = "js", password = PASSWORD } = {}) {
    const one = new Person();
    one.user = user;
    one.xmpp = client({ service: CARRIERS[carrier](to), domain: where.domain, resource, username: where.uid(user), password });
    one.xmpp.on("stanza", (stanza) => one.inbox.put(stanza));
    one.xmpp.on("error", (error) => one.events.put({ error: String(error) }));
    one.xmpp.on("status", (status) => one.events.put({ status }));
    one.xmpp.streamManagement.on("resumed", () => one.events.put({ resumed: true }));
    one.xmpp.streamManagement.on("fail", (stanza) => one.events.put({ lost: stanza.toString() }));
    one.xmpp.reconnect.delay = 100;
    one.address = await within(one.xmpp.start(), "the login");
    await one.xmpp.send(xml("presence"));
    await one.inbox.expect("the own presence", (stanza) => stanza.is("presence") && stanza.attrs.from === one.address.toString());
    return one;
  }

  async join(room) {
    const occupant = `${room}/${where.nick(this.user)}`;
    await this.xmpp.send(xml("presence", { to: occupant }, xml("x", { xmlns: NS_MUC }, xml("history", { maxstanzas: "5" }))));
    const own = await this.inbox.expect("the own presence in the room", (stanza) => stanza.is("presence") && stanza.attrs.from === occupant);
    ensure(own.attrs.type === undefined && own.toString().includes('code="110"'), own.toString());
    const history = [];
    for (;;) {
      const message = await this.inbox.expect("the subject", (stanza) => stanza.is("message") && stanza.attrs.from.startsWith(room));
      if (message.getChild("subject") && !message.getChild("body")) return history;
      history.push(message.getChildText("body"));
    }
  }

  say(to, text, type = "chat", id = text) {
    return this.xmpp.send(xml("message", { to, type, id }, xml("body", {}, text)));
  }

  hears(text) {
    return this.inbox.expect(`message ${text}`, (stanza) => stanza.is("message") && stanza.attrs.type !== "error" && stanza.getChildText("body") === text);
  }

  async end() {
    this.xmpp.reconnect.stop();
    await within(this.xmpp.stop(), "the end").catch(() => {});
  }
}

async function withPeople(carrier, users, story) {
  const people = [];
  try {
    for (const user of users) people.push(await Person.online(carrier, ...[user].flat()));
    await story(...people);
  } finally {
    for (const one of people) await one.end();
  }
}

const login = (carrier) => () =>
  withPeople(carrier, ["anna"], async (anna) => {
    ensure(anna.address.bare().toString() === where.jid("anna") && anna.address.resource === "js", anna.address.toString());
    if (carrier === "STARTTLS") ensure(anna.xmpp.socket.encrypted || anna.xmpp.isSecure(), "the connection is not encrypted");
    await within(anna.xmpp.iqCaller.request(xml("iq", { type: "get", to: where.domain }, xml("ping", "urn:xmpp:ping"))), "the pong");
    ensure(anna.xmpp.streamManagement.enabled && anna.xmpp.streamManagement.id, "stream management with resumption is not enabled");
  });

const wrongPassword = (carrier) => async () => {
  let refusal;
  const one = await Person.online(carrier, "anna", { password: "not the password" }).catch((error) => {
    refusal = error;
  });
  await one?.end();
  ensure(refusal?.condition === "not-authorized", `the answer was ${refusal}`);
};

const room = (carrier) => () =>
  withPeople(carrier, ["anna", "bert"], async (anna, bert) => {
    await anna.join(where.lobby);
    const texts = [unique("before"), unique("<b>&amp; \"quoted\" 'so'</b> é€😀")];
    for (const text of texts) {
      await anna.say(where.lobby, text, "groupchat");
      const back = await anna.hears(text);
      ensure(back.attrs.id === text && back.attrs.from === `${where.lobby}/${where.nick("anna")}`, back.toString());
    }
    const history = await bert.join(where.lobby);
    ensure(history.slice(-2).join() === texts.join(), `the history is ${history}`);
    const text = unique("live");
    await bert.say(where.lobby, text, "groupchat");
    const [here, there] = [await anna.hears(text), await bert.hears(text)];
    const id = (message) => message.getChild("stanza-id", "urn:xmpp:sid:0")?.attrs.id;
    ensure(id(here) && id(here) === id(there), `${here} and ${there}`);
  });

const chat = (carrier) => () =>
  withPeople(carrier, ["anna", "bert"], async (anna, bert) => {
    for (const [one, other] of [[anna, bert], [bert, anna]]) {
      const text = unique(`é€😀 from ${one.user}`);
      await one.say(where.jid(other.user), text);
      const got = await other.hears(text);
      ensure(got.attrs.id === text && got.attrs.from === one.address.toString() && got.attrs.type === "chat", got.toString());
    }
  });

/** A message larger than one read. Over TCP in ASCII only: this library tears letters apart that two reads share. */
const large = (carrier) => () =>
  withPeople(carrier, ["anna", "bert"], async (anna, bert) => {
    const text = unique((carrier === "WebSocket" ? "aé€😀" : "abcdefghij").repeat(4_000));
    await anna.say(where.jid("bert"), text, "chat", unique("large"));
    await bert.hears(text);
  });

/** The link is cut; the library comes back by itself, resumes, sends again what was lost, and gets what was missed, each once. */
const resumption = (carrier) => async () => {
  const link = await Link.open({ STARTTLS: where.plain, TLS: where.tls, WebSocket: where.http }[carrier]);
  try {
    await withPeople(carrier, [["anna", { to: link.address }], "bert"], async (anna, bert) => {
      await anna.join(where.lobby);
      await bert.join(where.lobby);
      await link.does("silence");
      const lost = [1, 2, 3].map((at) => unique(`into the cut ${at}`));
      for (const text of lost) await anna.say(where.jid("bert"), text);
      const missed = [1, 2, 3].map((at) => unique(`missed ${at}`));
      for (const text of missed) await bert.say(where.jid("anna"), text);
      const inside = unique("missed in the room");
      await bert.say(where.lobby, inside, "groupchat");
      await bert.hears(inside);
      await link.does("cut");
      const how = await anna.events.expect("a new session", (one) => one.resumed || one.lost || one.status === "online");
      ensure(how.resumed || how.status === "online", how);
      ensure(how.resumed || (await anna.events.expect("the resumption", (one) => one.resumed)), how);
      const last = [unique("the last to anna"), unique("the last to bert")];
      await bert.say(where.jid("anna"), last[0]);
      await anna.say(where.jid("bert"), last[1]);
      for (const [one, wanted, end] of [[anna, missed, last[0]], [bert, lost, last[1]]]) {
        const came = [];
        while (came.at(-1) !== end) {
          const stanza = await one.inbox.expect("what was missed", (got) => got.is("message") && got.attrs.type === "chat" && got.getChild("body"));
          came.push(stanza.getChildText("body"));
        }
        ensure(came.join() === [...wanted, end].join(), `${one.user} got ${came.join(", ")}`);
      }
      const text = unique("still in the room");
      await anna.say(where.lobby, text, "groupchat");
      await bert.hears(text);
    });
  } finally {
    link.close();
  }
};

await register("anna", "bert");
const STORIES = [
  ["login", login],
  ["a wrong password", wrongPassword],
  ["a room", room],
  ["a chat", chat],
  ["a large message", large],
  ["resumption after a cut", resumption],
];
await run("@xmpp/client", Object.keys(CARRIERS).flatMap((carrier) => STORIES.map(([label, story]) => [`${carrier}: ${label}`, story(carrier)])));
