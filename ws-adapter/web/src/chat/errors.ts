// What went wrong, in words.
import { HallwayError } from "hallway-client";
import { t } from "../texts";

export function explain(error: unknown): string {
  if (!(error instanceof HallwayError)) return t.common.broken;
  return explainReason(error.reason) ?? (error.message || t.common.broken);
}

/** Words for the server's stable word, when there are any. */
export const explainReason = (reason: string): string | undefined => t.common.errors[reason];
