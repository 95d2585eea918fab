/** The list: one's own conversations and the channels open to all, newest first, with last message and unread count kept up to date. */

import { Store } from "./emitter.js";
import type { ChatEvent, ConversationRow, Notice } from "./protocol.js";

export interface ConversationsSnapshot {
  /** Newest first. */
  readonly rows: readonly ConversationRow[];
  /** Whether the list was read at least once. */
  readonly ready: boolean;
  /** Messages unread in all that are not muted. */
  readonly unread: number;
  /** Groups that one was asked into and is not in: `client.join` goes in. */
  readonly invitations: readonly Notice[];
}

/** The other one of a direct conversation. */
export function partnerOf(conversation: string, me: string | undefined): string | undefined {
  const [dm, a, b] = conversation.split("~");
  return dm === "dm" ? (a === me ? b : a) : undefined;
}

/** What is further away is looked at again; timers know no longer times. */
const LONGEST_WAIT_MS = 86_400_000;

export class Conversations extends Store<ConversationsSnapshot> {
  #rows = new Map<string, ConversationRow>();
  #invitations = new Map<string, Notice>();
  #ready = false;
  #silence: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly touched: (conversation: string) => void) {
    super();
  }

  get(conversation: string): ConversationRow | undefined {
    return this.#rows.get(conversation);
  }

  /** @internal */
  ids(): string[] {
    return [...this.#rows.keys()];
  }

  /** @internal What `conversation.list` answered. */
  replace(rows: readonly ConversationRow[]): void {
    const before = this.#rows;
    this.#rows = new Map(rows.map((row) => [row.conversation, row]));
    this.#ready = true;
    for (const id of this.#rows.keys()) this.#invitations.delete(id);
    for (const id of new Set([...before.keys(), ...this.#rows.keys()])) this.touched(id);
    this.changed();
    this.#endSilence();
  }

  /** @internal */
  close(): void {
    clearTimeout(this.#silence);
  }

  /** @internal */
  clear(): void {
    this.close();
    this.#rows.clear();
    this.#invitations.clear();
    this.#ready = false;
    this.changed();
  }

  /** @internal An event that came after the row was read; an older one is in it already. */
  apply(event: ChatEvent, me: string | undefined): void {
    const row = this.#rows.get(event.conversation);
    if (!row) return;
    const news = event.seq > row.seq;
    const next = { ...row, seq: Math.max(row.seq, event.seq) };
    const { last } = row;
    if (event.kind === "message" && news) {
      next.last = event;
      if (row.member || event.from === me) next.unread = event.from === me ? 0 : row.unread + 1;
      if (event.from === me) next.member = true;
    } else if (event.kind === "edit" && last?.seq === event.target) next.last = { ...last, text: event.text, edited: true };
    else if (event.kind === "delete" && last?.seq === event.target) next.last = { ...last, text: "", deleted: true };
    else if (event.kind === "settings") next.title = event.title;
    else if (event.kind === "member" && news) {
      const by = { joined: 1, left: -1, removed: -1, banned: -1, invited: 0, role: 0 }[event.change] ?? 0;
      next.members = Math.max(0, row.members + by);
      if (event.user === me && by) next.member = by > 0;
      if (event.user === me && event.role) next.role = event.role;
    }
    this.#put(next, event.kind === "message" && news);
  }

  /** @internal */
  noticed(notice: Notice): void {
    const { reason, conversation = "" } = notice;
    if (reason === "invited" && !this.#rows.has(conversation)) this.#invitations.set(conversation, notice);
    else if (!(reason === "removed" && this.#invitations.delete(conversation))) return;
    this.changed();
  }

  /** @internal */
  patch(conversation: string, change: Partial<ConversationRow>): void {
    const row = this.#rows.get(conversation);
    if (row) this.#put({ ...row, ...change }, false);
    if (change.muted) this.#endSilence();
  }

  protected build(): ConversationsSnapshot {
    const rows = [...this.#rows.values()];
    const unread = rows.reduce((sum, { unread, muted }) => sum + (muted ? 0 : unread), 0);
    return { rows, ready: this.#ready, unread, invitations: [...this.#invitations.values()] };
  }

  /** What was muted for a while is not any more, now and when the next one's time is over. */
  #endSilence(): void {
    clearTimeout(this.#silence);
    const now = Date.now();
    let wait = Infinity;
    for (const row of [...this.#rows.values()]) {
      if (!row.muted || !row.muted_until) continue;
      const left = Date.parse(row.muted_until) - now;
      if (left <= 0) this.#put({ ...row, muted: false, muted_until: null }, false);
      else wait = Math.min(wait, left);
    }
    if (wait < Infinity) this.#silence = setTimeout(() => this.#endSilence(), Math.min(wait, LONGEST_WAIT_MS));
  }

  #put(row: ConversationRow, first: boolean): void {
    if (first) this.#rows = new Map([[row.conversation, row], ...this.#rows]).set(row.conversation, row);
    else this.#rows.set(row.conversation, row);
    this.touched(row.conversation);
    this.changed();
  }
}
