// Names as they are shown.
import { partnerOf, type ConversationRow, type Person } from "hallway-client";

export type Directory = ReadonlyMap<string, Person>;

/** One or two letters. */
export function initials(name: string): string {
  const words = name.trim().split(/[\s._-]+/u).filter((word) => /^[\p{L}\p{N}]/u.test(word));
  const first = [...(words[0] ?? name.trim())][0] ?? "?";
  const last = words.length > 1 ? ([...(words.at(-1) ?? "")][0] ?? "") : "";
  return (first + last).toLocaleUpperCase();
}

/** One of the avatar colours, always the same for the same id. */
export function colourOf(id: string, colours: number): number {
  let hash = 0;
  for (const char of id) hash = (Math.imul(hash, 31) + (char.codePointAt(0) ?? 0)) >>> 0;
  return hash % colours;
}

export const nameOf = (user: string, known: Directory): string => known.get(user)?.name ?? user;

/** The direct conversation of two people. */
export const directWith = (user: string, me: string): string => `dm~${[user, me].sort().join("~")}`;

/** A conversation's title; a direct one is called as the other person. */
export function titleOf(row: Pick<ConversationRow, "conversation" | "title">, me: string, known: Directory): string {
  const partner = partnerOf(row.conversation, me);
  return partner ? nameOf(partner, known) : row.title || row.conversation;
}

/** `1234567` → `1.2 MB`. */
export function sizeOf(bytes: number): string {
  const units = ["B", "KB", "MB", "GB"];
  const power = Math.min(units.length - 1, Math.floor(Math.log10(Math.max(bytes, 1)) / 3));
  const value = bytes / 1000 ** power;
  return `${value >= 10 || power === 0 ? Math.round(value) : value.toFixed(1)} ${units[power]}`;
}
