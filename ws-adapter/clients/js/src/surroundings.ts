/** What a browser tells about the network and about being looked at. Elsewhere nothing: call `pause` and `resume` yourself. */

import type { Connection } from "./connection.js";
import type { Off } from "./emitter.js";

/** How long a link may take to prove that it lives after the page was away. */
const PROBE_MS = 5_000;

interface Pausable {
  pause(): void;
  resume(): void;
}

export function watchSurroundings(client: Pausable, connection: Connection, backgroundMs: number | false): Off {
  if (typeof window === "undefined" || typeof document === "undefined" || !window.addEventListener) return () => {};
  let timer: ReturnType<typeof setTimeout> | undefined;
  let pausedByUs = false;
  const nudge = (): void => {
    if (connection.state.status === "waiting") connection.connect();
    else connection.probe(PROBE_MS);
  };
  const seen = (): void => {
    clearTimeout(timer);
    if (document.hidden) {
      if (backgroundMs === false) return;
      timer = setTimeout(() => {
        const { status } = connection.state;
        pausedByUs = status === "online" || status === "waiting" || status === "connecting";
        if (pausedByUs) client.pause();
      }, backgroundMs);
    } else if (pausedByUs) {
      pausedByUs = false;
      client.resume();
    } else nudge();
  };
  const offline = (): void => connection.lost();
  window.addEventListener("online", nudge);
  window.addEventListener("offline", offline);
  document.addEventListener("visibilitychange", seen);
  return () => {
    clearTimeout(timer);
    window.removeEventListener("online", nudge);
    window.removeEventListener("offline", offline);
    document.removeEventListener("visibilitychange", seen);
  };
}
