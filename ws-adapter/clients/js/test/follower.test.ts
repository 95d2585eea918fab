/** What is told of what comes, whatever order and number it comes in. The connection is one that we hold in our hands. */

import { expect, test } from "vitest";
import type { ChatMessage, Hello, HallwayError } from "hallway-client";
import type { Connection } from "../src/connection.js";
import { Follower } from "../src/follower.js";

const event = (seq: number, conversation = "lobby"): ChatMessage => ({
  conversation,
  seq,
  id: `e${seq}`,
  kind: "message",
  from: "x",
  name: "X",
  ts: "2026-01-01T00:00:00.000Z",
  text: `m${seq}`,
  n: seq,
});
const row = (seq: number) => ({
  conversation: "lobby",
  kind: "channel",
  title: "",
  members: 0,
  member: false,
  seq,
  read: 0,
  unread: 0,
  muted: false,
});
const hello = (epoch: string): Hello => ({
  user: "me",
  name: "Me",
  role: "attendee",
  conference: "demo",
  session: "s",
  epoch,
  limits: { text_bytes: 1, frame_bytes: 1, subscriptions: 9, requests: 1, messages_per_second: 1, message_burst: 1, file_bytes: 1 },
});
const turn = (): Promise<void> => new Promise((resolve) => setTimeout(resolve));

type Answer = (result: unknown, error?: HallwayError) => void;

function setUp(followsAll = false) {
  const open = new Map<string, { params: Record<string, unknown>; answer: Answer }>();
  let listener: (state: { status: string }) => void = () => {};
  const connection = {
    online: true,
    followsAll,
    on: (_: string, run: typeof listener) => (listener = run),
    call: (method: string, params: Record<string, unknown>) =>
      new Promise((resolve, reject) => {
        const name = params.conversation === "inbox" ? `${method} inbox` : method;
        open.set(name, { params, answer: (result, error) => (open.delete(name), error ? reject(error) : resolve(result)) });
      }),
  };
  const told: number[] = [];
  const resets: (string | undefined)[] = [];
  const follower = new Follower(connection as unknown as Connection, "all", undefined, {
    list: () => {},
    notice: () => {},
    refused: () => {},
    following: () => {},
    resync: () => {},
    warn: () => {},
    reset: (conversation) => void resets.push(conversation),
    event: ({ seq }) => void told.push(seq),
  });
  const answer = async (name: string, result: unknown): Promise<Record<string, unknown>> => {
    const call = open.get(name);
    if (!call) throw new Error(`nobody asked for ${name}, but for ${[...open.keys()]}`);
    call.answer(result);
    await turn();
    return call.params;
  };
  /** Signs in, with the list at `seq`. */
  const begin = async (epoch: string, seq: number): Promise<void> => {
    void follower.sync(hello(epoch), []);
    await turn();
    if (open.has("conversation.read inbox")) await answer("conversation.read inbox", { seq: 0, unread: 0 });
    await answer("conversation.history inbox", { events: [], complete: true });
    await answer("conversation.list", [row(seq)]);
  };
  const drop = (): void => {
    open.clear();
    listener({ status: "waiting" });
  };
  return { follower, told, resets, answer, begin, drop };
}

test("what comes twice is told once, and what comes before its past waits for it", async () => {
  const { follower, told, answer, begin } = setUp();
  await begin("1", 5);
  // Live events overtake the answer that holds what was before them.
  follower.notified("message", event(8));
  follower.notified("message", event(9));
  expect(told).toEqual([]);
  const params = await answer("conversation.subscribe", {
    conversation: "lobby",
    epoch: "1",
    seq: 8,
    events: [6, 7, 8].map((seq) => event(seq)),
    complete: true,
  });
  expect(params).toMatchObject({ after: 5, epoch: "1" });
  expect(told).toEqual([6, 7, 8, 9]);
  for (const seq of [9, 3, 10, 10, 8, 11]) follower.notified("message", event(seq));
  expect(told).toEqual([6, 7, 8, 9, 10, 11]);
});

test("another connection goes on after the last that was told", async () => {
  const { follower, told, answer, begin, drop } = setUp();
  await begin("1", 5);
  await answer("conversation.subscribe", { conversation: "lobby", epoch: "1", seq: 5, events: [], complete: true });
  follower.notified("message", event(6));
  drop();
  await begin("1", 30);
  const params = await answer("conversation.subscribe", {
    conversation: "lobby",
    epoch: "1",
    seq: 30,
    events: [event(7)],
    complete: false,
  });
  expect(params).toMatchObject({ after: 6 });
  follower.notified("message", event(8));
  expect(told).toEqual([6, 7, 8]);
  expect(follower.cursor).toEqual({ epoch: "1", seqs: { lobby: 8 } });
});

test("another epoch begins anew, with seqs that were told before", async () => {
  const { follower, told, resets, answer, begin, drop } = setUp();
  await begin("1", 5);
  await answer("conversation.subscribe", { conversation: "lobby", epoch: "1", seq: 5, events: [], complete: true });
  follower.notified("message", event(6));
  drop();
  await begin("2", 4);
  expect(resets).toEqual([undefined]);
  await answer("conversation.subscribe", { conversation: "lobby", epoch: "2", seq: 4, events: [], complete: true });
  follower.notified("message", event(5));
  expect(told).toEqual([6, 5]);
});

test("a link that follows by itself is filled up from the history, page by page", async () => {
  const { follower, told, answer, begin } = setUp(true);
  await begin("1", 2);
  follower.notified("message", event(6));
  expect(await answer("conversation.history", { events: [event(3), event(4)], complete: false })).toMatchObject({ after: 2 });
  expect(await answer("conversation.history", { events: [event(5), event(6)], complete: true })).toMatchObject({ after: 4 });
  expect(told).toEqual([3, 4, 5, 6]);
});
