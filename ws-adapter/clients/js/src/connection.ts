/**
 * One session kept alive: connects, signs in, notices when a link is dead, waits, and connects again. Knows calls and notifications but not
 * what they mean.
 */

import { backoff } from "./backoff.js";
import { Emitter } from "./emitter.js";
import { HallwayError, refusal } from "./errors.js";
import { webSocketLink, type Closed, type Link, type WebSocketClass } from "./link.js";
import type { Hello, Method, Notice, Params, Result } from "./protocol.js";
import { canStream, sseLink } from "./sse.js";

/** What the client is doing. A view can say all of it. */
export type State =
  | { readonly status: "idle" | "connecting" | "online" | "paused" }
  /** Tries again by itself at `retryAt` (Unix ms). */
  | { readonly status: "waiting"; readonly retryAt: number; readonly attempt: number; readonly error: HallwayError }
  /** Needs somebody to sign in; `reason` says why (`signed_out`: it was asked for). */
  | { readonly status: "signedOut"; readonly reason: string };

export interface ConnectionOptions {
  url: string;
  getToken: (refresh: boolean) => Promise<string>;
  conference: string | undefined;
  device: string | undefined;
  WebSocket: WebSocketClass | undefined;
  fetch: typeof globalThis.fetch;
  transport: "auto" | "websocket" | "sse";
  /** Makes waits shorter or longer, for tests and for kiosks. */
  backoffScale: number;
}

interface Pending {
  resolve(value: unknown): void;
  reject(error: HallwayError): void;
  timer: ReturnType<typeof setTimeout>;
}

interface Events {
  state: State;
  hello: Hello;
  notification: { method: string; params: unknown };
}

/** A link that has been silent for so long is asked whether it lives. */
export const HEARTBEAT_MS = 25_000;
/** An answer that takes longer never comes: the link is dead. */
export const ANSWER_MS = 20_000;
/** Opening a link and signing in. */
export const OPEN_MS = 20_000;
/** Signing out waits no longer for the server than this. */
export const SIGN_OUT_MS = 2_000;
/** After so many links in a row that did not open, every second one is tried by SSE. */
export const WEBSOCKET_TRIES = 3;
/** `session.close` from another session. */
const CLOSED_BY_USER = 4001;
const SIGNED_OUT: State = { status: "signedOut", reason: "signed_out" };
const INVALID_PARAMS = -32602;
/** Whether a refused sign-in stays refused however often it is tried. */
const isFinal = ({ code, reason }: HallwayError): boolean => code === 1001 || code === 1003 || reason === "unknown_conference";

export class Connection extends Emitter<Events> {
  state: State = { status: "idle" };
  hello: Hello | undefined;

  #link: Link | undefined;
  readonly #calls = new Map<number, Pending>();
  #nextId = 1;
  #attempt = 0;
  #unopened = 0;
  #timer: ReturnType<typeof setTimeout> | undefined;
  #pulse: ReturnType<typeof setInterval> | undefined;
  #seen = 0;
  #askedToWaitMs = 0;
  #refreshed = false;
  /** Signing out: however the connection ends now, that is why. */
  #leaving = false;
  /** Grows with every dial and stop, so that what was under way for an earlier one is recognised. */
  #era = 0;

  constructor(private readonly options: ConnectionOptions) {
    super();
  }

  get online(): boolean {
    return this.state.status === "online";
  }
  get followsAll(): boolean {
    return this.#link?.followsAll ?? false;
  }

  /** Connects now unless it is connected or about to be. */
  connect(): void {
    if (this.state.status === "online" || this.state.status === "connecting") return;
    if (this.state.status !== "waiting") this.#attempt = 0;
    void this.#dial();
  }

  /** Ends the connection and stays so. */
  stop(state: State): void {
    const now = this.#leaving ? SIGNED_OUT : state;
    this.#leaving = false;
    this.#drop(new HallwayError(now.status === "signedOut" ? "signed_out" : "offline"));
    this.#become(now);
  }

