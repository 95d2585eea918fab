/**
 * Topics over `/sock`: anybody with an allowance for a topic sends to all who subscribed, sees who they are, and can leave messages for who
 * comes later. One socket for all topics of a client, opened by a ticket, opened again with all subscriptions when it breaks.
 */

import { backoff } from "./backoff.js";
import type { Hallway } from "./client.js";
import { Store, type Off } from "./emitter.js";
import { HallwayError } from "./errors.js";
import type { WebSocketClass, WebSocketLike } from "./link.js";

/** What comes on a topic. `type` is the sender's action, or `subscribed`, `subscriber`, `unsubscriber`, `error`. */
export interface TopicMessage<T = unknown> {
  type: string;
  topic: string;
  /** uid. */
  sender?: string;
  /** Whether it is kept for who comes later. */
  store: boolean;
  timestamp?: string | number;
  payload: T;
}

/** Somebody at a topic, with all connections that they have there. */
export interface Subscriber {
  readonly user: string;
  readonly name: string;
  readonly cids: readonly string[];
}

export interface TopicSnapshot {
  readonly userList: readonly Subscriber[];
  /** Who came last, and who went last. */
  readonly subscriber: Subscriber | undefined;
  readonly unsubscriber: Subscriber | undefined;
  readonly connectionId: string | undefined;
  readonly connected: boolean;
  /** Why the topic was refused. */
  readonly error: string | undefined;
}

interface Users {
  [uid: string]: { name: string; cids: string[] };
}
type Payload = { connectionId?: string; users?: Users; stored?: number; user?: string; name?: string; cids?: string[]; reason?: string };

const NOTHING: TopicSnapshot = {
  userList: [],
  subscriber: undefined,
  unsubscriber: undefined,
  connectionId: undefined,
  connected: false,
  error: undefined,
};
/** Messages that wait for a connection or for their turn, per client. */
export const MAX_WAITING = 100;
const GIVEN_UP = new Set<string>(["offline", "signed_out"]);
/** Stored messages that are known again when another connection is told them once more. */
const MAX_KNOWN = 1_000;

export class Topic extends Store<TopicSnapshot> {
  /** @internal */
  readonly listeners = new Set<(message: TopicMessage) => void>();
  private users = new Map<string, Subscriber>();
  private now: TopicSnapshot = NOTHING;
  private readonly known = new Set<string>();
  /** Stored messages that are still to come after subscribing. */
  private replayed = 0;

  constructor(
    readonly name: string,
    private readonly socket: TopicSocket,
  ) {
    super();
  }

  /**
   * Sends to all subscribers, oneself included; in the order of the calls, over pauses and broken connections. Who goes without looking at
   * the promise learns of a failure from the client's `warning`.
   *
   * With `store` it is kept for who comes later, and the promise resolves when the server has it. When an answer is lost with its
   * connection, it is sent again and may be stored twice: such messages have no id. Without, it resolves when it is on its way, and rejects with
   * a connection that breaks just then: whether it arrived is not known.
   *
   * @throws HallwayError by the promise: `outbox_full`, `signed_out`, `offline` (the client was closed), `disconnected`, or the server's reason
   */
  send(action: string, payload: unknown, store = false): Promise<void> {
    return this.socket.send({ store, action, topic: this.name, payload });
  }

  /** @internal Subscribed, or refused. */
  get isAnswered(): boolean {
    return this.now.connected || this.now.error !== undefined;
  }

  /** @internal */
  take(message: TopicMessage, text: string): void {
    const { users, connectionId, stored = 0, user = "", name = user, cids = [], reason } = (message.payload ?? {}) as Payload;
    switch (message.type) {
      case "subscribed":
        this.replayed = stored;
        this.users = new Map(Object.entries(users ?? {}).map(([user, known]) => [user, { user, ...known }]));
        return this.become({ connected: true, connectionId, error: undefined });
      case "subscriber":
        this.users.set(user, { user, name, cids });
        return this.become({ subscriber: { user, name, cids } });
      case "unsubscriber":
        // Who goes with one of several connections is still there.
        if (cids.length) this.users.set(user, { user, name, cids });
        else this.users.delete(user);
        return this.become({ unsubscriber: { user, name, cids } });
      case "error":
        return this.become({ error: reason ?? "error" });
      default:
        if (this.isKnown(message, text)) return;
        for (const listener of [...this.listeners]) listener(message);
    }
  }

