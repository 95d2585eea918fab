import { afterEach, beforeEach, expect, test, vi } from "vitest";
import { Conversations } from "../src/conversations.js";
import type { ConversationRow } from "../src/protocol.js";

const NOW = Date.parse("2026-03-01T10:00:00Z");
const DAY_MS = 86_400_000;

const row = (conversation: string, muted: boolean, forMs?: number): ConversationRow => ({
  conversation,
  kind: "channel",
  title: conversation,
  members: 2,
  member: true,
  seq: 1,
  read: 0,
  unread: 1,
  muted,
  ...(forMs && { muted_until: new Date(NOW + forMs).toISOString() }),
});

beforeEach(() => void vi.useFakeTimers({ now: NOW }));
afterEach(() => void vi.useRealTimers());

test("a silence ends by itself, one after the other; what is muted for good stays", async () => {
  const conversations = new Conversations(() => undefined);
  conversations.replace([row("loud", false), row("moment", true, 60_000), row("month", true, 40 * DAY_MS), row("always", true)]);
  const muted = () => conversations.getSnapshot().rows.filter((row) => row.muted).map((row) => row.conversation);
  expect(muted()).toEqual(["moment", "month", "always"]);
  expect(conversations.getSnapshot().unread).toBe(1);
  await vi.advanceTimersByTimeAsync(59_999);
  expect(muted()).toEqual(["moment", "month", "always"]);
  await vi.advanceTimersByTimeAsync(1);
  expect(muted()).toEqual(["month", "always"]);
  expect(conversations.getSnapshot().unread).toBe(2);
  conversations.patch("loud", { muted: true, muted_until: new Date(Date.now() + 1000).toISOString() });
  await vi.advanceTimersByTimeAsync(1000);
  expect(muted()).toEqual(["month", "always"]);
  await vi.advanceTimersByTimeAsync(40 * DAY_MS);
  expect(muted()).toEqual(["always"]);
  expect(vi.getTimerCount()).toBe(0);
});

test("what is closed waits for nothing", () => {
  const conversations = new Conversations(() => undefined);
  conversations.replace([row("moment", true, 60_000)]);
  expect(vi.getTimerCount()).toBe(1);
  conversations.close();
  expect(vi.getTimerCount()).toBe(0);
});