  /** Ends the session at the server, its token with it, as far as there is a connection; stays ended in any case. */
  async signOut(): Promise<void> {
    if (this.online && this.hello) {
      this.#leaving = true;
      await this.closeSession(this.hello.session, true, SIGN_OUT_MS).catch(() => {});
      if (!this.#leaving) return;
    }
    this.stop(SIGNED_OUT);
  }

  /** Closes one of one's own sessions. `revoke`: its token is good for nothing any more; servers that do not know that only close it. */
  async closeSession(session: string, revoke: boolean, answerMs = ANSWER_MS): Promise<void> {
    const only = { session };
    await this.call("session.close", revoke ? { session, revoke } : only, answerMs).catch((error: HallwayError) => {
      if (error.code !== INVALID_PARAMS) throw error;
      return this.call("session.close", only, answerMs);
    });
  }

  /** Calls a method of the server. */
  call<M extends Method>(method: M, params: Params<M>, answerMs = ANSWER_MS): Promise<Result<M>> {
    return this.online ? this.#request(method, params, answerMs) : Promise.reject(new HallwayError("offline", "not connected"));
  }

  /** Asks whether the link lives, and ends it if not. */
  probe(answerMs = ANSWER_MS): void {
    // Any answer will do; this method is cheap and counts against no limit.
    if (this.online) this.call("session.list", {}, answerMs).catch(() => {});
  }

  /** The link is known to be gone (the device says that it has no network). */
  lost(): void {
    if (this.#link) this.#closed({ code: 1006 });
  }

  #become(state: State): void {
    this.state = state;
    this.emit("state", state);
  }

  async #dial(): Promise<void> {
    this.#drop(new HallwayError("disconnected"));
    const era = this.#era;
    this.#become({ status: "connecting" });
    this.#timer = setTimeout(() => this.#closed({ code: 1006, error: new HallwayError("timeout", "the server does not answer") }), OPEN_MS);
    try {
      const token = await this.options.getToken(this.#refreshed);
      if (era === this.#era) this.#link = this.#open(token, era);
    } catch (error) {
      if (era !== this.#era) return;
      this.#refused(error instanceof HallwayError ? error : new HallwayError("offline", String(error)));
    }
  }

  #open(token: string, era: number): Link {
    const { url, fetch, WebSocket, conference, device } = this.options;
    const current =
      <A extends unknown[]>(run: (...args: A) => void) =>
      (...args: A): void => {
        if (era === this.#era) run(...args);
      };
    const greet = async (hello?: Hello): Promise<void> => {
      this.#unopened = 0;
      try {
        const about = { token, ...(conference && { conference }), ...(device && { device }) };
        const answer = hello ?? (await this.#request("session.hello", about, ANSWER_MS));
        if (era === this.#era) this.#signedIn(answer);
      } catch (error) {
        if (era === this.#era) this.#refused(error as HallwayError);
      }
    };
    this.#unopened += 1;
    const events = {
      open: current((hello?: Hello) => void greet(hello)),
      text: current((text: string) => this.#receive(text)),
      alive: current(() => void (this.#seen = Date.now())),
      closed: current((how: Closed) => this.#closed(how)),
    };
    if (WebSocket && !this.#bySse()) return webSocketLink(WebSocket, url, events);
    if (canStream()) return sseLink(fetch, url, token, events);
    throw new HallwayError("offline", "there is no WebSocket here: pass one as an option");
  }

  #bySse(): boolean {
    const { transport } = this.options;
    if (transport !== "auto") return transport === "sse";
    return canStream() && this.#unopened > WEBSOCKET_TRIES && this.#unopened % 2 === 0;
  }

  #signedIn(hello: Hello): void {
    clearTimeout(this.#timer);
    this.hello = hello;
    this.#attempt = 0;
    this.#refreshed = false;
    this.#seen = Date.now();
    this.#pulse = setInterval(() => Date.now() - this.#seen >= HEARTBEAT_MS && this.probe(), HEARTBEAT_MS / 2);
    (this.#pulse as { unref?: () => void }).unref?.();
    this.#become({ status: "online" });
    this.emit("hello", hello);
  }

  /** Signing in did not go well. */
  #refused(error: HallwayError): void {
    if (error.code === 1001 && !this.#refreshed && !this.#leaving) {
      // The token may have run out: `getToken` is asked for a fresh one, once.
      this.#refreshed = true;
      void this.#dial();
    } else if (isFinal(error) || this.#leaving) {
      this.#refreshed = false;
      this.stop({ status: "signedOut", reason: error.reason });
    } else this.#wait(error);
  }

  #closed({ code, error }: Closed): void {
    if (code === CLOSED_BY_USER || this.#leaving) this.stop({ status: "signedOut", reason: "session_closed" });
    else if (error) this.#refused(error);
    else this.#wait(new HallwayError("disconnected", "the connection broke"));
  }

  #wait(error: HallwayError): void {
    const asked = error.retryAfterMs ?? this.#askedToWaitMs;
    this.#drop(new HallwayError("disconnected", error.message));
    this.#askedToWaitMs = 0;
    const ms = asked + backoff(this.#attempt) * this.options.backoffScale;
    this.#attempt += 1;
    this.#timer = setTimeout(() => void this.#dial(), ms);
    this.#become({ status: "waiting", retryAt: Date.now() + ms, attempt: this.#attempt, error });
  }

  /** Forgets the link and everything that waits for it. */
  #drop(error: HallwayError): void {
    this.#era += 1;
    clearTimeout(this.#timer);
    clearInterval(this.#pulse);
    this.#link?.close();
    this.#link = undefined;
    for (const call of [...this.#calls.values()]) call.reject(error);
  }

  #request<M extends Method>(method: M, params: Params<M>, answerMs: number): Promise<Result<M>> {
    const [link, era] = [this.#link, this.#era];
    if (!link) return Promise.reject(new HallwayError("offline", "not connected"));
    const id = this.#nextId++;
    return new Promise((resolve, reject) => {
      const end =
        <T>(settle: (value: T) => void) =>
        (value: T): void => {
          clearTimeout(timer);
          this.#calls.delete(id);
          settle(value);
        };
      const timer = setTimeout(() => {
        this.#calls.get(id)?.reject(new HallwayError("timeout", "the server did not answer"));
        if (era === this.#era) this.#closed({ code: 1006, error: new HallwayError("timeout", "the server does not answer") });
      }, answerMs);
      const pending: Pending = { timer, resolve: end(resolve as (value: unknown) => void), reject: end(reject) };
      this.#calls.set(id, pending);
      link.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }), pending.reject);
    });
  }

  #receive(text: string): void {
    this.#seen = Date.now();
    const parsed = JSON.parse(text);
    for (const message of Array.isArray(parsed) ? parsed : [parsed]) {
      if (message.method) this.#notified(message.method, message.params);
      else if (message.error) this.#failed(message.id, refusal(message.error));
      else this.#calls.get(message.id)?.resolve(message.result);
    }
  }

  #failed(id: number, error: HallwayError): void {
    this.#calls.get(id)?.reject(error);
    // The token or the session ended while it was in use.
    if (error.code === 1001 && this.online) this.#refused(error);
  }

  #notified(method: string, params: unknown): void {
    if (method === "notice") {
      const { reason, retry_after_ms: ms } = params as Notice;
      if (reason === "draining") this.#askedToWaitMs = ms ?? 0;
      if (reason === "session_closed" || reason === "session_ended") {
        this.emit("notification", { method, params });
        return this.stop({ status: "signedOut", reason });
      }
    }
    this.emit("notification", { method, params });
  }
}
