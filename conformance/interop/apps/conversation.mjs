#!/usr/bin/env node
// A plain WebSocket (ws) at /<conversation>?accessToken=…, in conversation with an MQTT and an XMPP client, and its REST neighbours.
//
//     conversation.mjs HTTP MQTT XMPP PREFIX
//
// HTTP, MQTT and XMPP are HOST:PORT, NODE_EXTRA_CA_CERTS the server's certificate, PREFIX begins every user name. Libraries are looked for in
// the directory INTEROP_NODE_MODULES, or beside this file. One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { Account, Inbox, direct, ensure, inRoom, require, run, unique, where, within } from "./peers.mjs";

const WebSocket = require("ws");

/** A socket of one conversation. */
class Client {
  via = "ws";
  frames = new Inbox();
  beats = new Inbox();

  static async online(user, conversation = "lobby", query = "") {
    const one = new Client();
    one.account = await Account.of(user);
    Object.assign(one, { user, conversation });
    const path = `${encodeURIComponent(conversation)}?accessToken=${one.account.token}${query}`;
    one.socket = new WebSocket(`ws://${where.http}/${path}`);
    one.closed = new Promise((resolve) => one.socket.once("close", (code, reason) => resolve({ code, reason: String(reason) })));
    one.socket.on("message", (data) => {
      const text = String(data);
      if (["ping", "pong"].includes(text)) one.beats.put(text);
      else one.frames.put(JSON.parse(text));
    });
    await within(new Promise((resolve, reject) => one.socket.once("open", resolve).once("error", reject)), "the WebSocket");
    return one;
  }

  send(frame) {
    this.socket.send(typeof frame === "string" ? frame : JSON.stringify(frame));
  }

  async say(text) {
    this.send({ message: text });
    const own = await this.frames.expect(`one's own ${text}`, (one) => one.message === text);
    ensure(own.senderId === where.uid(this.user) && own.type === "message" && own.seq > 0, own);
  }

  async hears(text) {
    const { senderId, sender, id, conversation, timestamp } = await this.frames.expect(`message ${text}`, (one) => one.message === text);
    ensure(conversation === this.conversation && !Number.isNaN(Date.parse(timestamp)), `${conversation} at ${timestamp}`);
    return { from: senderId, name: sender, id };
  }

  error(reason) {
    return this.frames.expect(`the error ${reason}`, (one) => one.type === "error" && one.reason === reason && one.message === undefined);
  }
}

async function withClients(clients, story) {
  const opened = await Promise.all(clients);
  try {
    await story(...opened);
  } finally {
    for (const one of opened) one.socket.terminate();
  }
}

/** The HTTP status that an upgrade is answered with. */
function refusal(path, headers = {}) {
  const socket = new WebSocket(`ws://${where.http}${path}`, { headers });
  const answer = new Promise((resolve, reject) => {
    socket.once("unexpected-response", (request, response) => {
      resolve(response.statusCode);
      request.destroy();
    });
    socket.once("open", () => reject(new Error(`${path} was opened`)));
    socket.on("error", () => {});
  });
  return within(answer, "the refusal");
}

const room = () => withClients([Client.online("anna")], (anna) => inRoom((peers) => peers.talk(anna)));

const directly = () =>
  inRoom(async (peers) => {
    const texts = [];
    for (const peer of peers.peers) {
      const conversation = direct("anna", peer.user);
      await withClients([Client.online("anna", conversation)], async (anna) => {
        for (const [one, other] of [[anna, peer], [peer, anna]]) {
          const text = unique(`from ${one.user}`);
          await one.say(text, conversation);
          const heard = await other.hears(text, conversation);
          ensure(heard.from === where.uid(one.user), heard);
          texts.push(text);
        }
      });
    }
    await peers.heardOnce(texts);
  });

const refused = async () => {
  const anna = await Account.of("anna");
  const eve = await Account.of("eve");
  const group = `g-${where.prefix}`.toLowerCase().replaceAll(/[^a-z0-9_-]/g, "-");
  await anna.call("conversation.create", { kind: "group", id: group, title: "Anna's own" });
  const wanted = [
    ["/lobby", 401],
    ["/lobby?accessToken=wrong", 401],
    ["/lobby?ticket=wrong", 401],
    [`/no-such-conversation?accessToken=${eve.token}`, 404],
    [`/${group}?accessToken=${eve.token}`, 404],
    [`/${encodeURIComponent(direct("anna", "bert"))}?accessToken=${eve.token}`, 404],
    [`/lobby?accessToken=${eve.token}&after=x`, 400],
  ];
  for (const [path, status] of wanted) {
    const got = await refusal(path);
    ensure(got === status, `${path.replace(eve.token, "…")}: ${got}, not ${status}`);
  }
  ensure((await refusal(`/lobby?accessToken=${eve.token}`, { origin: "https://evil.example" })) === 403, "a page of another site may connect");
};

