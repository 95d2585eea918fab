/** A link carries JSON texts both ways until it closes. Two kinds: a WebSocket, and Server-Sent Events with `POST /rpc` (sse.ts). */

import type { HallwayError } from "./errors.js";
import type { Hello } from "./protocol.js";

/** As much of a WebSocket as is used: browsers', Node's, React Native's, and that of the package `ws`. */
export interface WebSocketLike {
  onopen: ((event: never) => void) | null;
  onmessage: ((event: never) => void) | null;
  onclose: ((event: never) => void) | null;
  onerror: ((event: never) => void) | null;
  send(data: string): void;
  close(code?: number, reason?: string): void;
}
export type WebSocketClass = new (url: string, protocols?: string | string[]) => WebSocketLike;

export interface Closed {
  /** The close code, or an HTTP status; 1006 when there was none. */
  code: number;
  error?: HallwayError;
}

export interface LinkEvents {
  /** Ready to carry. A link that has signed in by itself brings what `session.hello` would have answered. */
  open(hello?: Hello): void;
  text(text: string): void;
  /** Something came that is not for us to read: the link lives. */
  alive(): void;
  /** At most once, and not after `close`. */
  closed(how: Closed): void;
}

export interface Link {
  /** Follows everything by itself; the missed is read from the history. */
  readonly followsAll: boolean;
  /** Sends one request; `failed` is for links that can lose a single one. */
  send(text: string, failed: (error: HallwayError) => void): void;
  /** Closes without a word to `closed`. */
  close(): void;
}

export function webSocketLink(WebSocket: WebSocketClass, url: string, on: LinkEvents): Link {
  const socket = new WebSocket(`${url.replace(/^http/, "ws")}/ws`, "hallway.v1");
  socket.onopen = () => on.open();
  socket.onmessage = ({ data }: { data: string }) => on.text(data);
  socket.onclose = ({ code }: { code: number }) => on.closed({ code });
  socket.onerror = () => {};
  return {
    followsAll: false,
    send: (text) => socket.send(text),
    close() {
      socket.onopen = socket.onmessage = socket.onclose = () => {};
      try {
        socket.close(1000);
      } catch {
        // It was not open yet: some implementations throw.
      }
    },
  };
}
