/** A TCP proxy that cuts its connections when it is told to: in mid-frame as likely as between frames. */

import { once } from "node:events";
import { connect, createServer, type AddressInfo, type Server, type Socket } from "node:net";
import { request } from "node:http";
import { Readable } from "node:stream";
import WebSocket from "ws";
import type { ClientOptions, WebSocketClass } from "hallway-client";

export class Proxy {
  private readonly pairs = new Set<[Socket, Socket]>();
  private constructor(
    private readonly listener: Server,
    private readonly port: number,
  ) {}

  static async start(port: number): Promise<Proxy> {
    const listener = createServer();
    const proxy = new Proxy(listener, port);
    listener.on("connection", (near) => {
      const far = connect(port, "127.0.0.1");
      const pair: [Socket, Socket] = [near, far];
      proxy.pairs.add(pair);
      for (const [one, other] of [pair, [far, near] as const]) {
        one.setNoDelay();
        one.on("error", () => {});
        one.on("close", () => {
          other.destroy();
          proxy.pairs.delete(pair);
        });
        one.pipe(other);
      }
    });
    listener.listen(0, "127.0.0.1");
    await once(listener, "listening");
    return proxy;
  }

  /** Leads a client's WebSockets through here; the Host header is still the server's, which takes no other. */
  get through(): Partial<ClientOptions> {
    const [far, near] = [`127.0.0.1:${this.port}`, `127.0.0.1:${(this.listener.address() as AddressInfo).port}`];
    class Through extends WebSocket {
      constructor(url: string, protocols?: string | string[]) {
        super(url.replace(far, near), protocols, { headers: { Host: far } });
      }
    }
    return { WebSocket: Through as unknown as WebSocketClass, fetch: fetchThrough(far, near), transport: "websocket" };
  }

  /** Cuts everything that is connected; says how many. */
  cut(): number {
    const { size } = this.pairs;
    for (const pair of this.pairs) for (const socket of pair) socket.resetAndDestroy();
    return size;
  }

  /** Says nothing more in either direction, without closing: a network that went away. */
  freeze(): void {
    for (const pair of this.pairs) for (const socket of pair) socket.pause().unpipe();
  }

  stop(): void {
    this.listener.close();
    this.cut();
  }
}

/** `fetch` through the proxy: the built-in one sets no Host header, so that this one speaks by node:http. */
const fetchThrough =
  (far: string, near: string): typeof fetch =>
  (input, init = {}) =>
    new Promise((resolve, reject) => {
      const { method = "GET", headers, body, signal } = init;
      const sent = request(String(input).replace(far, near), { method, headers: { ...(headers as Record<string, string>), Host: far } });
      const stop = (): void => void sent.destroy(new Error("aborted"));
      signal?.addEventListener("abort", stop);
      sent.on("close", () => signal?.removeEventListener("abort", stop));
      sent.on("error", reject);
      sent.on("response", (answer) => {
        const facts = { status: answer.statusCode ?? 0, headers: answer.headers as Record<string, string> };
        answer.on("error", () => {});
        resolve(new Response(facts.status === 204 ? null : (Readable.toWeb(answer) as ReadableStream), facts));
      });
      sent.end(body as string | undefined);
    });
