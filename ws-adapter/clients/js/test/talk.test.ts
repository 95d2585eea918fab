/** Two people and what they see of each other. */

import { afterAll, beforeAll, expect, test, vi } from "vitest";
import WebSocket from "ws";
import { HallwayError, login, type Hallway, type MessageItem, type WebSocketClass } from "hallway-client";
import { Connection, SIGN_OUT_MS } from "../src/connection.js";
import { Proxy } from "./proxy.js";
import { PASSWORD, Server } from "./server.js";
import { until } from "./until.js";

let server: Server;
let alice: Hallway;
let bob: Hallway;

beforeAll(async () => {
  server = await Server.start();
  [alice, bob] = await Promise.all([server.person("alice"), server.person("bob")]);
});
afterAll(() => server.stop());

const messages = (client: Hallway, conversation: string): MessageItem[] =>
  client
    .conversation(conversation)
    .getSnapshot()
    .items.filter((item): item is MessageItem => item.kind === "message");

test("a message is seen by both, edited, reacted to and deleted", async () => {
  const [hers, his] = [alice.conversation("lobby"), bob.conversation("lobby")];
  await until("both have read the lobby", () => hers.getSnapshot().status === "ready" && his.getSnapshot().status === "ready");
  const { id, placed } = hers.send("good morning");
  expect(messages(alice, "lobby").at(-1)).toMatchObject({ key: id, text: "good morning", own: true });
  const { seq } = await placed;
  await until("bob sees it", () => messages(bob, "lobby").some((item) => item.seq === seq && item.text === "good morning" && !item.own));
  await until(
    "hers has the same key as before",
    () => messages(alice, "lobby").filter((item) => item.key === id && item.state === "sent").length === 1,
  );

  await his.react(seq, "👍");
  await until("alice sees his reaction", () => messages(alice, "lobby").at(-1)?.reactions[0]?.count === 1);
  expect(messages(alice, "lobby").at(-1)?.reactions).toEqual([{ emoji: "👍", count: 1, users: ["bob"], mine: false }]);
  await until("bob knows it as his", () => messages(bob, "lobby").at(-1)?.reactions[0]?.mine);
  await his.react(seq, "👍", false);
  await until("it is taken back", () => messages(alice, "lobby").at(-1)?.reactions.length === 0);

  await hers.edit(seq, "good evening");
  await until("bob sees the edit", () => messages(bob, "lobby").some((item) => item.text === "good evening" && item.edited));
  const reply = await his.send({ text: "and to you", replyTo: seq, mentions: ["alice"] }).placed;
  await until("alice sees the reply", () => messages(alice, "lobby").some((item) => item.replyTo === seq && item.mentions[0] === "alice"));
  expect((await his.message(seq))?.text).toBe("good evening");
  await hers.delete(seq);
  await until("bob sees that it is gone", () =>
    messages(bob, "lobby").some((item) => item.seq === seq && item.deleted && item.text === ""),
  );

  // Who comes later sees the same.
  const carol = await server.person("carol");
  await until("carol has read the lobby", () => carol.conversation("lobby").getSnapshot().status === "ready");
  expect(messages(carol, "lobby").map(({ seq, text, deleted, reactions }) => ({ seq, text, deleted, reactions }))).toEqual([
    { seq, text: "", deleted: true, reactions: [] },
    { seq: reply.seq, text: "and to you", deleted: false, reactions: [] },
  ]);
});

test("what was done to messages on older pages is counted once", async () => {
  const first = await alice.send("help", "first").placed;
  await bob.call("message.react", { conversation: "help", seq: first.seq, emoji: "🎉" });
  await alice.call("message.react", { conversation: "help", seq: first.seq, emoji: "🎉" });
  await alice.call("message.edit", { conversation: "help", seq: first.seq, text: "first, edited" });
  for (let number = 0; number < 130; number += 1) await alice.send("help", `message ${number}`).placed;
  // On the newest page, while the reaction itself is on the older one.
  await bob.call("message.react", { conversation: "help", seq: first.seq, emoji: "🎉", on: false });
  const dave = await server.person("dave");
  const store = dave.conversation("help");
  await until("the newest page is there", () => store.getSnapshot().status === "ready");
  expect(store.getSnapshot().complete).toBe(false);
  await store.loadOlder();
  expect(store.getSnapshot().complete).toBe(true);
  const [oldest] = messages(dave, "help");
  expect(oldest).toMatchObject({ seq: first.seq, text: "first, edited", edited: true });
  expect(oldest?.reactions).toMatchObject([{ emoji: "🎉", count: 1, users: ["alice"] }]);
  const seqs = messages(dave, "help").map(({ seq }) => seq ?? 0);
  expect(seqs).toEqual([...new Set(seqs)].sort((a, b) => a - b));
  expect(seqs).toHaveLength(131);
});

