/**
 * Follows conversations so that every event is told once and in order, over any number of connections: by a cursor for each conversation,
 * the last seq that was told, which is worth something within one epoch.
 */

import { backoff } from "./backoff.js";
import type { Connection } from "./connection.js";
import type { HallwayError } from "./errors.js";
import type { ChatEvent, ConversationRow, Hello, Notice } from "./protocol.js";

/** How far everything was told. JSON. */
export interface Cursor {
  epoch: string;
  seqs: Record<string, number>;
}

export interface Told {
  list(rows: ConversationRow[]): void;
  event(event: ChatEvent): void;
  notice(notice: Notice): void;
  /** What is known of this conversation, or of all, is void. */
  reset(conversation?: string): void;
  refused(conversation: string, error: HallwayError): void;
  /** Live from now on: its history can be read without a gap. */
  following(conversation: string): void;
  resync(epoch: string): void;
  warn(error: unknown): void;
}

/** Conversations that are asked for at once: their answers may carry 500 events each, and a stream of events takes 16 calls. */
const AT_ONCE = 8;
/** Rows of the list. */
const MAX_ROWS = 500;
/** A page of what was missed. */
const PAGE = 500;
const INBOX = "inbox";

export class Follower {
  /** Caught up on the connection that is. */
  synced = false;

  #epoch: string | undefined;
  #seqs = new Map<string, number>();
  readonly #wanted = new Set<string>();
  #following = new Set<string>();
  /** Events that came while what was before them is on its way. */
  readonly #held = new Map<string, ChatEvent[]>();
  #refreshing: Promise<void> | undefined;
  #inboxSeq: number | undefined;
  #hello: Hello | undefined;

  constructor(
    private readonly connection: Connection,
    private readonly which: "all" | "opened",
    resume: Cursor | undefined,
    private readonly told: Told,
  ) {
    connection.on("state", ({ status }) => {
      if (status === "online") return;
      this.synced = false;
      this.#following.clear();
      this.#held.clear();
    });
    if (!resume) return;
    this.#epoch = resume.epoch;
    this.#seqs = new Map(Object.entries(resume.seqs));
  }

  get cursor(): Cursor | undefined {
    return this.#epoch === undefined ? undefined : { epoch: this.#epoch, seqs: Object.fromEntries(this.#seqs) };
  }

