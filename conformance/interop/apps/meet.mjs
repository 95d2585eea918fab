#!/usr/bin/env node
// Two people hold their badges to a reader: their chat opens in the web app of one, and in an MQTT client and a Jabber client of the other.
//
//     meet.mjs HTTP MQTT XMPP PREFIX
//
// HTTP, MQTT and XMPP are HOST:PORT, NODE_EXTRA_CA_CERTS the server's certificate. There must be the attendees <PREFIX>-alice, -bob and -carol and
// the device <PREFIX>-gate, set to introduce people; passwords are <uid>-secret-1, and BADGES has the badges and cards of the attendees as JSON.
// Libraries are looked for in the directory INTEROP_NODE_MODULES, playwright-core in CONFORMANCE_NODE_MODULES; CHROMIUM is a browser. One line per
// check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { Browser, chatRow, logIn, open, say, sees } from "../../browser/kit.mjs";
import { Person } from "../xmpp/person.mjs";
import { Inbox, direct, ensure, load, require, run, unique, where, within } from "./peers.mjs";

const mqtt = require("mqtt");
const { xml } = await load("@xmpp/client");

const people = JSON.parse(process.env.BADGES);
const secret = (user) => `${where.uid(user)}-secret-1`;
const chat = direct("alice", "bob");
const topic = `conf/demo/chat/${chat}`;

/** MQTT.js with a session that outlives its connection. */
class Session {
  inbox = new Inbox();

  static async open(user, ...filters) {
    const one = new Session();
    const options = { protocolVersion: 5, clientId: `${where.uid(user)}-meets`, clean: false, properties: { sessionExpiryInterval: 3600 }, reconnectPeriod: 0 };
    one.client = mqtt.connect(`mqtt://${where.mqtt}`, { ...options, username: where.uid(user), password: secret(user) });
    one.client.on("message", (at, payload) => one.inbox.put({ topic: at, ...JSON.parse(payload.toString()) }));
    const connack = await within(new Promise((resolve, reject) => one.client.once("connect", resolve).once("error", reject)), "CONNACK");
    one.client.on("error", () => {});
    if (!connack.sessionPresent) {
      const granted = await within(one.client.subscribeAsync(filters, { qos: 1 }), "SUBACK");
      ensure(granted.every(({ qos }) => qos === 1), granted);
    }
    return one;
  }

  publish(at, payload) {
    return within(this.client.publishAsync(at, payload, { qos: 1 }), "PUBACK");
  }

  end() {
    return within(this.client.endAsync(true), "the end").catch(() => {});
  }
}

const gate = await Session.open("gate", `conf/demo/badge/${where.uid("gate")}/result`);
const bobsFilters = ["conf/demo/chat/+", `conf/demo/user/${where.uid("bob")}/inbox`];
let bob = await Session.open("bob", ...bobsFilters);
const jabber = await Person.online("STARTTLS", "bob", { resource: "phone", password: secret("bob") });
await within(jabber.xmpp.iqCaller.request(xml("iq", { type: "set" }, xml("enable", "urn:xmpp:carbons:2"))), "carbons");
const browser = new Browser({ url: `http://${where.http}` });
await browser.start();
const page = await browser.person("alice");
await logIn(page, `http://${where.http}`, where.uid("alice"));

/** Two badges at the reader, one after the other. */
async function meet(one, other) {
  for (const user of [one, other]) {
    await gate.publish(`conf/demo/badge/${where.uid("gate")}/scan`, people[user].badge);
    const told = await gate.inbox.expect(`what comes of ${user}'s badge`, (item) => item.badge === people[user].badge);
    ensure(told.accepted === true && told.reason === "ok" && told.user === where.uid(user) && told.mode === "meet", told);
  }
}

/** What is said in a chat over XMPP, by whoever, directly or as a carbon of what the other devices said or got. */
const body = (stanza) => {
  const copy = ["sent", "received"].map((way) => stanza.getChild(way, "urn:xmpp:carbons:2")).find(Boolean);
  const message = copy?.getChild("forwarded", "urn:xmpp:forward:0")?.getChild("message") ?? stanza;
  return message.is("message") && message.attrs.type !== "error" ? { from: message.attrs.from?.split("@")[0], text: message.getChildText("body") } : {};
};
const hears = (user, text) =>
  jabber.inbox.expect(`${user}'s "${text}" over XMPP`, (stanza) => {
    const said = body(stanza);
    return said.from === where.uid(user) && said.text === text;
  });

/** The same lines, however a page breaks them. */
const flat = (text) => text.replaceAll(/\s+/g, " ").trim();

const introduced = async () => {
  await meet("alice", "bob");
};

const inTheApp = async () => {
  await chatRow(page, people.bob.name).first().waitFor();
  await open(page, people.bob.name);
  await page.locator(".row .text").nth(1).waitFor();
  const shown = (await page.locator(".row .text").allTextContents()).map(flat);
  for (const user of ["alice", "bob"]) {
    ensure(shown.filter((text) => text === flat(people[user].card)).length === 1, `${user}'s card is not there once: ${JSON.stringify(shown)}`);
  }
};

const overMqtt = async () => {
  const isCard = (item) => item.topic === topic && item.kind === "message";
  const isNotice = (item) => item.topic.endsWith("/inbox") && item.user === where.uid("alice") && item.state === "met";
  const came = await bob.inbox.collect(3, (item) => isCard(item) || isNotice(item));
  const cards = Object.fromEntries(came.filter(isCard).map(({ from, text, via }) => [from, { text, via }]));
  ensure(came.length === 3 && came.filter(isNotice).length === 1, came);
  for (const user of ["alice", "bob"]) {
    const card = cards[where.uid(user)];
    ensure(card?.text === people[user].card && card.via === "badge", came);
  }
};

const inJabber = async () => {
  // In the chat's order: who held the badge there first.
  for (const user of ["alice", "bob"]) await hears(user, people[user].card);
};

const talk = async () => {
  const [typed, answered, texted] = [unique("from the app"), unique("over MQTT"), unique("from Jabber")];
  await say(page, typed);
  await bob.inbox.expect(typed, (item) => item.topic === topic && item.text === typed);
  await hears("alice", typed);
  await bob.publish(topic, JSON.stringify({ id: answered, text: answered }));
  await sees(page, answered);
  await jabber.say(`${where.uid("alice")}@${where.domain}`, texted);
  await sees(page, texted);
};

const away = async () => {
  await bob.end();
  await meet("carol", "bob");
  bob = await Session.open("bob", ...bobsFilters);
  const at = `conf/demo/chat/${direct("carol", "bob")}`;
  const cards = await bob.inbox.collect(2, (item) => item.topic === at && item.kind === "message");
  ensure(cards.length === 2 && cards.some(({ text }) => text === people.carol.card), cards);
};

const complaints = async () => ensure(browser.errors.size === 0, [...browser.errors].join("; "));

const end = async () => {
  await browser.close();
  await jabber.end();
  await bob.end();
  await gate.end();
};

await run(
  "two badges at one reader",
  [
    ["both are told that it is well", introduced],
    ["the web app has the chat, and both cards in it", inTheApp],
    ["an MQTT client has both cards, and is told in the inbox", overMqtt],
    ["a Jabber client has both cards", inJabber],
    ["they talk, each where they are", talk],
    ["who was away finds it when they come back", away],
    ["the web app did not complain", complaints],
  ],
  end,
);
