// A person at @xmpp/client, for the programs in JavaScript: its stanzas end in an inbox, so that a check reads from top to bottom.

import { Inbox, PASSWORD, SOON_MS, ensure, load, require, where, within } from "../common.mjs";

const { client, xml } = await load("@xmpp/client");
// Node has one of its own from version 22 on.
globalThis.WebSocket ??= require("ws");

const NS_MUC = "http://jabber.org/protocol/muc";
export const CARRIERS = {
  STARTTLS: (to = where.plain) => `xmpp://${to}`,
  // The certificate is for the name.
  TLS: (to = where.tls) => `xmpps://${to.replace(/^127\.0\.0\.1/, "localhost")}`,
  WebSocket: (to = where.http) => `ws://${to}/xmpp-websocket`,
};

export class Person {
  inbox = new Inbox();
  events = new Inbox();

  static async online(carrier, user, { to, resource = "js", password = PASSWORD } = {}) {
    const one = new Person();
    one.user = user;
    // Its own patience is two seconds, which a machine that does much else does not keep.
    one.xmpp = client({ service: CARRIERS[carrier](to), domain: where.domain, resource, username: where.uid(user), password, timeout: SOON_MS });
    one.xmpp.on("stanza", (stanza) => one.inbox.put(stanza));
    one.xmpp.on("error", (error) => one.events.put({ error: String(error) }));
    one.xmpp.on("status", (status) => one.events.put({ status }));
    one.xmpp.streamManagement.on("resumed", () => one.events.put({ resumed: true }));
    one.xmpp.streamManagement.on("fail", (stanza) => one.events.put({ lost: stanza.toString() }));
    one.xmpp.reconnect.delay = 100;
    try {
      one.address = await within(one.xmpp.start(), "the login");
      await one.xmpp.send(xml("presence"));
      // Stanzas are handled in order: afterwards this resource is available.
      await within(one.xmpp.iqCaller.request(xml("iq", { type: "get", to: where.domain }, xml("ping", "urn:xmpp:ping"))), "the pong");
    } catch (error) {
      await one.end();
      throw error;
    }
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

/** Runs with people who are logged out afterwards, however it goes. */
export async function withPeople(carrier, users, story) {
  const people = [];
  try {
    for (const user of users) people.push(await Person.online(carrier, ...[user].flat()));
    await story(...people);
  } finally {
    for (const one of people) await one.end();
  }
}