  /** Brings everything up to date after signing in; false when the connection broke meanwhile. */
  async sync(hello: Hello, opened: Iterable<string>): Promise<boolean> {
    this.#hello = hello;
    if (this.#epoch !== undefined && this.#epoch !== hello.epoch) this.#restart(hello.epoch);
    this.#epoch = hello.epoch;
    for (const id of opened) this.#wanted.add(id);
    this.synced = await this.#insist(() => Promise.all([this.refresh(), this.#readInbox()]));
    if (this.synced) for (const id of this.#held.keys()) if (!this.#following.has(id)) this.#release(id);
    return this.synced;
  }

  /** Does something until it goes well or the connection ends: a server that is busy now is not a reason to miss anything. */
  async #insist(run: () => Promise<unknown>): Promise<boolean> {
    const hello = this.#hello;
    for (let attempt = 0; this.#hello === hello && this.connection.online; attempt += 1) {
      try {
        await run();
        return this.#hello === hello && this.connection.online;
      } catch (error) {
        const { passing, retryAfterMs } = error as HallwayError;
        if (!passing) this.told.warn(error);
        if (this.connection.online) await new Promise((resolve) => setTimeout(resolve, backoff(attempt, retryAfterMs)));
      }
    }
    return false;
  }

  /** Follows a conversation whether it is in the list or not. */
  follow(conversation: string): void {
    this.#wanted.add(conversation);
    if (!this.connection.online || this.#epoch === undefined) return;
    if (!this.#following.has(conversation)) void this.#insist(() => this.#catchUp([conversation]));
    else if (!this.#held.has(conversation)) this.told.following(conversation);
  }

  /** The server follows it no more for us, or may not: subscribed again with the next list, or refused for a reason that is then known. */
  ended(conversation: string): void {
    this.#following.delete(conversation);
  }

  /** Reads the list, and follows what is new in it. */
  refresh(): Promise<void> {
    this.#refreshing ??= this.#readList().finally(() => (this.#refreshing = undefined));
    return this.#refreshing;
  }

  /** An event or a notice that came by itself. */
  notified(method: string, params: unknown): void {
    if (method === "notice") return this.#noticed(params as Notice);
    if (method !== "message" && method !== "event" && method !== "member") return;
    const event = params as ChatEvent;
    const { conversation } = event;
    const { followsAll } = this.connection;
    if (followsAll && this.which === "opened" && !this.#wanted.has(conversation)) return;
    // What is followed without our asking may come before we know what was missed.
    if (followsAll && !this.synced && !this.#following.has(conversation) && !this.#held.has(conversation)) this.#held.set(conversation, []);
    const held = this.#held.get(conversation);
    if (held) held.push(event);
    else this.#tell(event);
  }

  async #readList(): Promise<void> {
    const rows = await this.connection.call("conversation.list", { limit: MAX_ROWS });
    this.told.list(rows);
    const most = this.#hello?.limits?.subscriptions ?? MAX_ROWS;
    const ids = new Set(this.#wanted);
    const news = this.#seqs.size > 0;
    // What happens between the list and the subscription is caught up from the row's seq on. A direct conversation that we did not know of
    // began while we were there or away: all of it is news.
    for (const { conversation, seq, kind } of this.which === "all" ? rows : []) {
      if (ids.size < most) ids.add(conversation);
      if (!this.#seqs.has(conversation)) this.#seqs.set(conversation, news && kind === "direct" ? 0 : seq);
    }
    await this.#catchUp([...ids]);
  }

  async #catchUp(ids: string[]): Promise<void> {
    const fresh = ids.filter((id) => !this.#following.has(id));
    for (const id of fresh) this.#following.add(id);
    while (fresh.length) await Promise.all(fresh.splice(0, AT_ONCE).map((id) => this.#start(id)));
  }

  async #start(conversation: string): Promise<void> {
    this.#held.set(conversation, this.#held.get(conversation) ?? []);
    try {
      await (this.connection.followsAll ? this.#readMissed(conversation) : this.#subscribe(conversation));
    } catch (error) {
      this.#held.delete(conversation);
      return this.#failed(conversation, error as HallwayError);
    }
    this.#release(conversation);
    this.told.following(conversation);
  }

  #release(conversation: string): void {
    const held = this.#held.get(conversation) ?? [];
    this.#held.delete(conversation);
    for (const event of held) this.#tell(event);
  }

  async #subscribe(conversation: string): Promise<void> {
    const after = this.#seqs.get(conversation);
    const from = after === undefined ? {} : { after, ...(this.#epoch !== undefined && { epoch: this.#epoch }) };
    const { events, seq } = await this.connection.call("conversation.subscribe", { conversation, ...from });
    for (const event of events) this.#tell(event);
    if (after === undefined) this.#seqs.set(conversation, seq);
  }

  /** For a link that follows everything by itself. */
  async #readMissed(conversation: string): Promise<void> {
    const after = this.#seqs.get(conversation);
    if (after === undefined) {
      const { events } = await this.connection.call("conversation.history", { conversation, limit: 1 });
      this.#seqs.set(conversation, events[0]?.seq ?? 0);
      return;
    }
    for (let complete = false; !complete;) {
      const from = this.#seqs.get(conversation) ?? after;
      const page = await this.connection.call("conversation.history", { conversation, after: from, limit: PAGE });
      for (const event of page.events) this.#tell(event);
      complete = page.complete || !page.events.length;
    }
  }

  async #failed(conversation: string, error: HallwayError): Promise<void> {
    this.#following.delete(conversation);
    if (error.passing || error.code === 1001) throw error;
    if (error.reason === "resync") {
      // Seqs of another epoch, or above an end that was set back.
      this.#seqs.delete(conversation);
      this.told.reset(conversation);
      return this.#catchUp([conversation]);
    }
    this.told.refused(conversation, error);
  }

  #tell(event: ChatEvent): void {
    const { conversation, seq } = event;
    if (seq <= (this.#seqs.get(conversation) ?? -1)) return;
    this.#seqs.set(conversation, seq);
    this.told.event(event);
  }

  #noticed(notice: Notice): void {
    if (notice.seq !== undefined) {
      if (notice.seq <= (this.#inboxSeq ?? 0)) return;
      this.#inboxSeq = notice.seq;
    }
    if (notice.reason === "invited" || notice.reason === "removed") {
      this.ended(notice.conversation ?? "");
      void this.#insist(() => this.refresh());
    }
    this.told.notice(notice);
  }

  /** Notices that were missed; at first the newest of those that nobody has said to have seen (`noticesSeen`). */
  async #readInbox(): Promise<void> {
    const first = this.#inboxSeq === undefined;
    this.#inboxSeq ??= (await this.connection.call("conversation.read", { conversation: INBOX, seq: 0 })).seq;
    for (let complete = false; !complete;) {
      const from = first ? {} : { after: this.#inboxSeq };
      const page = await this.connection.call("conversation.history", { conversation: INBOX, limit: PAGE, ...from });
      for (const notice of page.events as unknown as Notice[]) this.#noticed(notice);
      complete = first || page.complete || !page.events.length;
    }
  }

  #restart(epoch: string): void {
    this.#seqs.clear();
    this.#inboxSeq = undefined;
    this.told.reset();
    this.told.resync(epoch);
  }
}
