#!/usr/bin/env node
// An XMPP server as @xmpp/client 0.14 (xmpp.js) sees it: over TCP with STARTTLS, direct TLS and WebSocket.
//
//     xmppjs.mjs HTTP XMPP XMPPS CA DOMAIN PREFIX
//
// The arguments are those of with_slixmpp.py. Its libraries are looked for in the directory INTEROP_NODE_MODULES, or beside this file.
// One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { CARRIERS, Person, withPeople } from "./person.mjs";
import { Link, ensure, load, register, run, trustCertificate, unique, where, within } from "./people.mjs";

trustCertificate();
const { xml } = await load("@xmpp/client");

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
