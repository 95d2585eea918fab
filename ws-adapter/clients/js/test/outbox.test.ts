/** The outbox and the waits, without a server and without waiting. */

import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { backoff, HallwayError, memoryStorage, type HallwayStorage, type Outgoing, type Placed } from "hallway-client";
import { FIRST_MS, LONGEST_MS } from "../src/backoff.js";
import { MAX_AGE_MS, MAX_MESSAGES, Outbox } from "../src/outbox.js";
import { random, seed } from "./until.js";

beforeEach(() => void vi.useFakeTimers());
afterEach(() => void vi.useRealTimers());

type Params = { conversation: string; id: string; text: string };

/** A server that answers as it is told, and an outbox that sends to it. */
function setUp(storage: HallwayStorage = memoryStorage()) {
  const sent: Params[] = [];
  const answers: (HallwayError | "ok")[] = [];
  const warnings: unknown[] = [];
  let seq = 0;
  const send = async (params: Params): Promise<Placed> => {
    sent.push(params);
    const answer = answers.shift() ?? "ok";
    if (answer !== "ok") throw answer;
    return { conversation: params.conversation, seq: (seq += 1), ts: "2026-01-01T00:00:00.000Z", id: `e${seq}` };
  };
  const outbox = new Outbox(storage, send, (warning) => warnings.push(warning));
  const changes: Outgoing[] = [];
  outbox.on("change", ({ message }) => changes.push(message));
  return { outbox, sent, answers, changes, warnings, texts: () => sent.map(({ text }) => text) };
}

const settle = (ms = 0): Promise<unknown> => vi.advanceTimersByTimeAsync(ms);
const refused = (code: number, reason: string, retry_after_ms?: number): HallwayError =>
  new HallwayError(reason, reason, code, retry_after_ms === undefined ? {} : { retry_after_ms });

test("waits double up to a bound, are jittered over all of it, and never undercut what was asked for", () => {
  const chance = random(seed());
  for (let attempt = 0; attempt < 40; attempt += 1) {
    const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** attempt);
    expect(backoff(attempt, 0, () => 0)).toBe(0);
    expect(backoff(attempt, 0, () => 1)).toBe(most);
    const [wait, asked] = [backoff(attempt, 0, chance), backoff(attempt, 7_000, chance)];
    expect(wait).toBeLessThanOrEqual(most);
    expect(asked).toBeGreaterThanOrEqual(7_000);
    expect(asked).toBeLessThanOrEqual(7_000 + most);
  }
});

test("sends in order, each conversation by itself, one at a time", async () => {
  const { outbox, sent, changes } = setUp();
  await outbox.identify("me|");
  for (const text of ["a1", "a2", "a3"]) outbox.add("a", { text });
  outbox.add("b", { text: "b1" });
  await settle();
  expect(sent).toEqual([]);
  outbox.start();
  await settle();
  expect(sent.filter(({ conversation }) => conversation === "a").map(({ text }) => text)).toEqual(["a1", "a2", "a3"]);
  expect(sent).toHaveLength(4);
  expect(outbox.list()).toEqual([]);
  expect(changes.filter(({ text }) => text === "a1").map(({ state }) => state)).toEqual(["queued", "sending", "sent"]);
});

test("what broke on the way goes out again under the same id, before what came after it", async () => {
  const { outbox, sent, answers, texts } = setUp();
  await outbox.identify("me|");
  outbox.start();
  answers.push(new HallwayError("disconnected"));
  const { id, placed } = outbox.add("a", { text: "first" });
  outbox.add("a", { text: "second" });
  await settle(60_000);
  expect(texts()).toEqual(["first"]);
  outbox.start();
  await settle();
  expect(texts()).toEqual(["first", "first", "second"]);
  expect(new Set(sent.slice(0, 2).map((params) => params.id))).toEqual(new Set([id]));
  expect((await placed).seq).toBe(1);
});

test("over the rate it waits for as long as it is told, and keeps the order", async () => {
  const { outbox, answers, texts } = setUp();
  await outbox.identify("me|");
  outbox.start();
  answers.push(refused(1029, "message_rate", 5_000));
  outbox.add("a", { text: "first" });
  outbox.add("a", { text: "second" });
  await settle(4_900);
  expect(texts()).toEqual(["first"]);
  await settle(5_000);
  expect(texts()).toEqual(["first", "first", "second"]);
});

test("a final refusal fails the message and lets the next ones go; retry uses the same id, discard forgets it", async () => {
  const storage = memoryStorage();
  const { outbox, sent, answers } = setUp(storage);
  await outbox.identify("me|");
  outbox.start();
  answers.push(refused(1003, "not_a_member"), refused(1013, "text_too_large"));
  const [one, two] = [outbox.add("a", { text: "first" }), outbox.add("a", { text: "second" })];
  outbox.add("a", { text: "third" });
  await settle();
  await expect(one.placed).rejects.toMatchObject({ reason: "not_a_member" });
  expect(outbox.list()).toMatchObject([
    { id: one.id, state: "failed", failure: { reason: "not_a_member", retriable: true } },
    { id: two.id, state: "failed", failure: { reason: "text_too_large", retriable: false } },
  ]);
  expect(sent).toHaveLength(3);
  outbox.retry(one.id);
  await settle();
  expect(sent.at(-1)).toMatchObject({ id: one.id, text: "first" });
  outbox.discard(two.id);
  await settle();
  expect(outbox.list()).toEqual([]);
  expect(await storage.keys("")).toEqual([]);
});

