/** Networks that break, servers that are killed, pages that are reloaded: everything said is stored once, and told once and in order. */

import { rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { memoryStorage, type ChatEvent, type ClientOptions, type Hallway, type Placed } from "hallway-client";
import { Connection } from "../src/connection.js";
import { Proxy } from "./proxy.js";
import { Server } from "./server.js";
import { random, seed, until } from "./until.js";

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

const CUTS = 100;
const MESSAGES = 1_000;

/** All messages of a conversation as the server has them. */
async function stored(client: Hallway, conversation: string): Promise<string[]> {
  const texts: string[] = [];
  for (let after = 0, complete = false; !complete;) {
    const page = await client.call("conversation.history", { conversation, after, limit: 500 });
    for (const event of page.events) if (event.kind === "message") texts.push(event.text);
    after = page.events.at(-1)?.seq ?? after;
    complete = page.complete;
  }
  return texts;
}

test("said offline, reloaded, online: stored once and in order", async () => {
  const account = await server.account("olga");
  const kept = new Map<string, string>();
  const before = server.client(account, { storage: memoryStorage(kept), url: server.url });
  const said = ["one", "two", "three"];
  for (const text of said) before.conversation("lobby").send(text);
  expect(before.conversation("lobby").getSnapshot().items).toMatchObject(said.map((text) => ({ text, state: "queued", own: true })));
  await until("they are kept", () => [...kept.keys()].filter((key) => key.includes("|olga|")).length === said.length);
  before.close();

  const after = server.client(account, { storage: memoryStorage(kept), url: server.url });
  await until("they are there before there is a connection", () => after.conversation("lobby").getSnapshot().items.length === said.length);
  after.connect();
  await until("nothing waits", () => after.state.status === "online" && after.outgoing().length === 0);
  expect(await stored(after, "lobby")).toEqual(said);
  await until("they are shown once", () => after.conversation("lobby").getSnapshot().status === "ready");
  expect(after.conversation("lobby").getSnapshot().items).toMatchObject([
    { kind: "member" },
    ...said.map((text) => ({ text, state: "sent" })),
  ]);
  await until("nothing is kept any more", () => ![...kept.keys()].some((key) => key.includes("|olga|")));
  // A reload in the middle of sending: the same ids go out again.
  const third = server.client(account, { storage: memoryStorage(kept) }).connect();
  await third.whenSynced();
  expect(await stored(third, "lobby")).toEqual(said);
});

test("a reload between sending and the answer: the same id, stored once", async () => {
  const account = await server.account("rita");
  const kept = new Map<string, string>();
  const before = server.client(account, { storage: memoryStorage(kept), url: server.url });
  before.connect();
  await before.whenSynced();
  const copies: Map<string, string>[] = [];
  before.on("outgoing", ({ state }) => state === "sending" && copies.push(new Map(kept)));
  await before.send("help", "only once").placed;
  before.close();
  expect(copies).toHaveLength(1);
  const again = server.client(account, { storage: memoryStorage(copies[0] as Map<string, string>) }).connect();
  await until("it was sent again", () => again.state.status === "online" && again.outgoing().length === 0);
  expect((await stored(again, "help")).filter((text) => text === "only once")).toHaveLength(1);
});

test("another user of the same browser does not send what the last one said", async () => {
  const kept = memoryStorage();
  const [mine, theirs] = [await server.account("una"), await server.account("ulf")];
  server.client(mine, { storage: kept }).send("lobby", "mine alone");
  const other = server.client(theirs, { storage: kept }).connect();
  await other.whenSynced();
  expect(other.outgoing()).toEqual([]);
  expect(await stored(other, "lobby")).not.toContain("mine alone");
});

test.each(["websocket", "sse"] as const)(
  "100 disconnects at random while 1,000 messages are sent: all once and in order at somebody else (%s)",
  async (transport) => {
    const chance = random(seed());
    const proxy = await Proxy.start(server.port);
    const sender = server.client(await server.account(`sam-${transport}`), { ...proxy.through, transport, backoffScale: 0.02 });
    const reader = server.client(await server.account(`rae-${transport}`), { ...proxy.through, transport, backoffScale: 0.02 });
    const seen: ChatEvent[] = [];
    reader.on("message", (event) => event.conversation === "lobby" && seen.push(event));
    for (const client of [sender, reader]) client.connect();
    await Promise.all([sender.whenSynced(), reader.whenSynced()]);
    reader.conversation("lobby");

    let cuts = 0;
    const said: string[] = [];
    const placed: Promise<Placed>[] = [];
    const cutting = (async () => {
      while (cuts < CUTS) {
        await new Promise((resolve) => setTimeout(resolve, chance() * 80));
        if (sender.state.status === "online" || reader.state.status === "online") cuts += proxy.cut() ? 1 : 0;
      }
    })();
    while (said.length < MESSAGES) {
      // As many as fit the cuts so far, so that there is something on its way at each.
      const due = Math.min(MESSAGES, ((cuts + 1) * MESSAGES) / CUTS);
      while (said.length < due) {
        said.push(`${transport} ${said.length}`);
        placed.push(sender.send("lobby", said.at(-1) as string).placed);
      }
      await new Promise((resolve) => setTimeout(resolve, 2));
    }
    const places = await Promise.all(placed);
    await cutting;
    expect(cuts).toBe(CUTS);
    const theirs = (): ChatEvent[] => seen.filter(({ from }) => from === `sam-${transport}`);
    await until("the reader has all", () => theirs().length >= said.length, 30_000);
    expect(theirs().map((event) => event.kind === "message" && event.text)).toEqual(said);
    expect(theirs().map(({ seq }) => seq)).toEqual(places.map(({ seq }) => seq));
    const shown = reader.conversation("lobby").getSnapshot().items;
    expect(
      shown.filter(({ from, kind }) => from === `sam-${transport}` && kind === "message").map((item) => "text" in item && item.text),
    ).toEqual(said);
    const own = sender.conversation("lobby");
    await until("the sender has read it", () => own.getSnapshot().status === "ready");
    await reader.whenSynced();
    expect((await stored(reader, "lobby")).filter((text) => text.startsWith(`${transport} `))).toEqual(said);
    expect(shown.map(({ seq }) => seq)).toEqual([...new Set(shown.map(({ seq }) => seq))].sort((a = 0, b = 0) => a - b));
    proxy.stop();
  },
  120_000,
);

test("kill -9 of the server in mid-send, several times: nothing lost, nothing doubled", async () => {
  const chance = random(seed());
  const sender = await server.person("kim", { backoffScale: 0.02 });
  const reader = await server.person("lea", { backoffScale: 0.02 });
  const seen: ChatEvent[] = [];
  reader.on("message", (event) => event.conversation === "help" && event.from === "kim" && seen.push(event));
  const said: string[] = [];
  for (let round = 0; round < 3; round += 1) {
    const most = said.length + 150;
    while (said.length < most) {
      said.push(`through a kill ${said.length}`);
      sender.send("help", said.at(-1) as string);
    }
    await new Promise((resolve) => setTimeout(resolve, 10 + chance() * 40));
    const waiting = sender.outgoing().length;
    await server.kill();
    await until("the sender knows", () => sender.state.status === "waiting" || sender.state.status === "connecting");
    expect(waiting).toBeGreaterThan(0);
    await server.run();
  }
  await until("nothing waits", () => sender.outgoing().length === 0, 30_000);
  await until("the reader has all", () => seen.length >= said.length, 30_000);
  expect(seen.map((event) => event.kind === "message" && event.text)).toEqual(said);
  expect((await stored(reader, "help")).filter((text) => text.startsWith("through a kill"))).toEqual(said);
}, 90_000);

test("a server that drains is left alone for as long as it asked", async () => {
  const client = await server.person("dan");
  let asked = 0;
  let waits = 0;
  client.on("notice", ({ reason, retry_after_ms: ms }) => reason === "draining" && (asked = ms ?? 0));
  client.on("state", (state) => state.status === "waiting" && (waits ||= state.retryAt - Date.now()));
  await server.kill("SIGTERM");
  await until("it waits", () => waits);
  expect(asked).toBeGreaterThan(0);
  expect(waits).toBeGreaterThanOrEqual(asked - 100);
  await server.run();
  await until("it is back", () => client.state.status === "online");
});

test("a link that went silent is noticed and replaced", async () => {
  const proxy = await Proxy.start(server.port);
  const { token } = await server.account("zoe");
  const { WebSocket, fetch } = proxy.through as Required<ClientOptions>;
  const link = new Connection({
    url: server.url,
    getToken: async () => token,
    conference: undefined,
    device: undefined,
    WebSocket,
    fetch,
    transport: "websocket",
    backoffScale: 0.05,
  });
  const states: string[] = [];
  link.on("state", ({ status }) => states.push(status));
  link.connect();
  await until("it is online", () => link.online);
  proxy.freeze();
  // What the heartbeat does, and the browser's "online" and "visible".
  link.probe(300);
  await until("it is online again", () => states.includes("waiting") && link.online);
  expect((await link.call("session.list", {})).sessions.some(({ current }) => current)).toBe(true);
  link.stop({ status: "idle" });
  proxy.stop();
});

test("a reader that was away for long is told all of it, in order, and a sender over the rate loses nothing", async () => {
  const [sender, reader] = [await server.person("ned"), await server.person("ola")];
  const id = await sender.openDirect("ola");
  await until("she has it in her list", () => reader.conversations.get(id));
  const seen: string[] = [];
  reader.on("message", (event) => event.conversation === id && seen.push(event.text));
  reader.conversation(id);
  reader.pause();
  const said: string[] = [];
  while (said.length < 1_150) {
    if (sender.outgoing().length > 500) await new Promise((resolve) => setTimeout(resolve, 10));
    else sender.send(id, `long ${said.push(`long ${said.length}`) - 1}`);
  }
  await until("all are sent", () => sender.outgoing().length === 0, 30_000);
  reader.resume();
  await until("she has read all", () => seen.length >= said.length);
  expect(seen).toEqual(said);
  expect(reader.conversations.get(id)?.unread).toBe(said.length);
}, 60_000);

test("a restored server is another epoch: what is seen is what it has, and what is said from then on arrives", async () => {
  const [client, other] = [await server.person("pia"), await server.person("quin")];
  const id = await client.openDirect("quin");
  const store = client.conversation(id);
  await store.send("before the backup").placed;
  const file = join(tmpdir(), `hallway-client-${process.pid}.backup`);
  server.command("backup", file);
  for (const text of ["after it", "and lost"]) await store.send(text).placed;
  const texts = (): string[] => store.getSnapshot().items.flatMap((item) => (item.kind === "message" ? [item.text] : []));
  await until("all are shown", () => texts().length === 3);
  let resynced = 0;
  client.on("resync", () => (resynced += 1));
  await server.kill("SIGTERM");
  server.command("restore", file);
  rmSync(file);
  await server.run();
  await until("it is read anew", () => client.state.status === "online" && resynced === 1 && texts().length === 1);
  await store.send("from now on").placed;
  await until("both have it", () => texts().length === 2 && other.conversations.get(id)?.last?.text === "from now on");
  expect(texts()).toEqual(["before the backup", "from now on"]);
});

test("a refused token is asked for again, once", async () => {
  const account = await server.account("rob");
  const asked: boolean[] = [];
  const getToken = async ({ refresh }: { refresh: boolean }): Promise<string> => {
    asked.push(refresh);
    return refresh ? account.token : "run out";
  };
  const client = server.client(account, { getToken }).connect();
  await client.whenSynced();
  expect(client.me?.user).toBe("rob");
  expect(asked).toEqual([false, true]);
});
