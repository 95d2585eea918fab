// What the XMPP programs in JavaScript share besides `common.mjs`: their arguments, the server's certificate, the link that can be cut.

import { spawn, spawnSync } from "node:child_process";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { Inbox, ensure, where } from "../common.mjs";

export * from "../common.mjs";

const here = dirname(fileURLToPath(import.meta.url));

const [http, plain, tls, ca, domain, prefix, ...rest] = process.argv.slice(2);
if (!prefix) {
  console.error(`${process.argv[1]} HTTP XMPP XMPPS CA DOMAIN PREFIX`);
  process.exit(2);
}
Object.assign(where, { http, plain, tls, ca, domain, prefix, rest, websocket: `ws://${http}/xmpp-websocket` });

/** Starts this program again so that it trusts the server's certificate: Node reads that only at its start. */
export function trustCertificate() {
  if (process.env.NODE_EXTRA_CA_CERTS === ca) return;
  const again = spawnSync(process.execPath, process.argv.slice(1), { stdio: "inherit", env: { ...process.env, NODE_EXTRA_CA_CERTS: ca } });
  process.exit(again.status ?? 1);
}

/** `link.py` in front of an address. */
export class Link {
  static async open(target) {
    const link = new Link();
    link.child = spawn("python3", [join(here, "link.py"), target], { stdio: ["pipe", "pipe", "inherit"] });
    link.said = new Inbox();
    createInterface({ input: link.child.stdout }).on("line", (line) => link.said.put(line));
    link.address = await link.said.expect("the link's address", (line) => line.includes(":"));
    return link;
  }

  /** `silence` or `cut`. */
  async does(verb) {
    this.child.stdin.write(`${verb}\n`);
    const answer = await this.said.expect("the link's answer", (line) => line.startsWith(`${verb} `));
    ensure(answer === `${verb} 1`, `the link said ${answer}`);
  }

  close() {
    this.child.stdin.end();
  }
}