const resumed = () =>
  withClients([Client.online("anna")], async (anna) => {
    const texts = [unique("one"), unique("two"), unique("three")];
    anna.send({ message: texts[0] });
    const first = await anna.frames.expect(texts[0], (one) => one.message === texts[0]);
    for (const text of texts.slice(1)) await anna.say(text);
    for (const query of [`&after=${first.seq}`, "&history=2"]) {
      await withClients([Client.online("bert", "lobby", query)], async (bert) => {
        const seqs = [];
        for (const text of texts.slice(1)) seqs.push((await bert.frames.expect(text, (one) => one.message === text)).seq);
        ensure(seqs[0] < seqs[1], seqs);
      });
    }
  });

const once = () =>
  withClients([Client.online("anna")], async (anna) => {
    const frame = { message: unique("once"), id: unique("id") };
    anna.send(frame);
    const first = await anna.frames.expect("the message", (one) => one.clientId === frame.id && one.type === "message");
    anna.send(frame);
    const again = await anna.frames.expect("that it was sent before", (one) => one.clientId === frame.id);
    ensure(again.type === "sent" && again.seq === first.seq && again.id === first.id, again);
    anna.send({ ...frame, message: "something else" });
    ensure((await anna.error("id_reused")).clientId === frame.id, "the error does not say which message");
  });

const malformed = () =>
  withClients([Client.online("anna")], async (anna) => {
    for (const [frame, reason] of [
      ["hello", "parse_error"],
      ["{}", "invalid_params"],
      [{ message: 7 }, "invalid_params"],
      [{ message: "" }, "invalid_params"],
      [`{"message":"x","deep":${"[".repeat(100)}${"]".repeat(100)}}`, "too_deep"],
      [{ message: "x".repeat(70_000) }, "text_too_large"],
    ]) {
      anna.send(frame);
      await anna.error(reason);
    }
    anna.send("pong");
    await anna.say(unique("still there"));
  });

const typing = () =>
  withClients([Client.online("anna", "lobby", "&typing=true&events=true"), Client.online("bert")], async (anna, bert) => {
    bert.send({ typing: true });
    const told = await anna.frames.expect("typing", (one) => one.type === "typing" && one.senderId === where.uid("bert"));
    ensure(told.on === true && told.sender === where.nick("bert"), told);
    const text = unique("to be edited");
    bert.send({ message: text });
    const { seq } = await bert.frames.expect(text, (one) => one.message === text);
    await bert.account.call("message.edit", { conversation: "lobby", seq, text: `${text}, edited` });
    const edit = await anna.frames.expect("the edit", (one) => one.type === "edit" && one.target === seq);
    ensure(edit.message === `${text}, edited`, edit);
    await bert.frames.expectNone("an edit that was not asked for", (one) => one.type !== "message");
  });

const list = () =>
  withClients([Client.online("anna")], async (anna) => {
    const bert = await Account.of("bert");
    await bert.call("conversation.join", { conversation: "lobby" });
    const rows = async (query, headers) => {
      const answer = await fetch(`http://${where.http}/api/conversations${query}`, { headers });
      ensure(answer.ok, `GET /api/conversations: ${answer.status}`);
      return answer.json();
    };
    const lobby = (all) => all.find((row) => row.conversation === "lobby");
    const before = lobby(await rows("", { authorization: `Bearer ${bert.token}` }));
    const text = unique("last");
    anna.send({ message: text });
    const frame = await anna.frames.expect(text, (one) => one.message === text);
    const after = lobby(await rows(`?accessToken=${bert.token}`));
    ensure(JSON.stringify(after.lastMessage) === JSON.stringify(frame), `${JSON.stringify(after.lastMessage)} is not ${JSON.stringify(frame)}`);
    ensure(after.unread === before.unread + 1, `${before.unread} and then ${after.unread} unread`);
    ensure((await fetch(`http://${where.http}/api/conversations`)).status === 401, "a list without a token");
  });

const left = async () => {
  const anna = await Account.of("anna");
  const { conversation } = await anna.call("conversation.create", { kind: "group", title: "For a while", members: [] });
  const bert = await Account.of("bert");
  await anna.call("conversation.invite", { conversation, user: where.uid("bert") });
  await bert.call("conversation.join", { conversation });
  await bert.post("/api/groups/leave", { conversation });
  ensure((await refusal(`/${conversation}?accessToken=${bert.token}`)) === 403, "who has left may read on");
};

const pinged = () =>
  withClients([Client.online("anna")], async (anna) => {
    await anna.beats.expect("ping", (text) => text === "ping", 30_000);
    anna.send("pong");
    anna.send("ping");
    await anna.beats.expect("pong", (text) => text === "pong");
    await anna.say(unique("after a ping"));
  });

await run("per-conversation WebSocket", [
  ["in a room", room],
  ["with each of them", directly],
  ["who may not is refused at the upgrade", refused],
  ["what was missed, and history", resumed],
  ["a message sent twice is stored once", once],
  ["malformed frames are answered", malformed],
  ["typing and edits for who wants them", typing],
  ["the list of conversations", list],
  ["leaving a group", left],
  ["ping in text", pinged],
]);