test("the list follows: a direct conversation comes up, unread is counted, and read in another session", async () => {
  const id = await alice.openDirect("bob");
  const hers = alice.conversation(id);
  await until("bob's list has it", () => bob.conversations.get(id));
  await alice.send(id, "psst").placed;
  await alice.send(id, "are you there?").placed;
  const row = await until("bob has two unread", () => (bob.conversations.get(id)?.unread === 2 ? bob.conversations.get(id) : undefined));
  expect(row.last?.text).toBe("are you there?");
  expect(bob.conversations.getSnapshot().rows[0]?.conversation).toBe(id);
  expect(bob.conversations.getSnapshot().unread).toBeGreaterThanOrEqual(2);

  const elsewhere = server.client(await login({ url: server.url, conference: "demo", uid: "bob", password: PASSWORD }));
  elsewhere.connect();
  await elsewhere.whenSynced();
  expect(elsewhere.conversations.get(id)?.unread).toBe(2);
  bob.conversation(id).read();
  expect(bob.conversations.get(id)?.unread).toBe(0);
  await until("his other session finds it read", async () => {
    await elsewhere.refresh();
    return elsewhere.conversations.get(id)?.unread === 0;
  });
  await until("alice sees how far he read", () => (hers.getSnapshot().readers.bob ?? 0) >= (row.last?.seq ?? 0));
  elsewhere.close();
});

test("the first words of a direct conversation are told as events, to who was there and to who comes back", async () => {
  const account = await server.account("fred");
  const before = server.client(account).connect();
  await before.whenSynced();
  const told: string[] = [];
  const listen = (client: Hallway): unknown => client.on("message", ({ text, from }) => from !== "fred" && told.push(text));
  listen(before);
  await alice.send(await alice.openDirect("fred"), "first words").placed;
  await until("he is told", () => told.includes("first words"));
  const { cursor } = before;
  before.close();
  await bob.send(await bob.openDirect("fred"), "said while he was away").placed;
  const after = server.client(account, cursor && { resume: JSON.parse(JSON.stringify(cursor)) });
  listen(after);
  after.connect();
  await until("he is told what he missed", () => told.includes("said while he was away"));
  expect(told).toEqual(["first words", "said while he was away"]);
});

test("typing, presence and members are told", async () => {
  const id = await alice.openDirect("bob");
  const hers = alice.conversation(id);
  bob.conversation(id).typing();
  await until("alice sees bob typing", () => hers.getSnapshot().typing[0]?.user === "bob");
  bob.conversation(id).typing(false);
  await until("he stopped", () => hers.getSnapshot().typing.length === 0);
  await bob.setPresence("dnd", "in a talk");
  await until("alice sees how he is", () => alice.people.get("bob")?.presence.status === "dnd");
  const group = await alice.create({ kind: "group", title: "Dinner", members: ["bob"] });
  await until("bob is asked", () => bob.conversations.get(group));
  const store = alice.conversation(group);
  await store.loadMembers();
  expect(store.getSnapshot().members?.map(({ user }) => user)).toContain("alice");
  expect((await alice.people.search("bo")).people.map(({ user }) => user)).toContain("bob");
});

test("who is removed from a group and asked again sees it end and go on", async () => {
  const group = await alice.create({ kind: "group", title: "Table 7", members: ["bob"] });
  const his = bob.conversation(group);
  await until("bob is asked", () => bob.conversations.get(group));
  await bob.join(group);
  await alice.send(group, "welcome").placed;
  await until("bob reads it", () => messages(bob, group).at(-1)?.text === "welcome");
  await alice.call("conversation.remove", { conversation: group, user: "bob" });
  await until("he is told", () => his.getSnapshot().status === "refused" && !bob.conversations.get(group));
  await alice.send(group, "without bob").placed;
  await alice.call("conversation.invite", { conversation: group, user: "bob" });
  const asked = await until("he is asked again", () =>
    bob.conversations.getSnapshot().invitations.find(({ conversation }) => conversation === group),
  );
  expect(asked).toMatchObject({ from: "alice", reason: "invited" });
  // Another client of his, that was not there, is told as well, until he says that he has seen it.
  const later = server.client(await login({ url: server.url, conference: "demo", uid: "bob", password: PASSWORD })).connect();
  await until("it knows", () => later.conversations.getSnapshot().invitations.some(({ conversation }) => conversation === group));
  later.close();
  await bob.noticesSeen(asked.seq ?? 0);
  const after = server.client(await login({ url: server.url, conference: "demo", uid: "bob", password: PASSWORD })).connect();
  await after.whenSynced();
  expect(after.conversations.getSnapshot().invitations).toEqual([]);
  after.close();
  await bob.join(group);
  await alice.send(group, "welcome back").placed;
  await until("nothing is open", () => !bob.conversations.getSnapshot().invitations.length);
  await until("he reads again", () => messages(bob, group).at(-1)?.text === "welcome back" && his.getSnapshot().status === "ready");
  await bob.leave(group);
  await until("it is gone from his list", () => !bob.conversations.get(group));
});

