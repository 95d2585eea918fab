#!/usr/bin/env node
// Hallway's MQTT edge as MQTT.js 5.x sees it: over TCP, TLS and WebSocket, in 3.1.1 and 5.
//
//     mqttjs.mjs HTTP MQTT MQTTS CA PREFIX
//
// HTTP, MQTT and MQTTS are HOST:PORT, CA is the server's certificate, PREFIX begins every user name and topic, so that runs on one server
// do not disturb each other. Its libraries are looked for in the directory INTEROP_NODE_MODULES, or beside this file.
//
// One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { readFileSync } from "node:fs";
import { isDeepStrictEqual } from "node:util";

import { Inbox, PASSWORD, ensure, require, run, unique, where, within } from "../common.mjs";

const mqtt = require("mqtt");
const WebSocket = require("ws");

const [http, plain, tls, ca, prefix] = process.argv.slice(2);
if (!prefix) {
  console.error("mqttjs.mjs HTTP MQTT MQTTS CA PREFIX");
  process.exit(2);
}
Object.assign(where, { http, prefix });

const LOBBY = "conf/demo/chat/lobby";
const HELP = "conf/demo/chat/help";
const CARRIERS = { TCP: `mqtt://${plain}`, WebSocket: `ws://${http}/mqtt`, TLS: `mqtts://${tls}` };

const appTopic = (name) => `conf/demo/topic/${prefix}/${name}`;

/** What came on a topic. */
class Message {
  constructor(topic, payload, packet) {
    Object.assign(this, { topic, packet, text: payload.toString() });
  }

  toString() {
    const { topic, text, packet } = this;
    return `${topic} qos=${packet.qos} retain=${packet.retain} dup=${packet.dup} ${text.slice(0, 200)}`;
  }
}

/** An MQTT.js client whose messages end in an inbox, so that a check reads from top to bottom. */
class Client {
  inbox = new Inbox();

  static async connect(way, user, { id, clean = true, expiry = 0, will, present = false, password = PASSWORD } = {}) {
    const client = new Client();
    client.uid = where.uid(user);
    const options = {
      protocolVersion: way.version,
      clientId: id ?? `${client.uid}-${process.hrtime.bigint()}`,
      username: client.uid,
      password,
      clean,
      will,
      // A lost connection is what some checks are about; nobody is to come back by itself.
      reconnectPeriod: 0,
      ca: readFileSync(ca),
    };
    if (way.version === 5) options.properties = { sessionExpiryInterval: expiry };
    client.mqtt = mqtt.connect(CARRIERS[way.carrier], options);
    client.mqtt.on("message", (...parts) => client.inbox.put(new Message(...parts)));
    const connack = await within(
      new Promise((resolve, reject) => {
        client.mqtt.once("connect", resolve);
        client.mqtt.once("error", reject);
        client.mqtt.once("close", () => reject(new Error("the connection was closed before CONNACK")));
      }),
      "CONNACK",
    );
    client.mqtt.on("error", () => {});
    ensure(connack.sessionPresent === present, `session present is ${connack.sessionPresent} instead of ${present}`);
    return client;
  }

  async subscribe(topic, qos, options = {}) {
    const granted = await within(this.mqtt.subscribeAsync(topic, { qos, ...options }), `SUBACK for ${topic}`);
    ensure(granted.every((one) => one.qos === qos), granted);
  }

  publish(topic, payload, qos, options = {}) {
    return within(this.mqtt.publishAsync(topic, payload, { qos, ...options }), `the acknowledgement at QoS ${qos}`);
  }

  async end() {
    await within(this.mqtt.endAsync(), "the end");
  }

  /** Ends the connection without DISCONNECT, as a crash does. */
  drop() {
    this.mqtt.stream.destroy();
  }
}

const isText = (topic, text) => (message) => {
  if (message.topic !== topic) return false;
  try {
    return JSON.parse(message.text).text === text;
  } catch {
    return false;
  }
};
const isPayload = (topic, text) => (message) => message.topic === topic && message.text === text;

/** Runs with clients that are ended afterwards, however it goes. */
async function withClients(way, users, story) {
  const clients = [];
  try {
    for (const user of users) clients.push(await Client.connect(way, user));
    await story(...clients);
  } finally {
    for (const client of clients) client.mqtt.end(true);
  }
}

/** A JSON-RPC client at /ws. */
class WebSocketUser {
  inbox = new Inbox();
  calls = 0;

