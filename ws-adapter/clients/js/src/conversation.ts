/**
 * One conversation as a view wants it: the messages with their edits, deletions and reactions in them, one's own unsent ones at the end, and
 * who is typing, how far others have read, who is in it.
 *
 * Edits, deletions and reactions are kept beside the messages, by target and not by arrival, so that it does not matter whether they come
 * before their message (an older page), with it (its record is of the present) or after it: nothing is counted twice.
 */

import { parseAttachment, type Attachment } from "./attachments.js";
import { Store } from "./emitter.js";
import { HallwayError } from "./errors.js";
import type { Draft, Failure, Outgoing } from "./outbox.js";
import type {
  ChatEvent,
  ChatMessage,
  ConversationRow,
  DeleteEvent,
  EditEvent,
  Member,
  MemberEvent,
  Method,
  Params,
  Placed,
  ReactEvent,
  Result,
  SettingsEvent,
} from "./protocol.js";

export interface Reaction {
  readonly emoji: string;
  readonly count: number;
  /** Those of them that are known: everybody who reacted since the oldest loaded event. */
  readonly users: readonly string[];
  /** Whether one is among them. */
  readonly mine: boolean;
}

export interface MessageItem {
  readonly kind: "message";
  /** Stays the same from unsent to sent: fit for React's `key`. */
  readonly key: string;
  /** None before it is sent. */
  readonly seq?: number;
  readonly id?: string;
  readonly clientId?: string;
  readonly from: string;
  readonly name: string;
  /** RFC 3339; of an unsent message when it was said. */
  readonly ts: string;
  /** Empty once deleted. */
  readonly text: string;
  readonly replyTo?: number;
  readonly mentions: readonly string[];
  readonly attachments: readonly Attachment[];
  readonly edited: boolean;
  readonly deleted: boolean;
  readonly reactions: readonly Reaction[];
  /** Whether it is one's own. */
  readonly own: boolean;
  readonly via?: string;
  readonly state: "sent" | "queued" | "sending" | "failed";
  readonly failure?: Failure;
}

/** Somebody came, went or got a role; a new title. */
export interface ChangeItem {
  readonly kind: "member" | "settings";
  readonly key: string;
  readonly seq: number;
  readonly from: string;
  readonly name: string;
  readonly ts: string;
  readonly event: MemberEvent | SettingsEvent;
}

export type Item = MessageItem | ChangeItem;

export interface ConversationSnapshot {
  readonly conversation: string;
  /** Its row in the list: title, kind, unread …; none while the list is on its way, or when it is not in it. */
  readonly row: ConversationRow | undefined;
  /** Oldest first. */
  readonly items: readonly Item[];
  /** `refused`: `error` says why (`not_a_member`, `unknown_conversation` …). */
  readonly status: "loading" | "ready" | "refused";
  readonly error: HallwayError | undefined;
  /** There is nothing older than the first item. */
  readonly complete: boolean;
  readonly loadingOlder: boolean;
  /** uid → the seq that they have read up to, as far as it was told while we were there. */
  readonly readers: Readonly<Record<string, number>>;
  readonly typing: readonly { readonly user: string; readonly name: string }[];
  /** Undefined until `loadMembers` was called. */
  readonly members: readonly Member[] | undefined;
}

/** What a conversation needs of the client. */
export interface Surroundings {
  call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>>;
  send(conversation: string, draft: Draft | string): { id: string; placed: Promise<Placed> };
  outgoing(conversation: string): Outgoing[];
  row(conversation: string): ConversationRow | undefined;
  markRead(conversation: string, seq: number): void;
  me(): { user: string; name: string } | undefined;
  readonly url: string;
}

/** How many events a page of history has. */
export const PAGE = 100;
/** More than this are not kept: the oldest are let go when new ones come, and can be loaded again. */
export const MAX_ITEMS = 20_000;
/** Typing is said again after this … */
const TYPING_MS = 4_000;
/** … and forgotten when it was not said for longer. */
const TYPING_FORGOTTEN_MS = 6_000;

interface Marks {
  edit?: { seq: number; text: string };
  deleted?: boolean;
  /** emoji → uid → the last that they did about it. */
  reactions?: Map<string, Map<string, { seq: number; on: boolean }>>;
}

