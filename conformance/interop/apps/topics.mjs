#!/usr/bin/env node
// A plain WebSocket (ws) at /sock, opened by a ticket: topics with stored messages and user lists, and the same topics over MQTT and JSON-RPC.
//
//     topics.mjs HTTP MQTT XMPP PREFIX
//
// HTTP, MQTT and XMPP are HOST:PORT, PREFIX begins every user name. Libraries are looked for in the directory INTEROP_NODE_MODULES, or beside
// this file. One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { Account, Inbox, PASSWORD, ensure, require, run, unique, where, within } from "./peers.mjs";

const WebSocket = require("ws");
const mqtt = require("mqtt");

async function ticketOf(account, text = false) {
  const headers = { authorization: `Bearer ${account.token}`, ...(text && { accept: "text/plain" }) };
  const answer = await fetch(`http://${where.http}/ticket`, { method: text ? "GET" : "POST", headers });
  ensure(answer.ok, `/ticket: ${answer.status}`);
  return text ? answer.text() : (await answer.json()).ticket;
}

class Client {
  frames = new Inbox();

  static async online(user, text = false) {
    const one = new Client();
    one.account = await Account.of(user);
    one.user = user;
    one.ticket = await ticketOf(one.account, text);
    one.socket = new WebSocket(`ws://${where.http}/sock?ticket=${encodeURIComponent(one.ticket)}`);
    one.socket.on("message", (data) => one.frames.put(JSON.parse(data)));
    await within(new Promise((resolve, reject) => one.socket.once("open", resolve).once("error", reject)), "the WebSocket");
    return one;
  }

  get cid() {
    return this.ticket.split(":")[0];
  }

  send(action, topic, payload = null, store = false) {
    this.socket.send(JSON.stringify({ store, action, topic, payload }));
  }

  async subscribe(topic) {
    this.send("subscribe", topic);
    const told = await this.frames.expect(`subscribed to ${topic}`, (one) => one.type === "subscribed" && one.topic === topic);
    ensure(told.payload.connectionId === this.cid, told);
    return told.payload;
  }

  hears(type, topic, wanted = () => true) {
    return this.frames.expect(`${type} on ${topic}`, (one) => one.type === type && one.topic === topic && wanted(one.payload));
  }
}

async function withClients(users, story) {
  const opened = await Promise.all(users.map((user) => Client.online(user)));
  try {
    await story(...opened);
  } finally {
    for (const one of opened) one.socket.terminate();
  }
}

const topicOf = (name) => `${name}/${where.prefix}`;

const ticket = async () => {
  const anna = await Client.online("anna", true);
  const again = new WebSocket(`ws://${where.http}/sock?ticket=${encodeURIComponent(anna.ticket)}`);
  const status = new Promise((resolve) => again.once("unexpected-response", (_, response) => resolve(response.statusCode)));
  again.on("error", () => {});
  ensure((await within(status, "the refusal")) === 401, "a ticket is good twice");
  anna.socket.terminate();
};

const talk = () =>
  withClients(["anna", "bert"], async (anna, bert) => {
    const topic = topicOf("game");
    await anna.subscribe(topic);
    const { users } = await bert.subscribe(topic);
    ensure(users[where.uid("anna")].cids.join() === anna.cid && users[where.uid("anna")].name === where.nick("anna"), users);
    const payload = { x: 1, text: "é€😀", list: [null, { deep: true }] };
    anna.send("move", topic, payload);
    for (const one of [anna, bert]) {
      const told = await one.hears("move", topic);
      ensure(JSON.stringify(told.payload) === JSON.stringify(payload), told);
      ensure(told.sender === where.uid("anna") && told.store === false && !Number.isNaN(Date.parse(told.timestamp)), told);
    }
    bert.send("unsubscribe", topic);
    await anna.hears("unsubscriber", topic, ({ user, cids }) => user === where.uid("bert") && cids.length === 0);
    anna.send("move", topic, 2);
    await bert.frames.expectNone("a message after unsubscribing", (one) => one.type === "move");
  });

