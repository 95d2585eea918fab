// What the programs of app developers' clients share besides `../common.mjs`: arguments, accounts, and the peers: an MQTT and an XMPP client in
// a conversation, with whom a program's own client talks.
//
// A client, a peer's or a program's, is `{ user, via, say(text, conversation), hears(text, conversation) }`. `hears` waits for the message with
// that text and tells what the protocol says of it: `{ from, name, via, id }`, a uid, a display name, the protocol and the public id, each where
// there is one. `conversation` is left out in the room.

import { Person } from "../xmpp/person.mjs";
import { Inbox, PASSWORD, SILENCE_MS, ensure, pause, register, require, unique, where, within } from "../common.mjs";

export * from "../common.mjs";

const mqtt = require("mqtt");

const [http, mqttAddress, plain, prefix, ...rest] = process.argv.slice(2);
if (!prefix) {
  console.error(`${process.argv[1]} HTTP MQTT XMPP PREFIX     with the server's certificate in NODE_EXTRA_CA_CERTS`);
  process.exit(2);
}
Object.assign(where, { http, mqtt: mqttAddress, plain, prefix, rest });

const TOPIC = "conf/demo/chat/";

/** Someone who can sign in, and what a token is good for. */
export class Account {
  static async of(user) {
    await register(user);
    const one = new Account();
    Object.assign(one, { user, uid: where.uid(user), name: where.nick(user) });
    one.token = (await one.post("/api/login", { conference: "demo", uid: one.uid, password: PASSWORD })).token;
    return one;
  }

  async post(path, body) {
    const headers = { "content-type": "application/json" };
    if (this.token) headers.authorization = `Bearer ${this.token}`;
    const answer = await fetch(`http://${where.http}${path}`, { method: "POST", headers, body: JSON.stringify(body) });
    ensure(answer.ok, `POST ${path}: ${answer.status}`);
    return answer.json();
  }

  /** Any JSON-RPC method, over HTTP. */
  async call(method, params) {
    const answer = await this.post("/rpc", { jsonrpc: "2.0", id: 1, method, params });
    ensure(answer.result, answer);
    return answer.result;
  }
}

/** The id of the direct conversation of two people. */
export const direct = (one, other) => `dm~${[one, other].map(where.uid).sort().join("~")}`;
const partner = (user, conversation) => conversation.split("~").slice(1).find((uid) => uid !== where.uid(user));

/** How often a text came. */
class Copies {
  counts = new Map();

  count(text) {
    this.counts.set(text, this.of(text) + 1);
  }

  of(text) {
    return this.counts.get(text) ?? 0;
  }
}

/** MQTT.js, subscribed to every conversation that its user may read. */
class OverMqtt {
  via = "mqtt";
  copies = new Copies();
  inbox = new Inbox();

  static async online(user, room) {
    await register(user);
    const one = new OverMqtt();
    Object.assign(one, { user, room });
    const clientId = `${where.uid(user)}-apps`;
    one.client = mqtt.connect(`mqtt://${where.mqtt}`, { protocolVersion: 5, clientId, username: where.uid(user), password: PASSWORD, reconnectPeriod: 0 });
    one.client.on("message", (topic, payload) => {
      const item = { topic, ...JSON.parse(payload.toString()) };
      one.copies.count(item.text);
      one.inbox.put(item);
    });
    await within(new Promise((resolve, reject) => one.client.once("connect", resolve).once("error", reject)), "CONNACK");
    one.client.on("error", () => {});
    const granted = await within(one.client.subscribeAsync(`${TOPIC}+`, { qos: 1 }), "SUBACK");
    ensure(granted[0].qos === 1, granted);
    return one;
  }

  say(text, conversation = this.room) {
    return within(this.client.publishAsync(TOPIC + conversation, JSON.stringify({ id: text, text }), { qos: 1 }), "PUBACK");
  }

  hears(text, conversation = this.room) {
    return this.inbox.expect(`message ${text} over MQTT`, (one) => one.topic === TOPIC + conversation && one.text === text);
  }

