/**
 * Server-Sent Events with `POST /rpc`, for networks that break WebSockets. Read by `fetch` and not by EventSource, so that the token is in a
 * header and not in a URL that proxies log.
 */

import { HallwayError, refusal } from "./errors.js";
import type { Link, LinkEvents } from "./link.js";
import type { Hello } from "./protocol.js";

/** Whether answers can be read while they come; not in React Native, which has WebSockets anyway. */
export const canStream = (): boolean => typeof ReadableStream !== "undefined" && typeof TextDecoder !== "undefined";

/** Splits a stream of events (HTML §9.2.6) into its messages. Feed it text as it comes. */
export function eventParser(each: (event: string, data: string, id: string) => void): (text: string) => void {
  let rest = "";
  let [event, data, id] = ["", "", ""];
  return (text) => {
    rest += text;
    // A "\r" at the very end may be the half of "\r\n".
    const lines = rest.split(/\r\n|\n|\r(?!$)/);
    rest = lines.pop() ?? "";
    for (const line of lines) {
      if (!line) {
        if (data) each(event || "message", data.slice(0, -1), id);
        event = data = "";
        continue;
      }
      const [, field, value = ""] = /^([^:]*)(?:: ?(.*))?$/.exec(line) ?? [];
      if (field === "event") event = value;
      else if (field === "data") data += `${value}\n`;
      else if (field === "id") id = value;
    }
  };
}

/** The wait that an HTTP answer asks for: seconds, or a date (RFC 9110 §10.2.3). */
export function retryAfterMs(header: string | null, now = Date.now()): number | undefined {
  if (!header) return undefined;
  const ms = /^\d+$/.test(header) ? Number(header) * 1000 : Date.parse(header) - now;
  return ms >= 0 ? ms : undefined;
}

async function refused(answer: Response): Promise<HallwayError> {
  const body = await answer.json().catch(() => undefined);
  const wait = retryAfterMs(answer.headers.get("Retry-After"));
  const error = refusal(body?.error, answer.status);
  return wait === undefined || error.retryAfterMs !== undefined
    ? error
    : new HallwayError(error.reason, error.message, error.code, { ...error.data, retry_after_ms: wait });
}

export function sseLink(fetch: typeof globalThis.fetch, url: string, token: string, on: LinkEvents): Link {
  const stop = new AbortController();
  let session = "";
  const headers = { Authorization: `Bearer ${token}` };

  const take = eventParser((event, data) => {
    if (event !== "hello") return on.text(`{"method":${JSON.stringify(event)},"params":${data}}`);
    const hello = JSON.parse(data) as Hello;
    session = hello.session;
    on.open(hello);
  });
  const read = async (): Promise<void> => {
    const answer = await fetch(`${url}/events`, {
      headers: { ...headers, Accept: "text/event-stream" },
      signal: stop.signal,
      cache: "no-store",
    });
    if (!answer.ok || !answer.body) throw await refused(answer);
    const reader = answer.body.getReader();
    const decoder = new TextDecoder();
    for (let part = await reader.read(); !part.done; part = await reader.read()) {
      on.alive();
      take(decoder.decode(part.value, { stream: true }));
    }
  };
  const ended = (error?: unknown): void => {
    if (stop.signal.aborted) return;
    on.closed(error instanceof HallwayError ? { code: error.code, error } : { code: 1006 });
  };
  read().then(() => ended(), ended);

  const post = async (body: string): Promise<void> => {
    const answer = await fetch(`${url}/rpc`, {
      method: "POST",
      headers: { ...headers, "Content-Type": "application/json", ...(session && { "Hallway-Session": session }) },
      body,
      signal: stop.signal,
    });
    if (answer.status === 204) return;
    if (!answer.ok) throw await refused(answer);
    on.text(await answer.text());
  };
  return {
    followsAll: true,
    send: (text, failed) => {
      post(text).catch((error) => {
        // What is not a refusal of this one request is the end of the link.
        if (error instanceof HallwayError && error.code > 1001 && error.reason !== "unknown_session") failed(error);
        else ended(error);
      });
    },
    close: () => stop.abort(),
  };
}