  static async open(user) {
    const body = JSON.stringify({ conference: "demo", uid: where.uid(user), password: PASSWORD });
    const answer = await fetch(`http://${http}/api/login`, { method: "POST", headers: { "content-type": "application/json" }, body });
    ensure(answer.ok, `login: ${answer.status}`);
    const { token } = await answer.json();
    const one = new WebSocketUser();
    one.socket = new WebSocket(`ws://${http}/ws`, "hallway.v1");
    one.socket.on("message", (data) => one.inbox.put(JSON.parse(data)));
    await within(
      new Promise((resolve, reject) => {
        one.socket.once("open", resolve);
        one.socket.once("error", reject);
      }),
      "the WebSocket",
    );
    await one.call("session.hello", { token });
    return one;
  }

  async call(method, params) {
    const id = ++this.calls;
    this.socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
    const answer = await this.inbox.expect(`the answer of ${method}`, (message) => message.id === id);
    ensure(answer.result, answer);
    return answer.result;
  }

  async expectMessage(text) {
    return (await this.inbox.expect(`message ${text}`, (one) => one.method === "message" && one.params.text === text)).params;
  }
}

// The checks.

async function chat(way) {
  await withClients(way, ["anna", "bert"], async (anna, bert) => {
    for (const qos of [0, 1, 2]) {
      for (const [one, other, form] of [[anna, bert, "text"], [bert, anna, "json"]]) {
        await other.subscribe(LOBBY, qos);
        const text = unique(`${form} ${qos}`);
        const id = unique("id");
        await one.publish(LOBBY, form === "text" ? text : JSON.stringify({ id, text }), qos);
        const message = await other.inbox.expect(`${form} at QoS ${qos}`, isText(LOBBY, text));
        const event = JSON.parse(message.text);
        ensure(message.packet.qos === qos && !message.packet.retain && !message.packet.dup, String(message));
        ensure(event.from === one.uid && event.conversation === "lobby" && event.kind === "message", event);
        ensure(form === "text" || event.client_id === id, event);
      }
    }
  });
}

/** A message larger than one read, with letters of every width in UTF-8. */
async function large(way) {
  await withClients(way, ["anna", "bert"], async (anna, bert) => {
    await bert.subscribe(appTopic("large"), 2);
    const text = "aé€😀".repeat(15_000);
    await anna.publish(appTopic("large"), text, 2);
    await bert.inbox.expect("150,000 bytes", isPayload(appTopic("large"), text));
  });
}

async function will(way) {
  const topic = `conf/demo/topic/wills/${prefix}`;
  await withClients(way, ["bert"], async (bert) => {
    await bert.subscribe(topic, 1);
    (await Client.connect(way, "anna", { will: { topic, payload: "lost", qos: 1, retain: false } })).drop();
    await bert.inbox.expect("the will", isPayload(topic, "lost"));
    await (await Client.connect(way, "anna", { will: { topic, payload: "left", qos: 1, retain: false } })).end();
    await bert.inbox.expectNone("the will of who left");
    if (way.version !== 5) return;
    const late = { topic, payload: "late", qos: 1, retain: false, properties: { willDelayInterval: 1 } };
    (await Client.connect(way, "anna", { expiry: 60, will: late })).drop();
    await bert.inbox.expectNone("the delayed will at once", undefined, 600);
    await bert.inbox.expect("the delayed will", isPayload(topic, "late"));
  });
}

async function retained(way) {
  const topic = appTopic(`board/${way.carrier}/${way.version}`);
  await withClients(way, ["anna"], async (anna) => {
    await withClients(way, ["bert"], async (bert) => {
      await bert.subscribe(topic, 1);
      await anna.publish(topic, "kept", 2, { retain: true });
      const live = await bert.inbox.expect("the live one", isPayload(topic, "kept"));
      ensure(!live.packet.retain, "retain is set on what comes live");
    });
    await withClients(way, ["carl"], async (carl) => {
      await carl.subscribe(topic, 2);
      const kept = await carl.inbox.expect("the kept one", isPayload(topic, "kept"));
      ensure(kept.packet.retain && kept.packet.qos === 2, String(kept));
    });
    await anna.publish(topic, "", 1, { retain: true });
    await withClients(way, ["carl"], async (carl) => {
      await carl.subscribe(topic, 2);
      await carl.inbox.expectNone("what was emptied");
    });
    const text = unique("last words");
    await anna.publish(HELP, text, 1);
    await withClients(way, ["carl"], async (carl) => {
      await carl.subscribe(HELP, 1);
      const last = await carl.inbox.expect("the conversation's last message", isText(HELP, text));
      ensure(last.packet.retain, "it is not retained");
    });
  });
}