test("a reload finds what waited, in order, and failures as failures", async () => {
  const storage = memoryStorage();
  const before = setUp(storage);
  await before.outbox.identify("me|");
  before.answers.push(refused(1003, "banned"));
  before.outbox.add("b", { text: "refused", mentions: ["x"] });
  before.outbox.start();
  await settle();
  before.outbox.stop();
  for (let number = 0; number < 12; number += 1) before.outbox.add("a", { text: `waits ${number}`, replyTo: number + 1 });
  await settle();

  const after = setUp(storage);
  await after.outbox.identify("me|");
  expect(after.outbox.list("a").map(({ text }) => text)).toEqual(Array.from({ length: 12 }, (_, number) => `waits ${number}`));
  expect(after.outbox.list("a").map(({ id }) => id)).toEqual(before.outbox.list("a").map(({ id }) => id));
  expect(after.outbox.list("b")).toMatchObject([{ text: "refused", state: "failed", mentions: ["x"], failure: { reason: "banned" } }]);
  after.outbox.start();
  await settle();
  expect(after.sent[0]).toMatchObject({ text: "waits 0", reply_to: 1 });
  expect(after.texts()).toHaveLength(12);
  expect(await storage.keys("")).toHaveLength(1);
});

test("what is said while older messages are still being read from a slow storage goes out after them", async () => {
  const storage = memoryStorage();
  const before = setUp(storage);
  await before.outbox.identify("me|");
  for (let number = 0; number < 3; number += 1) before.outbox.add("a", { text: `older ${number}` });
  await settle();

  const slow: HallwayStorage = {
    ...storage,
    get: async (key) => {
      await new Promise((resolve) => setTimeout(resolve, 100));
      return storage.get(key);
    },
  };
  const { outbox, texts } = setUp(slow);
  const loaded = outbox.identify("me|");
  outbox.start();
  await settle(150);
  outbox.add("a", { text: "newer" });
  await settle(50);
  expect(texts()).toEqual([]);
  await settle(1_000);
  await loaded;
  expect(texts()).toEqual(["older 0", "older 1", "older 2", "newer"]);
});

test("what is too old to be known to the server by its id waits for somebody to decide", async () => {
  const storage = memoryStorage();
  const before = setUp(storage);
  await before.outbox.identify("me|");
  const { id } = before.outbox.add("a", { text: "last week" });
  await settle(MAX_AGE_MS + 1_000);
  const after = setUp(storage);
  await after.outbox.identify("me|");
  after.outbox.start();
  await settle();
  expect(after.outbox.list()).toMatchObject([{ state: "failed", failure: { reason: "too_old", retriable: true } }]);
  expect(after.sent).toEqual([]);
  after.outbox.retry(id);
  await settle();
  expect(after.texts()).toEqual(["last week"]);
  await settle();
  expect(await storage.keys("")).toEqual([]);
});

test("a storage that fails does not keep a message from being sent", async () => {
  const broken: HallwayStorage = { ...memoryStorage(), set: async () => Promise.reject(new Error("full")) };
  const { outbox, texts, warnings } = setUp(broken);
  await outbox.identify("me|");
  outbox.start();
  outbox.add("a", { text: "anyway" });
  await settle();
  expect(texts()).toEqual(["anyway"]);
  expect(warnings).toHaveLength(1);
});

test("kept before sent: nothing goes out that a reload would not know", async () => {
  let keep = (): void => {};
  const slow: HallwayStorage = { ...memoryStorage(), set: () => new Promise<void>((resolve) => (keep = resolve)) };
  const { outbox, sent } = setUp(slow);
  await outbox.identify("me|");
  outbox.start();
  outbox.add("a", { text: "kept first" });
  await settle(10_000);
  expect(sent).toEqual([]);
  keep();
  await settle();
  expect(sent).toHaveLength(1);
});

test("what one user said is not sent as another, and is there when the first one is back", async () => {
  const { outbox, texts } = setUp();
  const said = outbox.add("a", { text: "said before anybody was known" });
  await outbox.identify("one|");
  outbox.add("a", { text: "said by one" });
  await settle();
  await outbox.identify("two|");
  outbox.start();
  await settle();
  expect(texts()).toEqual([]);
  expect(outbox.list()).toEqual([]);
  await expect(said.placed).rejects.toMatchObject({ reason: "signed_out" });
  await outbox.identify("one|");
  await settle();
  expect(texts()).toEqual(["said before anybody was known", "said by one"]);
});

test("it is bounded", () => {
  const { outbox } = setUp();
  for (let number = 0; number < MAX_MESSAGES; number += 1) outbox.add("a", { text: "x" });
  expect(() => outbox.add("a", { text: "one too many" })).toThrow(expect.objectContaining({ reason: "outbox_full" }));
});

test("what is in the storage and is not ours does no harm", async () => {
  const storage = memoryStorage(
    new Map([
      ["me|000000000000001-x", "not JSON"],
      ["me|000000000000002-y", '{"id":7}'],
      ["other|1-z", "{}"],
    ]),
  );
  const { outbox, warnings } = setUp(storage);
  await outbox.identify("me|");
  expect(outbox.list()).toEqual([]);
  expect(warnings).toEqual([]);
});
