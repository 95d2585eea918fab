#!/usr/bin/env node
// An XMPP server as stanza 12.x (StanzaJS) sees it, over WebSocket.
//
//     stanzajs.mjs HTTP XMPP XMPPS CA DOMAIN PREFIX
//
// The arguments are those of with_slixmpp.py. Its libraries are looked for in the directory INTEROP_NODE_MODULES, or beside this file.
// One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { Inbox, Link, PASSWORD, ensure, pause, register, require, run, unique, where, within } from "./people.mjs";

const { createClient } = require("stanza");

/** A client whose events end in an inbox, so that a check reads from top to bottom. */
class Person {
  inbox = new Inbox();

  static async online(user, { to = where.http, resource = "stanza", password = PASSWORD, reconnects = false } = {}) {
    const one = new Person();
    one.user = user;
    one.jid = where.jid(user);
    one.client = createClient({
      jid: one.jid,
      password,
      resource,
      autoReconnect: reconnects,
      maxReconnectBackoff: 1,
      transports: { websocket: `ws://${to}/xmpp-websocket`, bosh: false },
    });
    one.client.on("*", (name, data) => one.inbox.put({ name, data }));
    one.client.connect();
    const how = await one.inbox.expect("the end of the login", ({ name }) => ["session:started", "auth:failed", "disconnected", "stream:error"].includes(name));
    if (how.name !== "session:started") {
      one.client.disconnect();
      throw new Error(`the login ended with ${how.name}`);
    }
    await within(one.client.getRoster(), "the roster");
    one.client.sendPresence();
    // Stanzas are handled in order: afterwards this resource is available.
    await within(one.client.ping(where.domain), "the pong");
    return one;
  }

  async expect(name, what, wanted = () => true) {
    return (await this.inbox.expect(what, (one) => one.name === name && wanted(one.data))).data;
  }

  async end() {
    const ended = new Promise((resolve) => this.client.once("disconnected", resolve));
    this.client.config.autoReconnect = false;
    this.client.disconnect();
    await within(ended, "the end").catch(() => {});
  }
}

async function withPeople(users, story) {
  const people = [];
  try {
    for (const user of users) people.push(await Person.online(...[user].flat()));
    await story(...people);
  } finally {
    for (const one of people) await one.end();
  }
}

const login = () =>
  withPeople(["anna"], async (anna) => {
    ensure(anna.client.jid === `${where.jid("anna")}/stanza`, anna.client.jid);
    ensure(anna.client.sm.started && anna.client.sm.id, "stream management is not enabled");
    await within(anna.client.ping(where.domain), "the pong");
    const info = await within(anna.client.getDiscoInfo(where.domain), "the server's description");
    ensure(info.identities.some(({ category, type }) => category === "server" && type === "im"), info);
  });

async function wrongPassword() {
  const refusal = await Person.online("anna", { password: "not the password" }).then(
    (one) => one.end(),
    (error) => error,
  );
  ensure(refusal?.message === "the login ended with auth:failed", `the answer was ${refusal}`);
}

const groupchat = (text) => (message) => message.body === text;

const room = () =>
  withPeople(["anna", "bert"], async (anna, bert) => {
    await within(anna.client.joinRoom(where.lobby, where.nick("anna"), { muc: { type: "join", history: { maxStanzas: 0 } } }), "joining");
    await anna.expect("muc:topic", "the subject", ({ room }) => room === where.lobby);
    const before = unique("before");
    anna.client.sendMessage({ to: where.lobby, type: "groupchat", body: before, id: before });
    const own = await anna.expect("groupchat", before, groupchat(before));
    ensure(own.id === before && own.from === `${where.lobby}/${where.nick("anna")}`, own);
    await within(bert.client.joinRoom(where.lobby, where.nick("bert"), { muc: { type: "join", history: { maxStanzas: 3 } } }), "joining");
    // Presence is told once a second: of who is gone again before it is told, nothing is.
    await anna.expect("muc:available", "the coming", ({ from }) => from === `${where.lobby}/${where.nick("bert")}`);
    const old = await bert.expect("groupchat", "the history", groupchat(before));
    ensure(old.delay?.timestamp && old.id === before, old);
    await bert.expect("muc:topic", "the subject", ({ room }) => room === where.lobby);
    const live = unique("<b>&amp; \"quoted\" 'so'</b> é€😀");
    bert.client.sendMessage({ to: where.lobby, type: "groupchat", body: live });
    const [here, there] = [await anna.expect("groupchat", live, groupchat(live)), await bert.expect("groupchat", live, groupchat(live))];
    const id = (message) => message.stanzaIds?.find(({ by }) => by === where.lobby)?.id;
    ensure(id(here) && id(here) === id(there), [here, there]);
    await within(bert.client.leaveRoom(where.lobby), "leaving");
    await anna.expect("muc:unavailable", "the leaving", ({ from }) => from === `${where.lobby}/${where.nick("bert")}`);
  });

