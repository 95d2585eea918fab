/** The client: one session, the conversations that it follows, the outbox, and what views look at. */

import { upload, type Uploaded, type UploadOptions } from "./attachments.js";
import { Connection, type State } from "./connection.js";
import { Conversation, type Surroundings } from "./conversation.js";
import { Conversations } from "./conversations.js";
import { Emitter, type Off } from "./emitter.js";
import { HallwayError, refusal } from "./errors.js";
import { Follower, type Cursor } from "./follower.js";
import type { WebSocketClass } from "./link.js";
import { Outbox, type Draft, type Outgoing } from "./outbox.js";
import { People } from "./people.js";
import type {
  ChatEvent,
  ConversationRow,
  Found,
  Hello,
  Limits,
  Method,
  Notifications,
  Params,
  Placed,
  Result,
  Role,
  Session,
  Status,
} from "./protocol.js";
import { defaultStorage, type HallwayStorage } from "./storage.js";
import { watchSurroundings } from "./surroundings.js";

export interface ClientOptions {
  /** Where the server is: `https://chat.example.org`. */
  url: string;
  /** A token from `login` or `register`; or say how to get one. */
  token?: string;
  /** Asked for a token before each connection; with `refresh` after the last one was refused. */
  getToken?: (options: { refresh: boolean }) => string | Promise<string>;
  conference?: string;
  /** The uid that the token is of, when it is known: what is said before the first connection is then kept, too. */
  user?: string;
  name?: string;
  /** What this client is called in the list of sessions. */
  device?: string;
  /** Where unsent messages are kept: IndexedDB or localStorage where there is one, else memory. */
  storage?: HallwayStorage;
  /** For Node before 22: the class of the package `ws`. */
  WebSocket?: WebSocketClass | undefined;
  fetch?: typeof globalThis.fetch;
  /** Follow all conversations of the list (the default), or only those that are opened with `conversation`. */
  follow?: "all" | "opened";
  /** Where an earlier client ended (`client.cursor`): what came since is told as events. */
  resume?: Cursor;
  /** Pause after so long in the background; false: never. 60 s. */
  backgroundMs?: number | false;
  transport?: "auto" | "websocket" | "sse";
  /** Multiplies the waits between tries. 1. */
  backoffScale?: number;
}

export interface Me {
  user: string;
  name: string;
  role?: Role;
  conference?: string;
  /** The id of the live session. */
  session?: string;
}

export interface ClientEvents extends Omit<Notifications, "topic"> {
  /** What the client is doing. */
  state: State;
  /** Signed in. */
  hello: Hello;
  /** Signed in, the list read, and everything missed caught up or on its way. */
  synced: undefined;
  /** The server was restored: all seqs are void, and everything is read anew. */
  resync: { epoch: string };
  /** One's own message on its way. */
  outgoing: Outgoing;
  /** Something that went wrong without anybody having asked for it, such as a storage that does not keep. */
  warning: unknown;
}

export class Hallway extends Emitter<ClientEvents> {
  /** The list of conversations. */
  readonly conversations: Conversations;
  readonly people: People;
  readonly url: string;

  readonly #connection: Connection;
  readonly #outbox: Outbox;
  readonly #follower: Follower;
  readonly #opened = new Map<string, Conversation>();
  readonly #storage: HallwayStorage;
  readonly #around: Surroundings;
  readonly #fetch: typeof globalThis.fetch;
  readonly #stopWatching: Off;
  readonly #reads = new Map<string, number>();
  #readTimer: ReturnType<typeof setTimeout> | undefined;
  #self: Me | undefined;

