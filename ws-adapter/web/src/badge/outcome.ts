// What a scan came to, for people: a colour, a sign, a word, and a feeling in the hand.
import { HallwayError } from "hallway-client";
import type { Taken } from "../chat/scans";
import { explain } from "../chat/errors";
import { t } from "../texts";

export type Tone = "good" | "warn" | "bad" | "wait";

export interface Outcome {
  tone: Tone;
  word: string;
  text: string;
}

/** How it feels, in ms of shaking and resting; a refusal is told from a welcome without looking. */
const FELT: Record<Tone, number[]> = { good: [60], warn: [40, 60, 40], bad: [120, 80, 120, 80, 120], wait: [30] };

export const feel = ({ tone }: Outcome): void => void navigator.vibrate?.(FELT[tone]);

const said = (tone: Tone, key: string): Outcome => {
  const [word, text] = t.badge.outcome[key] ?? t.badge.outcome["refused"] ?? ["", ""];
  return { tone, word, text };
};

export function outcomeOf({ scan, result, refused, waits }: Taken): Outcome {
  if (refused instanceof HallwayError && refused.reason === "outbox_full") return said("bad", "full");
  if (refused) return { ...said("bad", "refused"), text: explain(refused) };
  if (waits) return said("wait", "waits");
  if (!result) return said("wait", "working");
  const { accepted, reason, mode, conversation } = result;
  if (reason === "full") return said("bad", "session_full");
  // Ours was answered before, and the answer was lost: it counts as then.
  const isDone = reason === "ok" || (reason === "duplicate" && accepted);
  if (!isDone) return said(reason === "already_checked_in" || reason === "duplicate" ? "warn" : "bad", reason);
  if (mode === "meet") return said(conversation ? "good" : "wait", conversation ? "met" : "asked");
  return said("good", mode === "session" ? (scan.direction ?? mode) : mode);
}
