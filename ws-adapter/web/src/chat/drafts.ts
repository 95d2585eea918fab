// What was typed and not sent, per conversation: kept over reloads, on this device only.
import { Signal } from "./signal";

const KEY = "hallway-drafts";

function kept(): ReadonlyMap<string, string> {
  try {
    return new Map(JSON.parse(localStorage.getItem(KEY) ?? "[]") as [string, string][]);
  } catch {
    return new Map();
  }
}

export const drafts = new Signal(kept());

export function keepDraft(conversation: string, text: string): void {
  if ((drafts.get().get(conversation) ?? "") === text) return;
  const next = new Map(drafts.get());
  if (text) next.set(conversation, text);
  else next.delete(conversation);
  drafts.set(next);
  try {
    localStorage.setItem(KEY, JSON.stringify([...next]));
  } catch {
    // No room, or not allowed: then for as long as the app is open.
  }
}

export function forgetDrafts(): void {
  drafts.set(new Map());
  localStorage.removeItem(KEY);
}
