/**
 * What was said and not acknowledged yet. Kept in a storage, so that it survives reloads; sent again under the same id until the server took
 * it or finally refused it, so that it is stored once however often it was sent; one at a time in each conversation, so that order holds.
 */

import { backoff } from "./backoff.js";
import { Emitter } from "./emitter.js";
import { HallwayError } from "./errors.js";
import type { Params, Placed } from "./protocol.js";
import type { HallwayStorage } from "./storage.js";

/** What one says. */
export interface Draft {
  text: string;
  /** The seq of the message that it answers. */
  replyTo?: number;
  /** uids. */
  mentions?: string[];
  /** URLs as `upload` answered them. */
  attachments?: string[];
}

export interface Failure {
  readonly reason: string;
  readonly message: string;
  /** Whether `retry` may go well; otherwise only `discard` is left. */
  readonly retriable: boolean;
}

export interface Outgoing extends Readonly<Draft> {
  /** The message's client id. */
  readonly id: string;
  readonly conversation: string;
  /** When it was said: Unix ms, growing. */
  readonly at: number;
  readonly state: "queued" | "sending" | "sent" | "failed";
  readonly failure?: Failure;
  /** Where it stands, once it is sent. */
  readonly placed?: Placed;
}

interface Events {
  /** The message as it is now, or `gone` when it was discarded. */
  change: { message: Outgoing; gone?: boolean };
}

export const MAX_MESSAGES = 1_000;
/** The server knows an id for seven days: what is older may have been stored without our knowing, and is asked about. */
export const MAX_AGE_MS = 6 * 24 * 3_600_000;
/** Refusals that time or somebody else's doing may change. All others are about the message itself. */
const RETRIABLE = new Set([1003, 1004, 1029]);

type Send = (params: Params<"message.send">) => Promise<Placed>;
interface Waiting {
  resolve(placed: Placed): void;
  reject(error: HallwayError): void;
}

export class Outbox extends Emitter<Events> {
  readonly #messages = new Map<string, Outgoing>();
  readonly #waiting = new Map<string, Waiting>();
  readonly #kept = new Map<string, Promise<unknown>>();
  readonly #busy = new Set<string>();
  readonly #timers = new Map<string, ReturnType<typeof setTimeout>>();
  #prefix: string | undefined;
  #open = false;
  #lastAt = 0;
  #refusals = 0;
  #loaded: Promise<void> = Promise.resolve();
  /** Older messages may still come out of the storage: newer ones must not overtake them. */
  #loading = false;

  constructor(
    private readonly storage: HallwayStorage,
    private readonly send: Send,
    private readonly warn: (error: unknown) => void,
  ) {
    super();
  }

