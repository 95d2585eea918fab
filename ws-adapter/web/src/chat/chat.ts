// One signed-in person's chat: the SDK's client, and what the app needs besides.
import { createClient, partnerOf, type ChatMessage, type Hallway, type Outgoing, type State } from "hallway-client";
import { complete, leave, type Account } from "./account";
import { Signal } from "./signal";

/** Whose presence is asked for after connecting: the newest direct conversations'. */
const PARTNERS = 50;
/** So many of the messages of so long are read out. */
const HEARD = 3;
const HEAR_MS = 300;

export class Chat {
  readonly client: Hallway;
  readonly state: Signal<State>;
  /** Who one is; empty until the first connection after signing in by a token alone. */
  readonly me: Signal<{ user: string; name: string; role: string }>;
  readonly waiting = new Signal<readonly Outgoing[]>([]);
  /** Conversations with unread messages that name us. */
  readonly mentioned = new Signal<ReadonlySet<string>>(new Set());
  readonly blocked = new Signal<ReadonlySet<string>>(new Set());
  /** What others lately wrote where one looks: for screen readers. */
  readonly heard = new Signal<readonly ChatMessage[]>([]);
  private hearing: ChatMessage[] | null = null;
  /** The server said that it restarts. */
  readonly draining = new Signal(false);
  private looking: { conversation: string; atEnd: boolean } | null = null;
  private readonly offs: (() => void)[] = [];

  constructor(account: Account) {
    const { token, user, name, conference } = account;
    this.client = createClient({ url: location.origin, token, device: deviceName(), ...(user && { user }), ...(name && { name }), ...(conference && { conference }) });
    this.state = new Signal(this.client.state);
    this.me = new Signal({ user: user ?? "", name: name ?? user ?? "", role: "attendee" });
    this.listen();
    this.client.connect();
  }

  private listen(): void {
    const { client } = this;
    this.offs.push(
      client.on("state", (state) => {
        this.state.set(state);
        if (state.status === "online") this.draining.set(false);
        if (state.status === "signedOut") leave(state.reason);
      }),
      client.on("hello", ({ user, name, role, conference }) => {
        this.me.set({ user, name, role });
        complete({ user, name, conference });
      }),
      client.on("synced", () => void this.refresh()),
      client.on("outgoing", () => this.countWaiting()),
      client.on("notice", ({ reason, conversation }) => {
        if (reason === "draining") this.draining.set(true);
        if (reason === "mention" && conversation) this.mark(conversation, true);
      }),
      client.on("message", (message) => {
        if (message.from !== this.me.get().user && this.looking?.conversation === message.conversation) this.hear(message);
      }),
      client.conversations.subscribe(() => this.clearMentions()),
      on(document, "visibilitychange", () => this.readWhatIsSeen()),
      on(window, "focus", () => this.readWhatIsSeen()),
    );
    this.countWaiting();
  }

  /** Says what is on the screen, and whether its end is. */
  look(conversation: string | null, atEnd: boolean): void {
    this.looking = conversation === null ? null : { conversation, atEnd };
    this.readWhatIsSeen();
  }

  /** Read out a few at a time: nobody can listen to a flood. */
  private hear(message: ChatMessage): void {
    if (!this.hearing) {
      this.hearing = [];
      setTimeout(() => {
        this.heard.set(this.hearing ?? []);
        this.hearing = null;
      }, HEAR_MS);
    }
    this.hearing.push(message);
    if (this.hearing.length > HEARD) this.hearing.shift();
  }

  discard(id: string): void {
    this.client.discard(id);
    this.countWaiting();
  }

  async block(user: string, on: boolean): Promise<void> {
    await this.client.people.block(user, on);
    const blocked = new Set(this.blocked.get());
    if (on) blocked.add(user);
    else blocked.delete(user);
    this.blocked.set(blocked);
  }

  async signOut(): Promise<void> {
    const { session } = this.client.me ?? {};
    await this.client.signOut();
    if (session) leave("signed_out");
  }

  close(): void {
    for (const off of this.offs) off();
    this.client.close();
  }

  private readWhatIsSeen(): void {
    if (this.looking?.atEnd && document.visibilityState === "visible" && document.hasFocus()) this.client.conversation(this.looking.conversation).read();
  }

  private countWaiting(): void {
    this.waiting.set(this.client.outgoing().filter(({ state }) => state !== "sent"));
  }

  private mark(conversation: string, on: boolean): void {
    const mentioned = new Set(this.mentioned.get());
    if (on) mentioned.add(conversation);
    else mentioned.delete(conversation);
    this.mentioned.set(mentioned);
  }

  private clearMentions(): void {
    for (const conversation of this.mentioned.get()) if (!this.client.conversations.get(conversation)?.unread) this.mark(conversation, false);
  }

  /** After each connecting: presence is told when it changes, and changes were missed. */
  private async refresh(): Promise<void> {
    const me = this.me.get().user;
    const { rows } = this.client.conversations.getSnapshot();
    const partners = rows.flatMap(({ conversation }) => partnerOf(conversation, me) ?? []).slice(0, PARTNERS);
    try {
      for (const partner of partners) await this.client.people.fetch(partner);
      this.blocked.set(new Set((await this.client.people.blocked()).map(({ user }) => user)));
    } catch {
      // Gone again: the next connecting asks again.
    }
    this.readWhatIsSeen();
  }
}

function on(target: EventTarget, event: string, listener: () => void): () => void {
  target.addEventListener(event, listener);
  return () => target.removeEventListener(event, listener);
}

/** What the list of sessions calls this one: "Chrome on Android". */
function deviceName(): string {
  const agent = navigator.userAgent;
  const browser = /Firefox/.test(agent) ? "Firefox" : /Edg\//.test(agent) ? "Edge" : /Chrome|CriOS/.test(agent) ? "Chrome" : /Safari/.test(agent) ? "Safari" : "Browser";
  const system = /Android/.test(agent) ? "Android" : /iPhone|iPad/.test(agent) ? "iOS" : /Windows/.test(agent) ? "Windows" : /Mac/.test(agent) ? "macOS" : "Linux";
  return `${browser} on ${system}`;
}