async function persistent(way) {
  const id = `${prefix}-js-away-${way.carrier}-${way.version}`;
  const topic = appTopic(`away/${way.carrier}/${way.version}`);
  const bert = (clean, present) => Client.connect(way, "bert", { id, clean, expiry: clean ? 0 : 3600, present });
  await (await bert(true, false)).end();
  const first = await bert(false, false);
  await first.subscribe(HELP, 1);
  await first.subscribe(topic, 2);
  await first.end();
  const texts = Array.from({ length: 20 }, (_, n) => unique(`away ${n}`));
  await withClients(way, ["anna"], async (anna) => {
    await Promise.all(texts.flatMap((text) => [anna.publish(HELP, text, 1), anna.publish(topic, text, 2)]));
  });
  const back = await bert(false, true);
  const messages = await back.inbox.collect(2 * texts.length, () => true);
  await back.end();
  const chats = messages.filter((one) => one.topic === HELP).map((one) => JSON.parse(one.text).text);
  ensure(isDeepStrictEqual(chats, texts), `at QoS 1 came ${chats.length}: ${chats.join(", ")}`);
  const others = messages.filter((one) => one.topic === topic).map((one) => one.text);
  ensure(isDeepStrictEqual(others, texts), `at QoS 2 came ${others.length}: ${others.join(", ")}`);
  ensure(messages.every(({ packet }) => !packet.dup && !packet.retain), "with DUP or retain set");
  const again = await bert(false, true);
  await again.inbox.expectNone("something that was delivered");
  await again.end();
  await (await bert(true, false)).end();
}

async function withWebSocket(way) {
  await withClients(way, ["anna"], async (anna) => {
    const other = await WebSocketUser.open("anna");
    try {
      await other.call("conversation.subscribe", { conversation: "lobby" });
      await anna.subscribe(LOBBY, 1);
      let text = unique("over MQTT");
      await anna.publish(LOBBY, text, 1);
      const there = await other.expectMessage(text);
      const here = JSON.parse((await anna.inbox.expect("one's own message", isText(LOBBY, text))).text);
      ensure(isDeepStrictEqual(there, here), `WebSocket has ${JSON.stringify(there)}, MQTT has ${JSON.stringify(here)}`);
      text = unique("over WebSocket");
      const sent = await other.call("message.send", { conversation: "lobby", id: text, text });
      const came = JSON.parse((await anna.inbox.expect("the other's message", isText(LOBBY, text))).text);
      ensure(came.seq === sent.seq && came.client_id === text, came);
    } finally {
      other.socket.close();
    }
  });
}

/** MQTT.js sends by aliases when it is told to, and takes messages by aliases. */
async function aliases(way) {
  await withClients(way, ["anna", "bert"], async (anna, bert) => {
    const topic = appTopic("alias");
    await bert.subscribe(topic, 1);
    await anna.publish(topic, "by name", 1, { properties: { topicAlias: 1 } });
    await anna.publish("", "by alias", 1, { properties: { topicAlias: 1 } });
    await bert.inbox.expect("what was sent by name", isPayload(topic, "by name"));
    await bert.inbox.expect("what was sent by alias", isPayload(topic, "by alias"));
  });
}

async function wrongPassword(way) {
  await withClients(way, ["anna"], async () => {});
  const refusal = await Client.connect(way, "anna", { password: "not the password" }).then(
    (client) => client.mqtt.end(true),
    (error) => error,
  );
  const codes = way.version === 5 ? [0x86, 0x87] : [4, 5];
  ensure(codes.includes(refusal?.code), `it was answered ${refusal}, code ${refusal?.code}`);
}

const ALL = [
  ["two clients talk at QoS 0, 1 and 2", chat],
  ["a large message", large],
  ["wills", will],
  ["retained publications and last messages", retained],
  ["a persistent session gets all 20 of each QoS, once and in order", persistent],
  ["together with a WebSocket client", withWebSocket],
  ["a wrong password is refused", wrongPassword],
];
const WAYS = [
  { carrier: "TCP", version: 4, checks: ALL },
  { carrier: "TCP", version: 5, checks: [...ALL, ["topic aliases", aliases]] },
  { carrier: "WebSocket", version: 4, checks: ALL },
  { carrier: "WebSocket", version: 5, checks: ALL },
  { carrier: "TLS", version: 5, checks: [ALL[0], ALL[1]] },
];

await run(
  "MQTT.js",
  WAYS.flatMap((way) => way.checks.map(([label, check]) => [`${way.carrier} v${way.version}: ${label}`, () => check(way)])),
);
