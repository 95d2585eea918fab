/** The table of methods that `client.call` is typed by, beside what the server says there is. */

import { readFileSync } from "node:fs";
import { join } from "node:path";
import { afterAll, beforeAll, expect, test } from "vitest";
import { Server } from "./server.js";

let server: Server;
beforeAll(async () => {
  server = await Server.start();
});
afterAll(() => server.stop());

const typed = (): string[] => {
  const source = readFileSync(join(import.meta.dirname, "../src/protocol.ts"), "utf8");
  const [, table = ""] = /^export interface Methods \{(.*?)^\}/ms.exec(source) ?? [];
  return [...table.matchAll(/^ {2}"([a-z]+\.[a-z_]+)":/gm)].map(([, name = ""]) => name);
};

test("every method of the server is typed, and no other", async () => {
  const { methods } = (await (await fetch(`${server.url}/openrpc.json`)).json()) as { methods: { name: string }[] };
  expect(typed().sort()).toEqual(methods.map(({ name }) => name).sort());
});