  /** Whether a stored message was told over an earlier connection. They have no id; the whole text is one. */
  private isKnown({ store }: TopicMessage, text: string): boolean {
    if (!store) return false;
    const isReplayed = this.replayed > 0;
    if (isReplayed) this.replayed -= 1;
    if (isReplayed && this.known.has(text)) return true;
    this.known.add(text);
    for (const oldest of this.known) {
      if (this.known.size <= MAX_KNOWN) break;
      this.known.delete(oldest);
    }
    return false;
  }

  /** @internal */
  lost(): void {
    this.users.clear();
    this.become({ connected: false, connectionId: undefined });
  }

  protected build(): TopicSnapshot {
    return this.now;
  }

  private become(change: Partial<TopicSnapshot>): void {
    this.now = { ...this.now, ...change, userList: [...this.users.values()] };
    this.changed();
  }
}

interface Frame {
  store: boolean;
  action: string;
  topic: string;
  payload: unknown;
}

interface Waiting {
  frame: Frame;
  resolve(): void;
  reject(error: HallwayError): void;
}

class TopicSocket {
  private readonly topics = new Map<string, { topic: Topic; uses: number }>();
  private socket: WebSocketLike | undefined;
  /** There is a socket, or one is being opened. */
  private opening = false;
  private ready = false;
  private waiting: Waiting[] = [];
  /** A message is being stored, and what came after it waits. */
  private storing = false;
  private pauseTimer: ReturnType<typeof setTimeout> | undefined;
  private refusals = 0;
  private attempt = 0;
  private era = 0;
  private timer: ReturnType<typeof setTimeout> | undefined;

  constructor(private readonly client: Hallway) {
    client.on("state", ({ status }) => {
      if (status === "online") {
        this.start();
        this.pump();
      } else if (status === "idle" || status === "paused" || status === "signedOut") this.close();
      if (status === "idle") this.giveUp("offline");
      if (status === "signedOut") this.giveUp("signed_out");
    });
  }

  topic(name: string): Topic {
    return this.topics.get(name)?.topic ?? new Topic(name, this);
  }

  /** Subscribes while somebody listens. */
  use(topic: Topic, listener: (message: TopicMessage) => void): Off {
    let used = this.topics.get(topic.name);
    if (!used) {
      this.topics.set(topic.name, (used = { topic, uses: 0 }));
      if (this.ready) this.say("subscribe", topic.name);
      else this.start();
    }
    const { topic: shared } = used;
    used.uses += 1;
    shared.listeners.add(listener);
    return () => {
      if (!shared.listeners.delete(listener)) return;
      used.uses -= 1;
      if (!used.uses) this.leave(shared);
    };
  }

  send(frame: Frame): Promise<void> {
    const sent = new Promise<void>((resolve, reject) => {
      if (this.waiting.length < MAX_WAITING) this.waiting.push({ frame, resolve, reject });
      else reject(new HallwayError("outbox_full", "too many messages wait for a connection"));
    });
    // What ends with the client is told by its state.
    sent.catch((error: HallwayError) => GIVEN_UP.has(error.reason) || this.client.emit("warning", error));
    this.pump();
    return sent;
  }

  /** Sends what waits, in order, as far as there is a connection for it. */
  private pump(): void {
    while (!this.storing && !this.pauseTimer && this.client.state.status === "online") {
      const [next] = this.waiting;
      if (!next) return;
      const { frame } = next;
      const held = this.topics.get(frame.topic)?.topic;
      if (frame.store || !held) return void this.transmit(next);
      // One hears oneself, and so waits until one listens. All goes over the session, so that the order holds.
      if (!held.isAnswered) return;
      this.waiting.shift();
      this.client.call("topic.transmit", frame).then(() => next.resolve(), next.reject);
    }
  }