export class Conversation extends Store<ConversationSnapshot> {
  #items: Item[] = [];
  #events = new Map<number, ChatEvent>();
  readonly #marks = new Map<number, Marks>();
  #own: MessageItem[] = [];
  #status: ConversationSnapshot["status"] = "loading";
  #error: HallwayError | undefined;
  #complete = false;
  /** The oldest seq that was read, whatever its kind. */
  #oldest: number | undefined;
  #older: Promise<void> | undefined;
  #readers: Record<string, number> = {};
  readonly #typists = new Map<string, { name: string; timer: ReturnType<typeof setTimeout> }>();
  #members: Map<string, Member> | undefined;
  #saidTypingAt = 0;
  #stopTypingTimer: ReturnType<typeof setTimeout> | undefined;

  constructor(
    readonly id: string,
    private readonly around: Surroundings,
  ) {
    super();
    for (const message of around.outgoing(id)) this.outgoing(message);
  }

  // ---- What one does

  /** Says something, at once when there is a connection, else as soon as there is one. */
  send(draft: Draft | string): { id: string; placed: Promise<Placed> } {
    this.typing(false);
    return this.around.send(this.id, draft);
  }
  edit(seq: number, text: string): Promise<Placed> {
    return this.around.call("message.edit", { conversation: this.id, seq, text });
  }
  delete(seq: number): Promise<Placed> {
    return this.around.call("message.delete", { conversation: this.id, seq });
  }
  react(seq: number, emoji: string, on = true): Promise<Placed> {
    return this.around.call("message.react", { conversation: this.id, seq, emoji, on });
  }

