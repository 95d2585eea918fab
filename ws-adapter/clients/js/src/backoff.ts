/** How long to wait before the next try: exponential with full jitter, so that a room full of people does not come back at once. */

export const FIRST_MS = 500;
export const LONGEST_MS = 30_000;

/** The wait before try `attempt` (0 is the first one again); never shorter than what the server asked for, and jittered beyond that. */
export function backoff(attempt: number, retryAfterMs = 0, random: () => number = Math.random): number {
  const most = Math.min(LONGEST_MS, FIRST_MS * 2 ** Math.min(attempt, 16));
  return retryAfterMs + Math.round(random() * most);
}