  private async transmit(next: Waiting): Promise<void> {
    this.storing = true;
    const done = (): void => void (this.waiting[0] === next && this.waiting.shift());
    try {
      await this.client.call("topic.transmit", next.frame);
      this.refusals = 0;
      done();
      next.resolve();
    } catch (reason) {
      const error = reason as HallwayError;
      if (!error.passing && error.code !== 1001) {
        done();
        next.reject(error);
      } else if (this.client.state.status === "online") this.later(error);
      // Otherwise the connection broke, and it goes out again with the next one.
    }
    this.storing = false;
    this.pump();
  }

  private later({ retryAfterMs }: HallwayError): void {
    this.pauseTimer = setTimeout(
      () => {
        this.pauseTimer = undefined;
        this.pump();
      },
      backoff(this.refusals++, retryAfterMs),
    );
  }

  private giveUp(reason: string): void {
    for (const { reject } of this.waiting.splice(0)) reject(new HallwayError(reason));
  }

  private say(action: "subscribe" | "unsubscribe", topic: string): void {
    this.socket?.send(JSON.stringify({ store: false, action, topic, payload: null }));
  }

  private leave(topic: Topic): void {
    this.topics.delete(topic.name);
    if (this.ready) this.say("unsubscribe", topic.name);
    topic.lost();
    if (!this.topics.size) this.close();
    this.pump();
  }

  private close(): void {
    this.era += 1;
    clearTimeout(this.timer);
    this.timer = undefined;
    this.ready = false;
    if (this.socket) this.socket.onclose = null;
    this.socket?.close();
    this.socket = undefined;
    this.opening = false;
    for (const { topic } of this.topics.values()) topic.lost();
  }

  /** Opens a socket when there is something to listen to; the client's own session comes first. */
  private start(): void {
    if (this.topics.size && this.client.state.status === "online" && !this.opening && !this.timer) void this.open();
  }

  private async open(): Promise<void> {
    const era = ++this.era;
    this.opening = true;
    try {
      const ticket = await this.client.ticket();
      if (era !== this.era) return;
      const WebSocket = this.client.webSocket as WebSocketClass;
      const socket = new WebSocket(`${this.client.url.replace(/^http/, "ws")}/sock?ticket=${encodeURIComponent(ticket)}`);
      this.socket = socket;
      socket.onopen = () => era === this.era && this.opened();
      socket.onmessage = ({ data }: { data: string }) => era === this.era && this.receive(data);
      socket.onclose = () => era === this.era && this.lost();
      socket.onerror = () => {};
    } catch (error) {
      if (era === this.era) this.lost(error as HallwayError);
    }
  }

  private opened(): void {
    this.ready = true;
    this.attempt = 0;
    for (const topic of this.topics.keys()) this.say("subscribe", topic);
  }

  private receive(text: string): void {
    const message = JSON.parse(text) as TopicMessage;
    this.topics.get(message.topic)?.topic.take(message, text);
    this.pump();
  }

  private lost(error?: HallwayError): void {
    this.socket = undefined;
    this.ready = this.opening = false;
    for (const { topic } of this.topics.values()) topic.lost();
    this.timer = setTimeout(
      () => {
        this.timer = undefined;
        this.start();
      },
      backoff(this.attempt++, error?.retryAfterMs),
    );
  }
}

const sockets = new WeakMap<Hallway, TopicSocket>();

const socketOf = (client: Hallway): TopicSocket => {
  let socket = sockets.get(client);
  if (!socket) sockets.set(client, (socket = new TopicSocket(client)));
  return socket;
};

/** A topic; subscribed while `useTopic` holds it. */
export const topicOf = (client: Hallway, name: string): Topic => socketOf(client).topic(name);

/** Subscribes to a topic until the returned function is called. */
export const useTopic = (client: Hallway, topic: Topic, listener: (message: TopicMessage) => void): Off =>
  socketOf(client).use(topic, listener);
