// Whom one has met, who asks to meet, and whom one has asked.
import type { Contact, Hallway, Notice } from "hallway-client";
import { allPages, PAGE } from "./pages";
import { Signal } from "./signal";

/** A notice that is older was told before: it opens nothing by itself. */
const FRESH_MS = 60_000;

export class Acquaintances {
  /** By name; null as long as it is not known. */
  readonly list = new Signal<readonly Contact[] | null>(null);
  /** Who was met a moment ago: their chat is opened where one is about to meet people. */
  readonly met = new Signal<Contact | null>(null);
  /** Who asked a moment ago. */
  readonly asking = new Signal<Contact | null>(null);
  private loading: Promise<void> | undefined;
  private again = false;

  constructor(private readonly client: Hallway) {}

  /** Reads the list; asked while it is being read, it is read once more. */
  load(): Promise<void> {
    this.again = this.loading !== undefined;
    this.loading ??= this.read().catch(() => undefined).finally(() => {
      this.loading = undefined;
      if (this.again) void this.load();
    });
    return this.loading;
  }

  async noticed({ user, state, ts = "" }: Notice): Promise<void> {
    await this.loading;
    await this.load();
    const contact = this.list.get()?.find((one) => one.user === user);
    if (!contact || contact.state !== state || Date.now() - Date.parse(ts) > FRESH_MS) return;
    if (state === "met") this.met.set(contact);
    else if (state === "was_asked") this.asking.set(contact);
  }

  async answer(deed: "ask" | "accept" | "decline" | "remove", user: string): Promise<void> {
    await this.client.call(`contact.${deed}`, { user });
    await this.load();
  }

  private async read(): Promise<void> {
    const contacts = await allPages<Contact>(async (last) => (await this.client.call("contact.list", { limit: PAGE, ...(last && { after: last.user }) })).contacts);
    this.list.set(contacts.sort((a, b) => a.name.localeCompare(b.name)));
  }
}
