// One signed-in person's chat: the SDK's client, and what the app needs besides.
import { createClient, partnerOf, type ChatMessage, type Hallway, type Outgoing, type State } from "hallway-client";
import type { Told } from "../sw.push";
import { go, parse, to } from "../ui/route";
import { complete, leave, type Account } from "./account";
import { Acquaintances } from "./acquaintances";
import { closeRead, deviceName, renew, turnOff } from "./push";
import { Scans } from "./scans";
import { features } from "./server";
import { Signal } from "./signal";

/** Whose presence is asked for after connecting: the newest direct conversations'. */
const PARTNERS = 50;
/** So many of the messages of so long are read out. */
const HEARD = 3;
const HEAR_MS = 300;
/** What was seen of the notices is told at most once in so long. */
const SEEN_MS = 500;
/** Notifications of what was read are closed at most once in so long. */
const CLOSE_MS = 500;
/** Signing out waits so long for the server to forget where one is pushed. */
const UNREGISTER_MS = 2000;

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
  /** Whom one has met, and who asks. */
  readonly acquaintances: Acquaintances;
  /** Badges held to this device. */
  readonly scans: Scans;
  private hearing: ChatMessage[] | null = null;
  /** The newest notice, how far they were said to be seen, and the first mention in each conversation where it is still to be read. */
  private readonly notices = { newest: 0, seen: 0, mentions: new Map<string, number>() };
  private telling: ReturnType<typeof setTimeout> | undefined;
  /** The server said that it restarts. */
  readonly draining = new Signal(false);
  private looking: { conversation: string; atEnd: boolean } | null = null;
  private closing: ReturnType<typeof setTimeout> | undefined;
  private readonly offs: (() => void)[] = [];

  constructor(account: Account) {
    const { token, user, name, conference } = account;
    this.client = createClient({ url: location.origin, token, device: deviceName(), ...(user && { user }), ...(name && { name }), ...(conference && { conference }) });
    this.state = new Signal(this.client.state);
    this.me = new Signal({ user: user ?? "", name: name ?? user ?? "", role: "attendee" });
    this.acquaintances = new Acquaintances(this.client);
    this.scans = new Scans(this.client);
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
        // A notification of before led here: its conversation is another conference's.
        if ((parse(location.hash).conference ?? conference) !== conference) go(to.chats, true);
      }),
      client.on("synced", () => {
        this.clearMentions();
        this.tellSeen();
        void this.refresh();
      }),
      features.watch(() => this.begin()),
      client.on("resync", () => {
        Object.assign(this.notices, { newest: 0, seen: 0 });
        this.notices.mentions.clear();
      }),
      client.on("outgoing", () => this.countWaiting()),
      client.on("notice", (notice) => {
        const { reason, conversation, seq = 0 } = notice;
        if (reason === "draining") this.draining.set(true);
        const { notices } = this;
        notices.newest = Math.max(notices.newest, seq);
        if (reason === "mention" && conversation) {
          if (!notices.mentions.has(conversation)) notices.mentions.set(conversation, seq);
          this.mark(conversation, true);
        }
        if (reason === "contact") void this.acquaintances.noticed(notice);
        this.tellSeen();
      }),
      client.on("message", (message) => {
        if (message.from !== this.me.get().user && this.looking?.conversation === message.conversation) this.hear(message);
      }),
      client.conversations.subscribe(() => {
        this.clearMentions();
        this.closeRead();
      }),
      on(document, "visibilitychange", () => this.readWhatIsSeen()),
      on(window, "focus", () => this.readWhatIsSeen()),
      ..."serviceWorker" in navigator ? [on(navigator.serviceWorker, "message", (event) => this.told(event as MessageEvent<Told>))] : [],
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
    const late = new Promise((resolve) => setTimeout(resolve, UNREGISTER_MS));
    if (features.get().push) await Promise.race([turnOff(this.client).catch(() => undefined), late]);
    await this.scans.forget();
    await this.client.signOut();
    if (session) leave("signed_out");
  }

  close(): void {
    for (const off of this.offs) off();
    clearTimeout(this.telling);
    clearTimeout(this.closing);
    this.client.close();
  }

  /** What is known only of a server that can: asked when it is clear that it can, and at each connecting after that. */
  private begin(): void {
    const { push, badges } = features.get();
    if (this.state.get().status !== "online") return;
    if (push) renew(this.client).catch(() => undefined);
    if (badges) {
      void this.acquaintances.load();
      void this.scans.send();
    }
  }

  /** What the service worker says, or asks. */
  private told({ data, ports }: MessageEvent<Told>): void {
    const isHere = data.kind === "resubscribed" || data.conference === undefined || data.conference === this.client.me?.conference;
    if (data.kind === "looking") ports[0]?.postMessage(isHere && document.hasFocus() ? (this.looking?.conversation ?? null) : null);
    else if (data.kind === "open") go(data.conversation === undefined || !isHere ? to.chats : to.conversation(data.conversation, data.seq));
    else if (features.get().push) renew(this.client).catch(() => undefined);
  }

  private closeRead(): void {
    if (!features.get().push) return;
    this.closing ??= setTimeout(() => {
      this.closing = undefined;
      const { rows, ready } = this.client.conversations.getSnapshot();
      if (ready) closeRead(this.client.me?.conference, rows).catch(() => undefined);
    }, CLOSE_MS);
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
    const { conversations } = this.client;
    if (!conversations.getSnapshot().ready) return;
    for (const conversation of this.mentioned.get()) {
      if (conversations.get(conversation)?.unread) continue;
      this.mark(conversation, false);
      this.notices.mentions.delete(conversation);
      this.tellSeen();
    }
  }

  /** Notices that need nothing more are not told again at the next load: all before the first mention or invitation that is still open. */
  private tellSeen(): void {
    this.telling ??= setTimeout(() => {
      this.telling = undefined;
      const { client, notices } = this;
      if (this.state.get().status !== "online" || !client.conversations.getSnapshot().ready) return;
      const open = [...notices.mentions.values(), ...client.conversations.getSnapshot().invitations.flatMap(({ seq }) => seq ?? [])];
      const seen = Math.min(notices.newest, ...open.map((seq) => seq - 1));
      if (seen <= notices.seen) return;
      const before = notices.seen;
      notices.seen = seen;
      client.noticesSeen(seen).catch(() => {
        // The next connecting tells it.
        if (notices.seen === seen) notices.seen = before;
      });
    }, SEEN_MS);
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

function on(target: EventTarget, event: string, listener: (event: Event) => void): () => void {
  target.addEventListener(event, listener);
  return () => target.removeEventListener(event, listener);
}
