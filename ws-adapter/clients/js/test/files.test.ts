/** Attachments and search. */

import { afterAll, beforeAll, expect, test } from "vitest";
import type { Hallway, MessageItem } from "hallway-client";
import { Server } from "./server.js";
import { until } from "./until.js";

let server: Server;
let alice: Hallway;
let bob: Hallway;
beforeAll(async () => {
  server = await Server.start();
  [alice, bob] = await Promise.all([server.person("alice"), server.person("bob")]);
});
afterAll(() => server.stop());

/** A red pixel. */
const PNG = Uint8Array.from(
  Buffer.from("iVBORw0KGgoAAAANSUhEUgAAAAEAAAABCAYAAAAfFcSJAAAADUlEQVR42mP8z8DwHwAFBQIAX8jx0gAAAABJRU5ErkJggg==", "base64"),
);

test("an image is uploaded, sent, and seen by the other one as what it is", async () => {
  let part = 0;
  const uploaded = await alice.upload(new File([PNG], "red pixel.png", { type: "image/png" }), { onProgress: (now) => (part = now) });
  expect(uploaded).toMatchObject({ type: "image/png", width: 1, height: 1 });
  expect(part).toBe(1);
  const { seq } = await alice.send("lobby", { text: "look", attachments: [uploaded.url] }).placed;
  const lobby = bob.conversation("lobby");
  const found = (): MessageItem | undefined =>
    lobby.getSnapshot().items.find((item): item is MessageItem => item.kind === "message" && item.seq === seq);
  const message = await until("bob sees it", found);
  expect(message.attachments).toMatchObject([{ type: "image/png", width: 1, height: 1, bytes: uploaded.bytes, name: uploaded.name }]);
  const answer = await fetch(message.attachments[0]?.href ?? "");
  expect(answer.headers.get("Content-Type")).toBe("image/png");
  expect((await answer.arrayBuffer()).byteLength).toBe(uploaded.bytes);
  await alice.conversation("lobby").delete(seq);
  await until("it goes with its message", () => found()?.attachments.length === 0);
});

test("what is refused is refused with the reason", async () => {
  await expect(alice.upload(new Uint8Array(0), { name: "empty" })).rejects.toMatchObject({ name: "HallwayError" });
  const { placed } = alice.send("lobby", { text: "look", attachments: ["https://elsewhere.example/x.png"] });
  await expect(placed).rejects.toMatchObject({ reason: "unknown_file" });
  await expect(alice.upload(new Uint8Array(11 * 1024 * 1024), { name: "big" })).rejects.toMatchObject({ reason: "too_large", code: 1013 });
  const stop = new AbortController();
  stop.abort(new Error("changed my mind"));
  await expect(alice.upload(PNG, { signal: stop.signal })).rejects.toThrow("changed my mind");
});

test("one's own history is searched", async () => {
  const { seq } = await alice.send("help", "Where is the Keynote hall?").placed;
  await bob.send("help", "no idea").placed;
  const { messages } = await bob.search("keynote", { conversation: "help" });
  expect(messages.map((message) => message.seq)).toEqual([seq]);
  expect((await bob.search("nowhere-to-be-found")).messages).toEqual([]);
});