const carbons = () =>
  withPeople(["anna", ["anna", { resource: "other" }], "bert"], async (anna, other, bert) => {
    for (const one of [anna, other, bert]) await within(one.client.enableCarbons(), "enabling carbons");
    const there = unique("there");
    anna.client.sendMessage({ to: bert.jid, type: "chat", body: there, id: there });
    ensure((await bert.expect("chat", there, groupchat(there))).from === anna.client.jid, "it is from somebody else");
    const sent = await other.expect("carbon:sent", "the carbon of what was sent");
    ensure(sent.carbon.forward.message.body === there && sent.carbon.forward.message.id === there, sent);
    const back = unique("back");
    bert.client.sendMessage({ to: anna.client.jid, type: "chat", body: back });
    await anna.expect("chat", back, groupchat(back));
    const received = await other.expect("carbon:received", "the carbon of what was received");
    ensure(received.carbon.forward.message.body === back, received);
  });

/** stanza answers requests for receipts and markers by itself. */
const receipts = () =>
  withPeople(["anna", "bert"], async (anna, bert) => {
    const id = unique("receipt");
    anna.client.sendMessage({ to: bert.jid, type: "chat", body: id, id, receipt: { type: "request" }, marker: { type: "markable" } });
    await bert.expect("chat", id, groupchat(id));
    const receipt = await anna.expect("receipt", "the receipt", (one) => one.receipt.id === id);
    ensure(receipt.from === bert.client.jid, receipt);
    bert.client.markDisplayed({ id, from: anna.jid, to: bert.jid, type: "chat", marker: { type: "markable" } });
    await anna.expect("marker:displayed", "the marker", (one) => one.marker.id === id);
  });

const states = () =>
  withPeople(["anna", "bert"], async (anna, bert) => {
    for (const chatState of ["composing", "paused"]) {
      anna.client.sendMessage({ to: bert.jid, type: "chat", chatState });
      await bert.expect("chat:state", chatState, (one) => one.chatState === chatState);
    }
  });

const correction = () =>
  withPeople(["anna", "bert"], async (anna, bert) => {
    const id = unique("tpyo");
    anna.client.sendMessage({ to: bert.jid, type: "chat", body: id, id });
    await bert.expect("chat", id, groupchat(id));
    const body = unique("typo");
    anna.client.sendMessage({ to: bert.jid, type: "chat", body, replace: id });
    const got = await bert.expect("replace", "the correction", groupchat(body));
    ensure(got.replace === id, got);
  });

async function pages(one, jid, query, texts) {
  const found = [];
  let before = "";
  for (;;) {
    const page = await within(one.client.searchHistory(...(jid ? [jid] : []), { ...query, paging: { max: 3, before } }), "a page");
    found.unshift(...page.results);
    if (page.complete || found.length >= texts.length) break;
    ensure(page.paging.first, page);
    before = page.paging.first;
  }
  const last = found.slice(-texts.length);
  ensure(last.map(({ item }) => item.message.body).join() === texts.join(), last.map(({ item }) => item.message.body));
  ensure(last.every(({ item }) => item.delay.timestamp), "one has no time");
  return last;
}

const archives = () =>
  withPeople(["anna", "bert"], async (anna, bert) => {
    const texts = [1, 2, 3, 4, 5, 6, 7].map((at) => unique(`kept ${at}`));
    for (const text of texts) {
      anna.client.sendMessage({ to: bert.jid, type: "chat", body: text });
      await bert.expect("chat", text, groupchat(text));
    }
    for (const [one, other] of [[anna, bert], [bert, anna]]) await pages(one, undefined, { with: other.jid }, texts);
    await within(anna.client.joinRoom(where.lobby, where.nick("anna"), { muc: { type: "join", history: { maxStanzas: 0 } } }), "joining");
    const spoken = [1, 2, 3, 4, 5].map((at) => unique(`spoken ${at}`));
    for (const text of spoken) {
      anna.client.sendMessage({ to: where.lobby, type: "groupchat", body: text });
      await anna.expect("groupchat", text, groupchat(text));
    }
    await pages(anna, where.lobby, {}, spoken);
  });

/** The library reconnects by itself and resumes. */
async function resumption() {
  const link = await Link.open(where.http);
  try {
    await withPeople([["anna", { to: link.address, reconnects: true }], "bert"], async (anna, bert) => {
      const id = anna.client.sm.id;
      await link.does("silence");
      const missed = [1, 2, 3].map((at) => unique(`missed ${at}`));
      for (const text of missed) bert.client.sendMessage({ to: anna.jid, type: "chat", body: text });
      await pause(300);
      await link.does("cut");
      // "stream:management:resumed" is told only after some of what was missed.
      const resumed = ({ name, data }) => name === "sm" && data.type === "resumed";
      const how = await anna.inbox.expect("a new stream", (one) => resumed(one) || one.name === "session:started");
      ensure(resumed(how) && anna.client.sm.id === id, `instead of a resumption came ${how.name}`);
      for (const text of missed) {
        const message = await anna.expect("chat", text, (one) => one.body);
        ensure(message.body === text, message);
      }
      const text = unique("I am back");
      anna.client.sendMessage({ to: bert.jid, type: "chat", body: text });
      await bert.expect("chat", text, groupchat(text));
    });
  } finally {
    link.close();
  }
}

await register("anna", "bert");
await run("stanza", [
  ["login", login],
  ["a wrong password", wrongPassword],
  ["a room, with history", room],
  ["carbons", carbons],
  ["receipts and markers", receipts],
  ["chat states", states],
  ["correction", correction],
  ["archives", archives],
  ["resumption after a cut", resumption],
]);