const people = () =>
  withClients(["anna", "bert", "bert"], async (anna, bert, again) => {
    const topic = topicOf("people");
    await anna.subscribe(topic);
    await bert.subscribe(topic);
    await anna.hears("subscriber", topic, ({ user, cids }) => user === where.uid("bert") && cids.join() === bert.cid);
    await again.subscribe(topic);
    await anna.hears("subscriber", topic, ({ cids }) => cids.join() === [bert.cid, again.cid].join());
    bert.socket.terminate();
    await anna.hears("unsubscriber", topic, ({ user, cids, name }) => user === where.uid("bert") && cids.join() === again.cid && name === where.nick("bert"));
    again.socket.close();
    await anna.hears("unsubscriber", topic, ({ cids }) => cids.length === 0);
  });

const stored = () =>
  withClients(["anna", "bert"], async (anna, bert) => {
    const topic = topicOf("board");
    for (let at = 1; at <= 20; at += 1) anna.send("post", topic, at, true);
    anna.send("post", topic, "not stored");
    anna.send("subscribe", topic);
    const first = await anna.frames.expect("subscribed", (one) => one.type === "subscribed");
    ensure(first.payload.stored === 20, first);
    // More comes while the next one subscribes: nothing is missing and nothing comes twice.
    for (let at = 21; at <= 200; at += 1) anna.send("post", topic, at, true);
    bert.send("subscribe", topic);
    await bert.hears("subscribed", topic);
    const got = [];
    while (got.at(-1) !== 200) got.push((await bert.hears("post", topic)).payload);
    ensure(got.join() === Array.from({ length: 200 }, (_, at) => at + 1).join(), `came ${got.length}: ${got}`);
  });

const overMqtt = () =>
  withClients(["anna"], async (anna) => {
    await Account.of("mona");
    const topic = topicOf("both");
    const name = `conf/demo/topic/${topic}`;
    const client = mqtt.connect(`mqtt://${where.mqtt}`, { protocolVersion: 5, username: where.uid("mona"), password: PASSWORD, reconnectPeriod: 0 });
    const inbox = new Inbox();
    client.on("message", (on, payload, packet) => inbox.put({ on, text: String(payload), packet }));
    await within(new Promise((resolve, reject) => client.once("connect", resolve).once("error", reject)), "CONNACK");
    try {
      await client.subscribeAsync(name, { qos: 1 });
      await anna.subscribe(topic);
      for (const store of [false, true]) {
        anna.send("move", topic, { store }, store);
        const got = await inbox.expect("the message", ({ on }) => on === name);
        ensure(got.text === JSON.stringify({ action: "move", payload: { store } }), got.text);
        ensure(got.packet.properties.contentType === "application/json", "no content type");
        await anna.hears("move", topic);
      }
      for (const [sent, type, payload] of [
        ['{"action":"turn","payload":[1,2]}', "turn", [1, 2]],
        ['{"action":"turn"}', "turn", null],
        ["21.5", "message", 21.5],
        ['{"action":"subscribed","payload":1}', "message", { action: "subscribed", payload: 1 }],
        ["only text", "message", "only text"],
        [Buffer.from([0xff, 0]), "message", { base64: "/wA=" }],
        [`${"[".repeat(50)}${"]".repeat(50)}`, "message", `${"[".repeat(50)}${"]".repeat(50)}`],
      ]) {
        for (const qos of [0, 1]) {
          await client.publishAsync(name, sent, { qos });
          const got = await anna.hears(type, topic);
          ensure(JSON.stringify(got.payload) === JSON.stringify(payload) && got.sender === where.uid("mona"), got);
        }
      }
    } finally {
      await client.endAsync(true);
    }
  });

