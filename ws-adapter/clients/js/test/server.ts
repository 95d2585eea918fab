/** A server of its own for a test: the real binary, on a free port, with its data in a directory that goes with it. */

import { execFileSync, spawn, type ChildProcess } from "node:child_process";
import { once } from "node:events";
import { existsSync, mkdtempSync, rmSync } from "node:fs";
import { tmpdir } from "node:os";
import { join, resolve } from "node:path";
import { createInterface } from "node:readline";
import WebSocket from "ws";
import {
  createClient,
  memoryStorage,
  register,
  type ClientOptions,
  type Hallway,
  type SignedIn,
  type WebSocketClass,
} from "hallway-client";

const BINARY = resolve(process.env.HALLWAY_BIN ?? join(import.meta.dirname, "../../../../target/release/hallway"));
export const PASSWORD = "correct horse battery";
const READY_MS = 20_000;
const NONE = ["mqtt", "mqtts", "xmpp", "xmpps"].flatMap((edge) => [`--${edge}`, "none"]);

export class Server {
  private readonly data = mkdtempSync(join(tmpdir(), "hallway-client-"));
  private process: ChildProcess | undefined;
  private readonly clients: Hallway[] = [];
  port = 0;

  static async start(...more: string[]): Promise<Server> {
    if (!existsSync(BINARY)) throw new Error(`there is no ${BINARY}: set HALLWAY_BIN`);
    const server = new Server(more);
    await server.run();
    return server;
  }

  private constructor(private readonly more: string[]) {}

  get url(): string {
    return `http://127.0.0.1:${this.port}`;
  }

  /** Starts it, on the port that it had when it had one. */
  async run(): Promise<void> {
    const child = spawn(BINARY, ["serve", "--data", this.data, "--http", `127.0.0.1:${this.port}`, ...NONE, ...this.more], {
      stdio: ["ignore", "pipe", process.env.HALLWAY_LOG ? "inherit" : "ignore"],
    });
    this.process = child;
    const late = setTimeout(() => child.kill("SIGKILL"), READY_MS);
    for await (const line of createInterface(child.stdout)) {
      const port = /^ready .*\bhttp=[^ ]*:(\d+)/.exec(line)?.[1];
      if (!port) continue;
      this.port = Number(port);
      clearTimeout(late);
      return;
    }
    throw new Error("the server did not become ready");
  }

  /** A command about its data, as an operator gives it. */
  command(...words: string[]): void {
    execFileSync(BINARY, [...words, "--data", this.data], { stdio: "ignore" });
  }

  async kill(signal: NodeJS.Signals = "SIGKILL"): Promise<void> {
    const child = this.process;
    this.process = undefined;
    if (!child) return;
    const gone = once(child, "exit");
    child.kill(signal);
    await gone;
  }

  async stop(): Promise<void> {
    for (const client of this.clients) client.close();
    await this.kill();
    rmSync(this.data, { recursive: true, force: true });
  }

  account(uid: string, name = uid): Promise<SignedIn> {
    return register({ url: this.url, conference: "demo", uid, password: PASSWORD, name });
  }

  /** A client of an account, closed with the server. Waits are short. */
  client(account: SignedIn, options: Partial<ClientOptions> = {}): Hallway {
    const common = { url: this.url, storage: memoryStorage(), WebSocket: WebSocket as unknown as WebSocketClass, backoffScale: 0.05 };
    const client = createClient({ ...common, ...account, ...options });
    client.on("warning", (warning) => console.warn(warning));
    this.clients.push(client);
    return client;
  }

  /** Somebody new, signed in and up to date. */
  async person(uid: string, options: Partial<ClientOptions> = {}): Promise<Hallway> {
    const client = this.client(await this.account(uid), options).connect();
    await client.whenSynced();
    return client;
  }
}
