/** What a conversation shows, whatever comes first: pages, events, or one's own messages on their way. */

import { expect, test } from "vitest";
import type { ChatEvent, History, Outgoing } from "hallway-client";
import { Conversation, PAGE, type Surroundings } from "../src/conversation.js";
import { random, seed } from "./until.js";

const base = (seq: number) => ({
  conversation: "lobby",
  seq,
  id: `e${seq}`,
  from: "bob",
  name: "Bob",
  ts: "2026-01-01T00:00:00.000Z",
  via: "ws",
});
const message = (seq: number, more: object = {}): ChatEvent => ({ ...base(seq), kind: "message", text: `m${seq}`, n: seq, ...more });

function setUp(log: ChatEvent[] = []) {
  let release = (): void => {};
  const call = async (_: string, { before = Infinity, limit = PAGE }: { before?: number; limit?: number }): Promise<History> => {
    const events = log.filter(({ seq }) => seq < before).slice(-limit);
    await new Promise<void>((resolve) => (release = resolve));
    return { events, complete: (events[0]?.seq ?? 1) === 1, epoch: "1" };
  };
  const around = { url: "https://chat.example", call, outgoing: () => [], row: () => undefined, me: () => ({ user: "me", name: "Me" }) };
  const conversation = new Conversation("lobby", around as unknown as Surroundings);
  const show = (): string[] =>
    conversation.getSnapshot().items.map((item) => ("text" in item ? `${item.seq ?? "-"} ${item.text} ${item.state}` : item.kind));
  const loaded = async (loading: Promise<void>): Promise<void> => {
    await new Promise((resolve) => setTimeout(resolve));
    release();
    await loading;
  };
  return { conversation, show, loaded };
}

test("events that are on the page, too, are shown once, whichever came first", async () => {
  const { conversation, show, loaded } = setUp([message(1), message(2), message(3)]);
  const loading = conversation.load();
  conversation.apply(message(3));
  conversation.apply(message(4));
  await loaded(loading);
  conversation.apply(message(2));
  expect(show()).toEqual(["1 m1 sent", "2 m2 sent", "3 m3 sent", "4 m4 sent"]);
});

test("an own message is one item whether its answer or its event comes first", () => {
  for (const order of ["answer", "event"]) {
    const { conversation, show } = setUp();
    const unsent: Outgoing = { id: "c1", conversation: "lobby", text: "mine", at: 1, state: "queued" };
    const placed = { conversation: "lobby", seq: 2, ts: base(2).ts, id: "e2" };
    conversation.apply(message(1));
    conversation.outgoing(unsent);
    conversation.outgoing({ ...unsent, state: "sending" });
    expect(show()).toEqual(["1 m1 sent", "- mine sending"]);
    const answer = (): void => conversation.outgoing({ ...unsent, state: "sent", placed });
    const event = (): void => conversation.apply(message(2, { from: "me", client_id: "c1", text: "mine" }));
    for (const happens of order === "answer" ? [answer, event] : [event, answer]) {
      happens();
      expect(show()).toEqual(["1 m1 sent", "2 mine sent"]);
    }
    expect(conversation.getSnapshot().items[1]?.key).toBe("c1");
    conversation.apply(message(3));
    expect(show()).toEqual(["1 m1 sent", "2 mine sent", "3 m3 sent"]);
  }
});

test("a snapshot is the same until something changes, and is never changed", () => {
  const { conversation } = setUp();
  conversation.apply(message(1));
  const before = conversation.getSnapshot();
  expect(conversation.getSnapshot()).toBe(before);
  const copy = JSON.stringify(before);
  conversation.apply({ ...base(2), kind: "react", target: 1, emoji: "👍", on: true });
  conversation.apply(message(3));
  expect(JSON.stringify(before)).toBe(copy);
  expect(conversation.getSnapshot()).not.toBe(before);
  // What did not change is the same object: its row need not be rendered again.
  const between = conversation.getSnapshot().items[0];
  conversation.apply(message(4));
  expect(conversation.getSnapshot().items[0]).toBe(between);
});

test("any log, read in pages of any size while it grows, is what the log says", async () => {
  const chance = random(seed());
  const pick = (most: number): number => Math.floor(chance() * most);
  for (let round = 0; round < 60; round += 1) {
    const log: ChatEvent[] = [];
    const truth = new Map<number, { text: string; deleted: boolean; reactions: Map<string, Set<string>> }>();
    const grow = (): ChatEvent => {
      const seq = log.length + 1;
      const [target = 0, what] = [[...truth.keys()][pick(truth.size)], pick(8)];
      const found = truth.get(target);
      let event = message(seq);
      if (!found || what < 3) truth.set(seq, { text: `m${seq}`, deleted: false, reactions: new Map() });
      else if (what < 5) {
        const [emoji, from, on] = ["👍🎉❤"[pick(2)] ?? "", `u${pick(3)}`, pick(2) === 0];
        const users = found.reactions.get(emoji) ?? new Set();
        found.reactions.set(emoji, users);
        if (on) users.add(from);
        else users.delete(from);
        event = { ...base(seq), from, kind: "react", target, emoji, on };
      } else if (what < 7 && !found.deleted) {
        found.text = `edited ${seq}`;
        event = { ...base(seq), kind: "edit", target, text: found.text };
      } else {
        Object.assign(found, { text: "", deleted: true });
        event = { ...base(seq), kind: "delete", target };
      }
      log.push(event);
      return event;
    };
    // A record is of the present, as the server's history gives it.
    const present = (event: ChatEvent): ChatEvent => {
      const now = truth.get(event.seq);
      if (event.kind !== "message" || !now) return event;
      const counts = [...now.reactions].map(([emoji, users]) => [emoji, users.size]);
      return {
        ...event,
        text: now.text,
        reactions: Object.fromEntries(counts),
        ...(now.deleted && { deleted: true }),
        ...(now.text !== event.text && { edited: true }),
      };
    };
    for (let size = pick(60); size; size -= 1) grow();
    const view: ChatEvent[] = [];
    const { conversation, loaded } = setUp(view);
    const page = async (load: () => Promise<void>): Promise<void> => {
      view.splice(0, view.length, ...log.map(present));
      const loading = load();
      for (let more = pick(3); more; more -= 1) conversation.apply(present(grow()));
      await loaded(loading);
    };
    await page(() => conversation.load());
    while (!conversation.getSnapshot().complete) await page(() => conversation.loadOlder(1 + pick(9)));
    const shown = conversation
      .getSnapshot()
      .items.map(
        (item) =>
          item.kind === "message" && [
            item.seq,
            item.text,
            item.deleted,
            item.reactions.map(({ emoji, count }) => `${emoji}${count}`).sort(),
          ],
      );
    const told = [...truth].map(([seq, { text, deleted, reactions }]) => [
      seq,
      text,
      deleted,
      deleted ? [] : [...reactions].flatMap(([emoji, users]) => (users.size ? [`${emoji}${users.size}`] : [])).sort(),
    ]);
    expect(shown).toEqual(told);
  }
});