const overJsonRpc = () =>
  withClients(["anna"], async (anna) => {
    const topic = topicOf("rpc");
    await anna.subscribe(topic);
    const bert = await Account.of("bert");
    await bert.call("topic.transmit", { topic, action: "hello", payload: { over: "http" }, store: true });
    const told = await anna.hears("hello", topic);
    ensure(told.payload.over === "http" && told.sender === where.uid("bert") && told.store === true, told);
    const socket = new WebSocket(`ws://${where.http}/ws`);
    const inbox = new Inbox();
    socket.on("message", (data) => inbox.put(JSON.parse(data)));
    await within(new Promise((resolve, reject) => socket.once("open", resolve).once("error", reject)), "the WebSocket");
    const call = async (id, method, params) => {
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
      return (await inbox.expect(method, (one) => one.id === id)).result;
    };
    try {
      await call(1, "session.hello", { token: bert.token });
      const found = await call(2, "topic.subscribe", { topic });
      ensure(found.stored === 1 && found.messages[0].payload.over === "http" && found.users[where.uid("anna")], found);
      anna.send("back", topic, 7);
      const { params } = await inbox.expect("the notification", (one) => one.method === "topic" && one.params.type === "back");
      ensure(params.payload === 7 && params.sender === where.uid("anna"), params);
      await call(3, "topic.unsubscribe", { topic });
      anna.send("back", topic, 8);
      await inbox.expectNone("a notification after unsubscribing", (one) => one.params?.type === "back");
    } finally {
      socket.terminate();
    }
  });

const refused = () =>
  withClients(["anna"], async (anna) => {
    const error = async (reason) => anna.frames.expect(`the error ${reason}`, (one) => one.type === "error" && one.payload.reason === reason);
    for (const [frame, reason] of [
      ["hello", "parse_error"],
      ["{}", "invalid_params"],
      [{ action: "subscribe", topic: "" }, "invalid_params"],
      [{ action: "subscribe", topic: "all/#" }, "invalid_params"],
      [{ action: "subscribed", topic: "x" }, "invalid_params"],
      [{ action: "", topic: "x" }, "invalid_params"],
      [{ action: "post", topic: "x".repeat(2000) }, "invalid_params"],
      [{ action: "post", topic: "x", payload: "y".repeat(70_000) }, "too_large"],
      [{ action: "subscribe", topic: "exchange/text:no-such-conversation" }, "not_allowed"],
    ]) {
      anna.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
      await error(reason);
    }
    await anna.subscribe(topicOf("still there"));
  });

const ofConversations = () =>
  withClients(["anna", "bert"], async (anna, bert) => {
    const { conversation } = await anna.account.call("conversation.create", { kind: "group", title: "Ours", members: [] });
    const topic = `exchange/text:${conversation}`;
    await anna.subscribe(topic);
    bert.send("subscribe", topic);
    await bert.frames.expect("the error", (one) => one.type === "error" && one.topic === topic && one.payload.reason === "not_allowed");
    bert.send("post", topic, "from outside", true);
    await bert.frames.expect("the error", (one) => one.type === "error" && one.payload.reason === "not_allowed");
    await anna.account.call("conversation.invite", { conversation, user: where.uid("bert") });
    await bert.account.call("conversation.join", { conversation });
    await bert.subscribe(topic);
    for (const store of [false, true]) {
      anna.send("post", topic, unique("for us"), store);
      await bert.hears("post", topic);
      await anna.hears("post", topic);
    }
    await anna.account.call("conversation.remove", { conversation, user: where.uid("bert") });
    for (const store of [false, true]) {
      anna.send("post", topic, "not for bert any more", store);
      await anna.hears("post", topic);
    }
    await bert.frames.expectNone("what is for members", (one) => one.type === "post");
  });

await run("topics over /sock", [
  ["a ticket is good once", ticket],
  ["messages to all who subscribed", talk],
  ["who comes and goes", people],
  ["stored messages, then live ones", stored],
  ["the same topics over MQTT", overMqtt],
  ["the same topics over JSON-RPC", overJsonRpc],
  ["what is refused is said", refused],
  ["the topics of conversations are their members'", ofConversations],
]);