  constructor(private readonly options: ClientOptions) {
    super();
    this.url = options.url.replace(/\/+$/, "");
    this.#storage = options.storage ?? defaultStorage();
    this.#fetch = options.fetch ?? ((...args) => globalThis.fetch(...args));
    this.#connection = new Connection({
      url: this.url,
      getToken: (refresh) => this.token(refresh),
      conference: options.conference,
      device: options.device,
      WebSocket: this.webSocket,
      fetch: this.#fetch,
      transport: options.transport ?? "auto",
      backoffScale: options.backoffScale ?? 1,
    });
    this.#outbox = new Outbox(this.#storage, (params) => this.call("message.send", params), this.#warn);
    this.people = new People((method, params) => this.call(method, params));
    this.conversations = new Conversations((id) => this.#opened.get(id)?.touched());
    this.#around = this.#surround();
    this.#follower = new Follower(this.#connection, options.follow ?? "all", options.resume, {
      list: (rows) => this.conversations.replace(rows),
      event: (event) => this.#happened(event),
      notice: (notice) => {
        this.conversations.noticed(notice);
        this.emit("notice", notice);
      },
      reset: (conversation) => this.#reset(conversation),
      refused: (conversation, error) => this.#opened.get(conversation)?.refused(error),
      following: (conversation) => void this.#opened.get(conversation)?.load(),
      resync: (epoch) => this.emit("resync", { epoch }),
      warn: this.#warn,
    });
    this.#listen();
    this.#stopWatching = watchSurroundings(this, this.#connection, options.backgroundMs ?? 60_000);
    void this.#remember();
  }

  // ---- The connection

  get state(): State {
    return this.#connection.state;
  }
  /** Who one is; from an earlier time while there was no connection yet. */
  get me(): Me | undefined {
    return this.#self;
  }
  get limits(): Limits | undefined {
    return this.#connection.hello?.limits;
  }
  /** How far everything was told: what a later client takes as `resume`. */
  get cursor(): Cursor | undefined {
    return this.#follower.cursor;
  }

  /** Connects, and stays connected until `pause`, `close` or `signOut`. */
  connect(): this {
    this.#connection.connect();
    return this;
  }
  /** Ends the connection for now; messages can be said and wait. */
  pause(): void {
    if (this.state.status !== "signedOut") this.#connection.stop({ status: "paused" });
  }
  /** Connects again after `pause`. */
  resume(): void {
    if (this.state.status === "paused") this.#connection.connect();
  }
  /** Ends the connection and this client. What was not sent stays in the storage. */
  close(): void {
    this.#stopWatching();
    clearTimeout(this.#readTimer);
    this.conversations.close();
    this.#connection.stop({ status: "idle" });
  }
  /** Ends the session, its token too when the server can be reached at once, and forgets what is kept of this user here, unsent messages included. */
  async signOut(): Promise<void> {
    this.#outbox.stop();
    await this.#connection.signOut();
    this.#reset();
    this.conversations.clear();
    this.people.clear();
    this.#self = undefined;
    await this.#outbox.clear();
    await this.#storage.remove(this.#key("me"));
  }

  /** Resolves when signed in and up to date; rejects when one has to sign in first. */
  whenSynced(): Promise<void> {
    if (this.#follower.synced) return Promise.resolve();
    return new Promise((resolve, reject) => {
      const offs = [
        this.on("synced", () => end(resolve)),
        this.on("state", (state) => state.status === "signedOut" && end(() => reject(new HallwayError(state.reason)))),
      ];
      const end = (settle: () => void): void => {
        for (const off of offs) off();
        settle();
      };
    });
  }

  /** Calls a method of the server; rejects with `offline` when there is no connection. */
  call<M extends Method>(method: M, params: Params<M>): Promise<Result<M>> {
    return this.#connection.call(method, params);
  }

  // ---- Conversations

  /** A conversation: followed from now on, and always the same object. */
  conversation(id: string): Conversation {
    let conversation = this.#opened.get(id);
    if (!conversation) {
      conversation = new Conversation(id, this.#around);
      this.#opened.set(id, conversation);
      this.#follower.follow(id);
    }
    return conversation;
  }

  /** Says something. Goes out now or as soon as there is a connection; `placed` tells where it stands. @throws HallwayError `outbox_full` */
  send(conversation: string, draft: Draft | string): { id: string; placed: Promise<Placed> } {
    return this.#outbox.add(conversation, typeof draft === "string" ? { text: draft } : draft);
  }
  /** Sends a failed message again. */
  retry(id: string): void {
    this.#outbox.retry(id);
  }
  /** Takes a message back that was not sent. */
  discard(id: string): void {
    this.#outbox.discard(id);
  }
  /** What was not sent yet, in order. */
  outgoing(conversation?: string): Outgoing[] {
    return this.#outbox.list(conversation);
  }

  /** Reads the list again. */
  refresh(): Promise<void> {
    return this.#follower.refresh();
  }
  /** The direct conversation with somebody, made when there is none; answers its id. */
  async openDirect(user: string): Promise<string> {
    return this.#listed((await this.call("conversation.open", { with: user })).conversation);
  }
  /** Makes a group, or (staff) a channel; answers its id. */
  async create(params: Params<"conversation.create">): Promise<string> {
    return this.#listed((await this.call("conversation.create", params)).conversation);
  }
  async join(conversation: string): Promise<void> {
    await this.call("conversation.join", { conversation });
    await this.#listed(conversation);
    this.#follower.follow(conversation);
  }
  async leave(conversation: string): Promise<void> {
    await this.call("conversation.leave", { conversation });
    this.#follower.ended(conversation);
    await this.refresh();
  }

  /** Messages of one's own history that match, newest first. */
  search(query: string, options: { conversation?: string; before?: number | string; limit?: number } = {}): Promise<Found> {
    return this.call("message.search", { query, ...options });
  }

  // ---- Oneself

  /** Says that the notices up to this seq were seen: later clients are not told them again. */
  async noticesSeen(seq: number): Promise<void> {
    await this.call("conversation.read", { conversation: "inbox", seq });
  }

  setPresence(status: Exclude<Status, "offline">, text?: string): Promise<unknown> {
    return this.call("presence.set", { status, ...(text !== undefined && { text }) });
  }
  async sessions(): Promise<Session[]> {
    return (await this.call("session.list", {})).sessions;
  }
  /** Closes one of one's own sessions; with `revoke` its token is good for nothing any more, and the device has to sign in again. */
  closeSession(session: string, { revoke = false } = {}): Promise<void> {
    return this.#connection.closeSession(session, revoke);
  }

  /** Uploads a file; its `url` goes into `attachments` of a message. */
  async upload(file: Blob | ArrayBuffer | Uint8Array, options: UploadOptions = {}): Promise<Uploaded> {
    const most = this.limits?.file_bytes ?? Infinity;
    // Said at once: a server that is sent more closes, and the reason with it.
    if ("size" in file ? file.size > most : file.byteLength > most) throw new HallwayError("too_large", `over ${most} bytes`, 1013);
    return upload(this.url, await this.token(false), file, options, this.#fetch);
  }

  /** The token in use, for HTTP endpoints of the server. */
  async token(refresh = false): Promise<string> {
    const { token, getToken } = this.options;
    if (getToken) return getToken({ refresh });
    if (token && !refresh) return token;
    throw new HallwayError("bad_token", "the token was refused", 1001);
  }

  /** A ticket, good for one upgrade (`/sock`, `/events`) within 30 s: what may be in a URL. */
  async ticket(): Promise<string> {
    const answer = await this.#fetch(`${this.url}/ticket`, { method: "POST", headers: { Authorization: `Bearer ${await this.token()}` } });
    const body = await answer.json().catch(() => undefined);
    if (!answer.ok) throw refusal(body?.error, answer.status);
    return body.ticket;
  }
  /** The class of WebSocket in use. */
  get webSocket(): WebSocketClass | undefined {
    return this.options.WebSocket ?? (globalThis.WebSocket as unknown as WebSocketClass | undefined);
  }

  // ---- What happens

  readonly #warn = (error: unknown): void => this.emit("warning", error);

  #listen(): void {
    this.#outbox.on("change", ({ message, gone }) => {
      this.#opened.get(message.conversation)?.outgoing(message, gone);
      if (!gone) this.emit("outgoing", message);
    });
    this.#connection.on("state", (state) => {
      if (state.status !== "online") this.#outbox.stop();
      this.emit("state", state);
    });
    this.#connection.on("hello", (hello) => void this.#greeted(hello));
    this.#connection.on("notification", ({ method, params }) => this.#notified(method, params));
  }

  async #greeted(hello: Hello): Promise<void> {
    const { user, name, role, conference, session } = hello;
    const before = this.#self?.user;
    this.#self = { user, name, role, conference, session };
    if (before !== undefined && before !== user) this.#reset();
    this.emit("hello", hello);
    void this.#storage.set(this.#key("me"), JSON.stringify({ user, name, role, conference })).catch(this.#warn);
    void this.#outbox.identify(this.#key(`${conference}|${user}|`));
    this.#outbox.start();
    for (const conversation of this.#opened.values()) conversation.touched();
    if (!(await this.#follower.sync(hello, this.#opened.keys()))) return;
    this.#tellReads();
    this.emit("synced", undefined);
  }

  #notified(method: string, params: unknown): void {
    const { conversation, from, name, on, seq } = params as { conversation: string; from: string; name: string; on: boolean; seq: number };
    if (method === "typing") {
      if (from !== this.#self?.user) this.#opened.get(conversation)?.typed(from, name, on);
    } else if (method === "read") this.#readBy(conversation, from, seq);
    else if (method === "presence") this.people.present(params as Notifications["presence"]);
    else return this.#follower.notified(method, params);
    this.emit(method as "typing", params as Notifications["typing"]);
  }

  #happened(event: ChatEvent): void {
    this.conversations.apply(event, this.#self?.user);
    this.#opened.get(event.conversation)?.apply(event);
    if (event.kind === "message") this.emit("message", event);
    else if (event.kind === "member") this.emit("member", event);
    else this.emit("event", event);
  }

  #readBy(conversation: string, user: string, seq: number): void {
    this.#opened.get(conversation)?.readBy(user, seq);
    const row = this.conversations.get(conversation);
    if (user !== this.#self?.user || !row || seq <= row.read) return;
    // Another session of ours read it: all of it, or we ask how much is left.
    this.conversations.patch(conversation, { read: seq });
    if (seq >= (row.last?.seq ?? row.seq)) this.conversations.patch(conversation, { unread: 0 });
    else
      this.call("conversation.read", { conversation, seq }).then(
        ({ unread }) => this.conversations.patch(conversation, { unread }),
        () => {},
      );
  }

  #markRead(conversation: string, seq: number): void {
    const row = this.conversations.get(conversation);
    if (!row?.member || seq <= row.read || seq <= (this.#reads.get(conversation) ?? 0)) return;
    this.#reads.set(conversation, seq);
    const change: Partial<ConversationRow> = seq >= (row.last?.seq ?? row.seq) ? { read: seq, unread: 0 } : { read: seq };
    this.conversations.patch(conversation, change);
    this.#readTimer ??= setTimeout(() => this.#tellReads(), 200);
  }

  /** Tells how far one has read; what fails is told after the next connection. */
  #tellReads(): void {
    clearTimeout(this.#readTimer);
    this.#readTimer = undefined;
    if (this.state.status !== "online") return;
    for (const [conversation, seq] of [...this.#reads]) {
      this.call("conversation.read", { conversation, seq }).then(
        () => this.#reads.get(conversation) === seq && this.#reads.delete(conversation),
        (error: HallwayError) => error.passing || this.#reads.delete(conversation),
      );
    }
  }

  /** Forgets what was read of a conversation, or of all. */
  #reset(conversation?: string): void {
    if (conversation === undefined) this.#reads.clear();
    for (const [id, opened] of this.#opened) if (conversation === undefined || id === conversation) opened.reset();
  }

  async #listed(conversation: string): Promise<string> {
    await this.refresh();
    return conversation;
  }

  #surround(): Surroundings {
    return {
      url: this.url,
      call: (method, params) => this.call(method, params),
      send: (conversation, draft) => this.send(conversation, draft),
      outgoing: (conversation) => this.#outbox.list(conversation),
      row: (conversation) => this.conversations.get(conversation),
      markRead: (conversation, seq) => this.#markRead(conversation, seq),
      me: () => this.#self,
    };
  }

  #key(what: string): string {
    return `hallway|${this.url}|${what}`;
  }

  /** Who one was when this client was here last, so that what was not sent is seen before there is a connection. */
  async #remember(): Promise<void> {
    const { user, name = user, conference } = this.options;
    if (user && conference) this.#self = { user, name: name ?? user, conference };
    else {
      const kept = await this.#storage.get(this.#key("me")).catch(this.#warn);
      if (!kept || this.#self) return;
      this.#self = JSON.parse(kept) as Me;
    }
    void this.#outbox.identify(this.#key(`${this.#self.conference}|${this.#self.user}|`));
  }
}

/** A client; `connect` it when you like. */
export const createClient = (options: ClientOptions): Hallway => new Hallway(options);