  /** Whose outbox it is from now on. What was said before anybody was known becomes theirs; what is another's stays in the storage. */
  identify(prefix: string): Promise<void> {
    if (this.#prefix === prefix) return this.#loaded;
    if (this.#prefix !== undefined)
      for (const message of [...this.#messages.values()]) this.#forget(message, new HallwayError("signed_out"));
    this.#prefix = prefix;
    for (const message of this.#messages.values()) this.#keep(message);
    this.#loading = true;
    const loaded = this.#load(prefix)
      .catch(this.warn)
      .then(() => {
        if (this.#loaded !== loaded) return;
        this.#loading = false;
        this.#pumpAll();
      });
    return (this.#loaded = loaded);
  }

  async #load(prefix: string): Promise<void> {
    for (const key of (await this.storage.keys(prefix)).sort()) {
      const text = await this.storage.get(key);
      if (this.#prefix !== prefix) return;
      const found = text && parse(text);
      if (!found || this.#messages.has(found.id)) continue;
      const old = found.state !== "failed" && Date.now() - found.at > MAX_AGE_MS;
      const message: Outgoing = old ? failed(found, new HallwayError("too_old", "it has waited for too long"), true) : found;
      this.#lastAt = Math.max(this.#lastAt, message.at);
      this.#messages.set(message.id, message);
      this.emit("change", { message });
    }
  }

  /** In the order in which they were said. */
  list(conversation?: string): Outgoing[] {
    const mine = [...this.#messages.values()].filter((message) => !conversation || message.conversation === conversation);
    return mine.sort((a, b) => a.at - b.at);
  }

  /** @throws HallwayError `outbox_full` */
  add(conversation: string, draft: Draft): { id: string; placed: Promise<Placed> } {
    if (this.#messages.size >= MAX_MESSAGES) throw new HallwayError("outbox_full", "too many messages wait to be sent");
    this.#lastAt = Math.max(Date.now(), this.#lastAt + 1);
    const message: Outgoing = { ...draft, id: freshId(), conversation, at: this.#lastAt, state: "queued" };
    const placed = new Promise<Placed>((resolve, reject) => this.#waiting.set(message.id, { resolve, reject }));
    // Who does not look at it learns of a failure from the state.
    placed.catch(() => {});
    this.#put(message);
    this.#pump(conversation);
    return { id: message.id, placed };
  }

  /** Sends a failed message once more, under the same id. */
  retry(id: string): void {
    const message = this.#messages.get(id);
    if (message?.state !== "failed") return;
    const { failure, ...rest } = message;
    const again = failure?.reason === "too_old";
    if (again) this.#unkeep(message);
    this.#put({ ...rest, state: "queued", at: again ? (this.#lastAt = Math.max(Date.now(), this.#lastAt + 1)) : message.at });
    this.#pump(message.conversation);
  }

  /** Takes a message back that has not been sent. One that is on its way may have arrived. */
  discard(id: string): void {
    const message = this.#messages.get(id);
    if (message && message.state !== "sending") this.#forget(message, new HallwayError("discarded"), true);
  }

  /** Sends what waits, from now on. */
  start(): void {
    this.#open = true;
    this.#refusals = 0;
    this.#pumpAll();
  }

  /** Sends nothing until the next `start`. */
  stop(): void {
    this.#open = false;
    for (const timer of this.#timers.values()) clearTimeout(timer);
    this.#timers.clear();
  }

  /** Forgets everything, in the storage, too. */
  async clear(): Promise<void> {
    for (const message of [...this.#messages.values()]) this.#forget(message, new HallwayError("signed_out"), true);
    if (this.#prefix) for (const key of await this.storage.keys(this.#prefix)) await this.storage.remove(key);
  }

  #pumpAll(): void {
    new Set(this.list().map(({ conversation }) => conversation)).forEach((id) => this.#pump(id));
  }

  /** One message after the other, until there is none or one has to wait. */
  #pump(conversation: string): void {
    if (!this.#open || this.#loading || this.#busy.has(conversation) || this.#timers.has(conversation)) return;
    const message = this.list(conversation).find(({ state }) => state !== "failed");
    if (!message) return;
    this.#busy.add(conversation);
    void this.#deliver(message).finally(() => {
      this.#busy.delete(conversation);
      this.#pump(conversation);
    });
  }

  async #deliver(message: Outgoing): Promise<void> {
    await this.#kept.get(message.id);
    if (!this.#open || !this.#messages.has(message.id)) return;
    this.#show({ ...message, state: "sending" });
    try {
      this.#sent(message, await this.send(params(message)));
    } catch (error) {
      this.#refused(message, error instanceof HallwayError ? error : new HallwayError("disconnected", String(error)));
    }
  }

  #sent(message: Outgoing, placed: Placed): void {
    this.#refusals = 0;
    this.#messages.delete(message.id);
    this.#unkeep(message);
    this.#waiting.get(message.id)?.resolve(placed);
    this.#waiting.delete(message.id);
    this.emit("change", { message: { ...message, state: "sent", placed } });
  }

  #refused(message: Outgoing, error: HallwayError): void {
    if (!this.#messages.has(message.id)) return;
    if (error.passing || error.code === 1001) {
      this.#show({ ...message, state: "queued" });
      // Without a connection, `start` sends it again; the connection's own end has stopped us, or is about to.
      if (error.code > 1001) this.#later(message.conversation, backoff(this.#refusals++, error.retryAfterMs));
      else this.#open = false;
      return;
    }
    this.#put(failed(message, error, RETRIABLE.has(error.code)));
    this.#waiting.get(message.id)?.reject(error);
    this.#waiting.delete(message.id);
  }

  #later(conversation: string, ms: number): void {
    const timer = setTimeout(() => {
      this.#timers.delete(conversation);
      this.#pump(conversation);
    }, ms);
    this.#timers.set(conversation, timer);
  }

  #show(message: Outgoing): void {
    this.#messages.set(message.id, message);
    this.emit("change", { message });
  }

  #put(message: Outgoing): void {
    this.#keep(message);
    this.#show(message);
  }

  #keep(message: Outgoing): void {
    if (this.#prefix === undefined) return;
    // A storage that fails (full, forbidden) must not keep the message from being sent.
    this.#kept.set(message.id, this.storage.set(this.#key(message), JSON.stringify(message)).catch(this.warn));
  }

  #unkeep(message: Outgoing): void {
    const kept = this.#kept.get(message.id);
    const key = this.#prefix === undefined ? undefined : this.#key(message);
    this.#kept.delete(message.id);
    if (key)
      void Promise.resolve(kept)
        .then(() => this.storage.remove(key))
        .catch(this.warn);
  }

  /** Keys sort as the messages were said; `at` alone may be another window's, too. */
  #key({ id, at }: Outgoing): string {
    return `${this.#prefix}${String(at).padStart(15, "0")}-${id}`;
  }

  #forget(message: Outgoing, error: HallwayError, everywhere = false): void {
    this.#messages.delete(message.id);
    if (everywhere) this.#unkeep(message);
    this.#waiting.get(message.id)?.reject(error);
    this.#waiting.delete(message.id);
    this.emit("change", { message, gone: true });
  }
}

const failed = (message: Outgoing, { reason, message: said }: HallwayError, retriable: boolean): Outgoing => ({
  ...message,
  state: "failed",
  failure: { reason, message: said, retriable },
});

const params = ({ conversation, id, text, replyTo, mentions, attachments }: Outgoing): Params<"message.send"> => ({
  conversation,
  id,
  text,
  ...(replyTo !== undefined && { reply_to: replyTo }),
  ...(mentions?.length && { mentions }),
  ...(attachments?.length && { attachments }),
});

function parse(text: string): Outgoing | undefined {
  try {
    const found = JSON.parse(text) as Outgoing;
    if (typeof found.id !== "string" || typeof found.conversation !== "string" || typeof found.text !== "string" || !(found.at >= 0))
      return;
    return found.state === "failed" ? found : { ...found, state: "queued" };
  } catch {
    return undefined;
  }
}

/** `randomUUID` is only there on https and loopback, and not in React Native. */
export function freshId(): string {
  const crypto = globalThis.crypto as Partial<Crypto> | undefined;
  if (crypto?.randomUUID) return crypto.randomUUID();
  const bytes = crypto?.getRandomValues?.(new Uint8Array(16)) ?? Array.from({ length: 16 }, () => Math.floor(Math.random() * 256));
  return Array.from(bytes, (byte) => byte.toString(16).padStart(2, "0")).join("");
}
