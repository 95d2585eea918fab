// What a conversation looks like: messages grouped by sender, days apart, what is new marked.
import type { ConversationKind, Item } from "hallway-client";
import { dayKey } from "../format/time";

/** Messages of one person within this belong together. */
const GROUP_MS = 5 * 60_000;

export interface ShownRow {
  item: Item;
  /** The day begins here: its time. */
  day: string | undefined;
  /** First and last of what one person said in a row. */
  head: boolean;
  tail: boolean;
  /** The first that was not read. */
  isNew: boolean;
}

/** The same row as before when nothing changed: then it is not rendered again. */
const kept = new WeakMap<Item, ShownRow>();

function keep(row: ShownRow): ShownRow {
  const before = kept.get(row.item);
  if (before && before.head === row.head && before.tail === row.tail && before.isNew === row.isNew && before.day === row.day) return before;
  kept.set(row.item, row);
  return row;
}

/** `read`: the seq up to which one had read when one came. */
export function rowsOf(items: readonly Item[], complete: boolean, read: number, kind: ConversationKind): ShownRow[] {
  const shown = items.filter((item) => isWorthShowing(item, kind));
  let newAt = shown.findIndex((item) => item.kind === "message" && !item.own && (item.seq ?? 0) > read);
  if (newAt === 0 && !complete) newAt = -1;
  const rows = shown.map((item, at): ShownRow => {
    const before = shown[at - 1];
    const day = !before || dayKey(before.ts) !== dayKey(item.ts) ? item.ts : undefined;
    return { item, day, isNew: at === newAt, head: at === newAt || day !== undefined || !before || !together(before, item), tail: true };
  });
  for (let at = 0; at + 1 < rows.length; at += 1) {
    const row = rows[at];
    if (row) row.tail = rows[at + 1]?.head ?? true;
  }
  return rows.map(keep);
}

function together(a: Item, b: Item): boolean {
  return a.from === b.from && a.kind === "message" && b.kind === "message" && Date.parse(b.ts) - Date.parse(a.ts) < GROUP_MS;
}

/** Who comes and goes in a channel that is open to all is not worth a line. */
function isWorthShowing(item: Item, kind: ConversationKind): boolean {
  if (item.kind === "message" || item.kind === "settings" || item.event.kind !== "member") return true;
  if (kind === "direct") return false;
  return kind === "group" || item.event.change === "banned" || item.event.change === "role";
}
