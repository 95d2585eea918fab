// Badges held to this device. A scan is kept before it is sent, under an id of its own, until the server has answered: without a network it waits,
// with the time at which it was, and the server stores a repeated one once.
import { HallwayError, indexedDbStorage, type Hallway, type ScanMode, type Scanned } from "hallway-client";
import { Signal } from "./signal";

/** What a staff member scans for; others leave it to the server. */
export interface Purpose {
  mode?: ScanMode;
  conversation?: string;
  direction?: "enter" | "exit";
}

export interface Scan extends Purpose {
  id: string;
  code: string;
  /** When it was, RFC 3339. */
  at: string;
}

/** A scan and what became of it: nothing yet, an answer, or a refusal. */
export interface Taken {
  scan: Scan;
  result?: Scanned;
  refused?: unknown;
  /** There was no connection: it goes out later. */
  waits?: boolean;
}

/** More do not wait: that is days without a network. */
const MOST_KEPT = 5000;
/** The last ones are shown. */
const SHOWN = 20;

export class Scans {
  /** The newest first. */
  readonly last = new Signal<readonly Taken[]>([]);
  /** How many wait to be sent. */
  readonly waiting = new Signal(0);
  private readonly storage = indexedDbStorage();
  private sending: Promise<void> | undefined;
  /** On their way: not sent a second time meanwhile. */
  private readonly asked = new Set<string>();

  constructor(private readonly client: Hallway) {}

  /** Takes a scan; resolves when there is an answer, or when it is clear that it has to wait. */
  async take(code: string, purpose: Purpose): Promise<Taken> {
    const scan: Scan = { id: randomId(), code, at: new Date().toISOString(), ...purpose };
    this.show({ scan });
    if (this.waiting.get() >= MOST_KEPT) return this.show({ scan, refused: new HallwayError("outbox_full") });
    await this.storage.set(this.key(scan), JSON.stringify(scan)).catch(() => undefined);
    return this.ask(scan);
  }

  /** Sends what waits, oldest first. */
  send(): Promise<void> {
    this.sending ??= this.sendAll().catch(() => undefined).finally(() => (this.sending = undefined));
    return this.sending;
  }

  /** Signing out: what waits is this user's. */
  async forget(): Promise<void> {
    for (const key of await this.kept()) await this.storage.remove(key);
    this.waiting.set(0);
  }

  private async sendAll(): Promise<void> {
    // Shown before the first is answered, which without a connection takes its time.
    await this.count();
    for (const key of await this.kept()) {
      const scan = JSON.parse((await this.storage.get(key)) ?? "null") as Scan | null;
      if (scan && !this.asked.has(scan.id) && (await this.ask(scan)).waits) break;
    }
    await this.count();
  }

  private async ask(scan: Scan): Promise<Taken> {
    this.asked.add(scan.id);
    try {
      const result = await this.client.call("badge.scan", scan);
      await this.done(scan);
      return this.show({ scan, result });
    } catch (error) {
      if (error instanceof HallwayError && error.passing) {
        await this.count();
        return this.show({ scan, waits: true });
      }
      await this.done(scan);
      return this.show({ scan, refused: error });
    } finally {
      this.asked.delete(scan.id);
    }
  }

  private async done(scan: Scan): Promise<void> {
    await this.storage.remove(this.key(scan)).catch(() => undefined);
    await this.count();
  }

  private show(taken: Taken): Taken {
    const others = this.last.get().filter(({ scan }) => scan.id !== taken.scan.id);
    const newest = [taken, ...others].sort((a, b) => b.scan.at.localeCompare(a.scan.at));
    this.last.set(newest.slice(0, SHOWN));
    return taken;
  }

  private async count(): Promise<void> {
    this.waiting.set((await this.kept()).length);
  }

  private get prefix(): string {
    const { conference, user } = this.client.me ?? {};
    return `hallway-scan|${this.client.url}|${conference}|${user}|`;
  }

  /** In the order of time. */
  private key = ({ at, id }: Scan): string => `${this.prefix}${at}|${id}`;

  private kept = async (): Promise<string[]> => (await this.storage.keys(this.prefix).catch(() => [])).sort();
}

const randomId = (): string => [...crypto.getRandomValues(new Uint8Array(16))].map((byte) => byte.toString(16).padStart(2, "0")).join("");