  /** Says that one has read up to `seq`, or all of it. */
  read(seq?: number): void {
    const last = seq ?? Math.max(this.#items.at(-1)?.seq ?? 0, this.around.row(this.id)?.seq ?? 0);
    if (last) this.around.markRead(this.id, last);
  }

  /** Call it with every keystroke: it is told now and then, and taken back when the keystrokes end. */
  typing(on = true): void {
    clearTimeout(this.#stopTypingTimer);
    const now = Date.now();
    if (on) {
      this.#stopTypingTimer = setTimeout(() => this.typing(false), TYPING_MS);
      if (now - this.#saidTypingAt < TYPING_MS) return;
    } else if (!this.#saidTypingAt) return;
    this.#saidTypingAt = on ? now : 0;
    this.around.call("conversation.typing", { conversation: this.id, on }).catch(() => {});
  }

  /** Loads the page before the oldest item. Does nothing when there is none, or one is being loaded. */
  loadOlder(limit = PAGE): Promise<void> {
    if (this.#complete || this.#status !== "ready") return Promise.resolve();
    this.#older ??= this.#page(limit).finally(() => {
      this.#older = undefined;
      this.changed();
    });
    this.changed();
    return this.#older;
  }

  /** Loads who is in it; kept up to date from then on. */
  async loadMembers(): Promise<void> {
    const members = new Map<string, Member>();
    for (let after: string | undefined, complete = false; !complete;) {
      const page = await this.around.call("conversation.members", { conversation: this.id, limit: 500, ...(after && { after }) });
      for (const member of page.members) members.set(member.user, member);
      after = page.members.at(-1)?.user;
      complete = page.complete || !after;
    }
    this.#members = members;
    this.changed();
  }

  /** The message with this seq, loaded alone when it is not among the items (what somebody replied to). */
  async message(seq: number): Promise<MessageItem | undefined> {
    const found = this.#items[this.#index(seq)];
    if (found?.seq === seq) return found.kind === "message" ? found : undefined;
    const { events } = await this.around.call("conversation.history", { conversation: this.id, after: seq - 1, limit: 1 });
    const event = events[0];
    return event?.seq === seq && event.kind === "message" ? this.#sent(event) : undefined;
  }

  // ---- What the client tells it

  /** @internal Reads the newest page, once it is followed. */
  async load(): Promise<void> {
    if (this.#status === "ready") return;
    try {
      await this.#page(PAGE);
      this.#status = "ready";
      this.#error = undefined;
    } catch (error) {
      this.refused(error as HallwayError);
    }
    this.changed();
  }

  /** @internal */
  refused(error: HallwayError): void {
    if (error.passing || error.code === 1001) return;
    this.#status = "refused";
    this.#error = error;
    this.changed();
  }

  /** @internal Another epoch: nothing of it is worth anything. */
  reset(): void {
    this.#items = [];
    this.#events.clear();
    this.#marks.clear();
    this.#oldest = undefined;
    this.#complete = false;
    this.#status = "loading";
    this.#readers = {};
    this.changed();
  }

  /** @internal An event that is newer than all before. */
  apply(event: ChatEvent): void {
    this.#take([event]);
    if (event.kind === "message") this.typed(event.from, "", false);
    if (event.kind === "member") this.#moved(event);
    while (this.#items.length > MAX_ITEMS) this.#letGo(this.#items.shift() as Item);
    this.changed();
  }

  /** @internal */
  typed(user: string, name: string, on: boolean): void {
    const before = this.#typists.get(user);
    if (!before && !on) return;
    clearTimeout(before?.timer);
    this.#typists.delete(user);
    if (on) this.#typists.set(user, { name, timer: setTimeout(() => this.typed(user, "", false), TYPING_FORGOTTEN_MS) });
    this.changed();
  }

  /** @internal */
  readBy(user: string, seq: number): void {
    if ((this.#readers[user] ?? 0) >= seq) return;
    this.#readers = { ...this.#readers, [user]: seq };
    this.changed();
  }

  /** @internal One's own message on its way. */
  outgoing(message: Outgoing, gone = false): void {
    const at = this.#own.findIndex(({ key }) => key === message.id);
    const arrived = message.placed && this.#events.has(message.placed.seq);
    if (gone || arrived) {
      if (at >= 0) this.#own = this.#own.filter((_, index) => index !== at);
    } else if (at >= 0) this.#own = this.#own.map((item, index) => (index === at ? this.#unsent(message) : item));
    else this.#own = [...this.#own, this.#unsent(message)];
    this.changed();
  }

  /** @internal The row or the own name changed. */
  touched(): void {
    this.changed();
  }

  // ---- How it is put together

  protected build(): ConversationSnapshot {
    return {
      conversation: this.id,
      row: this.around.row(this.id),
      items: [...this.#items, ...this.#own],
      status: this.#status,
      error: this.#error,
      complete: this.#complete,
      loadingOlder: this.#older !== undefined,
      readers: this.#readers,
      typing: [...this.#typists].map(([user, { name }]) => ({ user, name })),
      members: this.#members && [...this.#members.values()],
    };
  }

  async #page(limit: number): Promise<void> {
    const before = this.#oldest;
    const { events, complete } = await this.around.call("conversation.history", {
      conversation: this.id,
      limit,
      ...(before !== undefined && { before }),
    });
    if (before !== this.#oldest) return; // it was reset meanwhile
    this.#complete = complete;
    this.#oldest = events[0]?.seq ?? before;
    this.#take(events);
    this.changed();
  }

  /** Takes up events in any order; those that are there already change nothing. */
  #take(events: readonly ChatEvent[]): void {
    const fresh: Item[] = [];
    const marked = new Set<number>();
    for (const event of events) {
      if (this.#events.has(event.seq)) continue;
      if (event.kind === "edit" || event.kind === "delete" || event.kind === "react") {
        if (this.#mark(event)) marked.add(event.target);
        continue;
      }
      this.#events.set(event.seq, event);
      if (event.kind === "message" && this.#key(event) === event.client_id)
        this.#own = this.#own.filter(({ key }) => key !== event.client_id);
      fresh.push(this.#item(event));
    }
    this.#insert(fresh);
    for (const target of marked) this.#render(target);
  }

  /** Pages come in one piece, before or after what is there; anything else is sorted in. */
  #insert(fresh: Item[]): void {
    if (!fresh.length) return;
    const [first, last] = [fresh[0]?.seq ?? 0, fresh.at(-1)?.seq ?? 0];
    if (first > (this.#items.at(-1)?.seq ?? 0)) for (const item of fresh) this.#items.push(item);
    else if (last < (this.#items[0]?.seq ?? 0)) this.#items = [...fresh, ...this.#items];
    else this.#items = [...this.#items, ...fresh].sort((a, b) => (a.seq ?? 0) - (b.seq ?? 0));
  }

  #mark(event: EditEvent | DeleteEvent | ReactEvent): boolean {
    let marks = this.#marks.get(event.target);
    if (!marks) this.#marks.set(event.target, (marks = {}));
    if (event.kind === "delete") {
      if (marks.deleted) return false;
      marks.deleted = true;
    } else if (event.kind === "edit") {
      if ((marks.edit?.seq ?? 0) >= event.seq) return false;
      marks.edit = { seq: event.seq, text: event.text };
    } else {
      marks.reactions ??= new Map();
      let users = marks.reactions.get(event.emoji);
      if (!users) marks.reactions.set(event.emoji, (users = new Map()));
      if ((users.get(event.from)?.seq ?? 0) >= event.seq) return false;
      users.set(event.from, { seq: event.seq, on: event.on });
    }
    return true;
  }

  #render(target: number): void {
    const at = this.#index(target);
    const event = this.#events.get(target);
    if (event?.kind === "message" && this.#items[at]?.seq === target) this.#items[at] = this.#sent(event);
  }

  /** Where an item with this seq is or would be. */
  #index(seq: number): number {
    let [low, high] = [0, this.#items.length];
    while (low < high) {
      const middle = (low + high) >> 1;
      if ((this.#items[middle]?.seq ?? 0) < seq) low = middle + 1;
      else high = middle;
    }
    return low;
  }

  #letGo({ seq = 0 }: Item): void {
    this.#events.delete(seq);
    this.#marks.delete(seq);
    this.#oldest = this.#items[0]?.seq;
    this.#complete = false;
  }

  #item(event: ChatMessage | MemberEvent | SettingsEvent): Item {
    const { kind, seq, from, name, ts } = event;
    return kind === "message" ? this.#sent(event) : { kind, key: String(seq), seq, from, name, ts, event };
  }

  #sent(event: ChatMessage): MessageItem {
    const { seq, from, name, ts } = event;
    const marks = this.#marks.get(seq);
    const deleted = Boolean(event.deleted || marks?.deleted);
    const me = this.around.me()?.user;
    return {
      kind: "message",
      key: this.#key(event),
      seq,
      id: event.id,
      ...(event.client_id !== undefined && { clientId: event.client_id }),
      from,
      name,
      ts,
      text: deleted ? "" : (marks?.edit?.text ?? event.text),
      ...(event.reply_to !== undefined && { replyTo: event.reply_to }),
      mentions: event.mentions ?? [],
      attachments: deleted ? [] : this.#attachments(event.attachments),
      edited: Boolean(event.edited || marks?.edit),
      deleted,
      reactions: deleted ? [] : this.#reactions(event, marks, me),
      own: from === me,
      ...(event.via !== undefined && { via: event.via }),
      state: "sent",
    };
  }

  /** Clients of other protocols use an id again, so theirs is no key. */
  #key({ from, client_id: id, via, seq }: ChatMessage): string {
    return id && from === this.around.me()?.user && (via === "ws" || via === "http") ? id : String(seq);
  }

  #reactions(event: ChatMessage, marks: Marks | undefined, me: string | undefined): Reaction[] {
    const emojis = new Set([...Object.keys(event.reactions ?? {}), ...(marks?.reactions?.keys() ?? [])]);
    return [...emojis].flatMap((emoji) => {
      const known = marks?.reactions?.get(emoji);
      const users = known ? [...known].flatMap(([user, { on }]) => (on ? [user] : [])) : [];
      // Everything about a message came after it and is loaded when it is; only what was erased is known by its number alone.
      const count = known ? users.length : (event.reactions?.[emoji] ?? 0);
      return count ? [{ emoji, count, users, mine: me !== undefined && users.includes(me) }] : [];
    });
  }

  #unsent(message: Outgoing): MessageItem {
    const me = this.around.me();
    return {
      kind: "message",
      key: message.id,
      clientId: message.id,
      ...(message.placed && { seq: message.placed.seq, id: message.placed.id }),
      from: me?.user ?? "",
      name: me?.name ?? "",
      ts: message.placed?.ts ?? new Date(message.at).toISOString(),
      text: message.text,
      ...(message.replyTo !== undefined && { replyTo: message.replyTo }),
      mentions: message.mentions ?? [],
      attachments: this.#attachments(message.attachments),
      edited: false,
      deleted: false,
      reactions: [],
      own: true,
      state: message.state,
      ...(message.failure && { failure: message.failure }),
    };
  }

  #attachments(urls: readonly string[] = []): Attachment[] {
    return urls.map((url) => parseAttachment(url, this.around.url));
  }

  #moved({ user, change, role, from, name }: MemberEvent): void {
    if (!this.#members || change === "invited") return;
    this.#members = new Map(this.#members);
    const before = this.#members.get(user);
    if (change === "joined") this.#members.set(user, { user, name: user === from ? name : user, role: before?.role ?? "member" });
    else if (change === "role") this.#members.set(user, { ...(before ?? { user, name: user }), role: role ?? "member" });
    else this.#members.delete(user);
  }
}
