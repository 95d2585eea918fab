/** The same client where WebSockets do not come through: a stream of events, and POST. */

import { afterAll, beforeAll, expect, test } from "vitest";
import type { WebSocketClass } from "hallway-client";
import { Server } from "./server.js";
import { until } from "./until.js";

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

/** What a proxy that knows no WebSockets makes of one. */
class Refused {
  static tries = 0;
  onopen = null;
  onmessage = null;
  onerror = null;
  onclose: ((event: never) => void) | null = null;
  constructor() {
    Refused.tries += 1;
    setTimeout(() => this.onclose?.({ code: 1006 } as never));
  }
  send(): void {}
  close(): void {}
}

test("after some WebSockets that did not open it goes on by events and POST", async () => {
  const client = server
    .client(await server.account("ann"), { WebSocket: Refused as unknown as WebSocketClass, backoffScale: 0.01 })
    .connect();
  await client.whenSynced();
  expect(Refused.tries).toBeGreaterThanOrEqual(3);
  expect(client.me).toMatchObject({ user: "ann", conference: "demo" });
  const other = await server.person("ben");
  const lobby = client.conversation("lobby");
  await until("it is read", () => lobby.getSnapshot().status === "ready");
  await client.send("lobby", "by POST").placed;
  await until("ben has it", () => other.conversations.get("lobby")?.last?.text === "by POST");
  const { seq } = await other.send("lobby", "by WebSocket").placed;
  await until("it came by the stream", () => lobby.getSnapshot().items.some((item) => item.seq === seq));
  lobby.typing();
  await until("ben sees typing", () => other.conversation("lobby").getSnapshot().typing[0]?.user === "ann");
  other.conversation("lobby").typing();
  await until("it sees ben typing", () => lobby.getSnapshot().typing[0]?.user === "ben");
  await client.setPresence("away");
  expect((await other.people.fetch("ann")).presence.status).toBe("away");
  const direct = await other.openDirect("ann");
  await other.send(direct, "only for you").placed;
  await until(
    "a new conversation is there",
    () => client.conversations.get(direct)?.last?.text === "only for you" && client.conversations.get(direct)?.unread === 1,
  );
});

test("what happened between two streams is told once and in order, also when live events come first", async () => {
  const reader = server.client(await server.account("cid"), { transport: "sse" }).connect();
  await reader.whenSynced();
  const writer = await server.person("dot");
  const seen: string[] = [];
  reader.on("message", ({ from, text }) => from === "dot" && seen.push(text));
  const said: string[] = [];
  const say = (): unknown => writer.send("help", `s${said.push(`s${said.length}`) - 1}`);
  for (let round = 0; round < 10; round += 1) {
    for (let number = 0; number < 20; number += 1) say();
    reader.pause();
    for (let number = 0; number < 20; number += 1) say();
    await until("some are sent meanwhile", () => writer.outgoing().length < 10);
    reader.resume();
    for (let number = 0; number < 20; number += 1) say();
  }
  await until("all are told", () => seen.length >= said.length);
  expect(seen).toEqual(said);
});

test("a session that another one closes is signed out, and a wrong token, too", async () => {
  const client = server.client(await server.account("eve"), { transport: "sse" }).connect();
  await client.whenSynced();
  client.closeSession(client.me?.session ?? "").catch(() => {});
  await until("it is signed out", () => client.state.status === "signedOut");
  expect(client.state).toMatchObject({ reason: "session_closed" });
  const nobody = server.client({ token: "wrong", user: "x", name: "", conference: "demo", expires_at: "" }, { transport: "sse" }).connect();
  await until("it is signed out", () => nobody.state.status === "signedOut");
});

test("a server that drains says when to come back", async () => {
  const client = server.client(await server.account("fay"), { transport: "sse" }).connect();
  await client.whenSynced();
  let [asked, waits] = [0, 0];
  client.on("notice", ({ reason, retry_after_ms: ms }) => reason === "draining" && (asked = ms ?? 0));
  client.on("state", (state) => state.status === "waiting" && (waits ||= state.retryAt - Date.now()));
  await server.kill("SIGTERM");
  await until("it waits", () => waits);
  expect(asked).toBeGreaterThan(0);
  expect(waits).toBeGreaterThanOrEqual(asked - 100);
  await server.run();
  await until("it is back", () => client.state.status === "online");
});