  end() {
    return within(this.client.endAsync(true), "the end").catch(() => {});
  }
}

/** @xmpp/client over TCP, in the room. */
class OverXmpp {
  via = "xmpp";
  copies = new Copies();

  static async online(user, room) {
    await register(user);
    const one = new OverXmpp();
    Object.assign(one, { user, room, jid: `${room}@${where.rooms}` });
    one.person = await Person.online(process.env.NODE_EXTRA_CA_CERTS ? "STARTTLS" : "WebSocket", user, { resource: "apps" });
    one.person.xmpp.on("stanza", (stanza) => one.copies.count(stanza.getChildText("body")));
    await one.person.join(one.jid);
    return one;
  }

  say(text, conversation = this.room) {
    if (conversation === this.room) return this.person.say(this.jid, text, "groupchat");
    return this.person.say(`${partner(this.user, conversation)}@${where.domain}`, text);
  }

  async hears(text, conversation = this.room) {
    const stanza = await this.person.hears(text);
    const { from, type } = stanza.attrs;
    const id = stanza.getChild("stanza-id", "urn:xmpp:sid:0")?.attrs.id;
    if (conversation === this.room) {
      ensure(type === "groupchat" && from.startsWith(`${this.jid}/`), stanza.toString());
      return { name: from.slice(this.jid.length + 1), id };
    }
    ensure(type === "chat", stanza.toString());
    return { from: from.split("@")[0], id };
  }

  end() {
    return this.person.end();
  }
}

/** Two peers in a conversation: `mona` at MQTT and `xavi` at XMPP. */
export class Room {
  static async open(conversation = "lobby") {
    const room = new Room();
    room.conversation = conversation;
    room.mqtt = await OverMqtt.online("mona", conversation);
    room.peers = [room.mqtt];
    try {
      room.xmpp = await OverXmpp.online("xavi", conversation);
      room.peers.push(room.xmpp);
    } catch (error) {
      await room.close();
      throw error;
    }
    return room;
  }

  /** In turn each says something, which all others hear, from the same person and with the same id; the peers hear it once. */
  async talk(...clients) {
    const everyone = [...clients, ...this.peers];
    const texts = [];
    for (const speaker of everyone) texts.push(await said(speaker, everyone.filter((one) => one !== speaker)));
    await this.heardOnce(texts);
  }

  /** The same between a client and each peer alone. */
  async talkDirectly(client) {
    const texts = [];
    for (const peer of this.peers) {
      const conversation = direct(client.user, peer.user);
      texts.push(await said(client, [peer], conversation), await said(peer, [client], conversation));
    }
    await this.heardOnce(texts);
  }

  /** What was heard does not come again. */
  async heardOnce(texts) {
    await pause(SILENCE_MS);
    for (const { copies, via } of this.peers) {
      for (const text of texts) ensure(copies.of(text) <= 1, `${text} came ${copies.of(text)} times over ${via}`);
    }
  }

  async close() {
    for (const peer of this.peers) await peer.end();
  }
}

async function said(speaker, listeners, conversation) {
  const text = unique(`from ${speaker.user} <b>&amp; "é€😀"</b>`);
  await speaker.say(text, conversation);
  const heard = [];
  for (const listener of listeners) heard.push(await listener.hears(text, conversation));
  const expected = { from: where.uid(speaker.user), name: where.nick(speaker.user), via: speaker.via };
  for (const one of heard) {
    ensure(one.from !== undefined || one.name !== undefined, `nobody is said to have said ${text}`);
    for (const [key, value] of Object.entries(expected)) ensure(one[key] === undefined || one[key] === value, `${key} is ${one[key]}, not ${value}: ${text}`);
  }
  const ids = new Set(heard.map((one) => one.id).filter((id) => id !== undefined));
  ensure(ids.size <= 1, `${text} has the ids ${[...ids].join(", ")}`);
  return text;
}

/** Runs with a room that is left afterwards, however it goes. */
export async function inRoom(story, conversation) {
  const room = await Room.open(conversation);
  try {
    await story(room);
  } finally {
    await room.close();
  }
}