test("notices that were missed are told after the connection, once", async () => {
  const gus = await server.person("gus");
  const told: string[] = [];
  gus.on("notice", ({ reason, from }) => told.push(`${reason} ${from}`));
  await alice.send("lobby", { text: "@gus", mentions: ["gus"] }).placed;
  await until("he is told", () => told.length === 1);
  gus.pause();
  await bob.send("lobby", { text: "@gus!", mentions: ["gus"] }).placed;
  gus.resume();
  await gus.whenSynced();
  expect(told).toEqual(["mention alice", "mention bob"]);
});

test("a final refusal is shown, and the message can be discarded", async () => {
  const { id, placed } = bob.send("no-such-conversation", "hello?");
  await expect(placed).rejects.toMatchObject({ reason: "unknown_conversation" });
  expect(bob.outgoing("no-such-conversation")).toMatchObject([
    { id, state: "failed", failure: { reason: "unknown_conversation", retriable: true } },
  ]);
  expect(messages(bob, "no-such-conversation")).toMatchObject([{ key: id, state: "failed" }]);
  bob.discard(id);
  expect(messages(bob, "no-such-conversation")).toEqual([]);
  await until("it says why", () => bob.conversation("no-such-conversation").getSnapshot().error?.reason === "unknown_conversation");
});

test("a wrong token signs out with the reason", async () => {
  const nobody = server.client({ token: "wrong", user: "nobody", name: "", conference: "demo", expires_at: "" }).connect();
  await until("it is signed out", () => nobody.state.status === "signedOut");
  expect(nobody.state).toMatchObject({ reason: "bad_token" });
});

test("a session closed from another one is signed out", async () => {
  const erin = await server.person("erin");
  const session = erin.me?.session ?? "";
  await erin.closeSession(session).catch(() => {});
  await until("it is signed out", () => erin.state.status === "signedOut");
  expect(erin.state).toMatchObject({ reason: "session_closed" });
});

test("signing out ends the session at the server, and is no session closed from elsewhere", async () => {
  const account = await server.account("wanda");
  const calls: string[] = [];
  class Watched extends WebSocket {
    override send(data: string): void {
      calls.push(data);
      super.send(data);
    }
  }
  const [here, elsewhere] = [
    server.client(account, { WebSocket: Watched as unknown as WebSocketClass }).connect(),
    server.client(await login({ url: server.url, conference: "demo", uid: "wanda", password: PASSWORD })).connect(),
  ];
  await Promise.all([here.whenSynced(), elsewhere.whenSynced()]);
  const states: unknown[] = [];
  here.on("state", (state) => states.push(state));
  const session = here.me?.session;
  await here.signOut();
  expect(states).toEqual([{ status: "signedOut", reason: "signed_out" }]);
  expect(JSON.parse(calls.at(-1) ?? "")).toMatchObject({ method: "session.close", params: { session, revoke: true } });
  await until("only the other session is left", async () => (await elsewhere.sessions()).every(({ current }) => current));
  expect(elsewhere.state.status).toBe("online");
});

test("signing out waits for a server that does not answer only so long", async () => {
  const proxy = await Proxy.start(server.port);
  const client = server.client(await server.account("xenia"), proxy.through).connect();
  await client.whenSynced();
  proxy.freeze();
  const began = Date.now();
  await client.signOut();
  expect(Date.now() - began).toBeLessThan(SIGN_OUT_MS + 5_000);
  expect(client.state).toEqual({ status: "signedOut", reason: "signed_out" });
  proxy.stop();
});

test("a server that does not know how to revoke closes the session all the same", async () => {
  const yves = await server.person("yves");
  const other = server.client(await login({ url: server.url, conference: "demo", uid: "yves", password: PASSWORD })).connect();
  await other.whenSynced();
  const refusing = vi.spyOn(Connection.prototype, "call");
  refusing.mockImplementationOnce(async () => Promise.reject(new HallwayError("invalid_params", "unknown field", -32602)));
  await yves.closeSession(other.me?.session ?? "", { revoke: true });
  await until("the other one is signed out", () => other.state.status === "signedOut");
  expect(refusing.mock.calls.map(([method, params]) => [method, Object.keys(params)])).toContainEqual(["session.close", ["session"]]);
  refusing.mockRestore();
});
