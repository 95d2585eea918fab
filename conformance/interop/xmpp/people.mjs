// What the programs in JavaScript share: arguments, accounts, waiting, the link that can be cut, printing the checks.

import { spawn, spawnSync } from "node:child_process";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

// import itself does not look into NODE_PATH.
const require = createRequire(process.env.INTEROP_NODE_MODULES ? join(process.env.INTEROP_NODE_MODULES, "from-here.js") : import.meta.url);
const here = dirname(fileURLToPath(import.meta.url));

export const PASSWORD = "correct horse battery";
// That something comes is believed for so long, that nothing comes after so long.
export const SOON_MS = 10_000;
export const SILENCE_MS = 500;
// So much of a failure's reason is shown, in UTF-16 units.
const LINE_SHOWN = 1_500;

export { require };
/** A library that is an ECMAScript module. */
export const load = (name) => import(require.resolve(name));
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

const [http, plain, tls, ca, domain, prefix, ...rest] = process.argv.slice(2);
if (!prefix) {
  console.error(`${process.argv[1]} HTTP XMPP XMPPS CA DOMAIN PREFIX`);
  process.exit(2);
}
export const where = { http, plain, tls, ca, domain, prefix, rest };
where.rooms = `rooms.${domain}`;
where.lobby = `lobby@${where.rooms}`;
where.uid = (user) => `${prefix}-${user}`;
where.jid = (user) => `${where.uid(user)}@${domain}`;
where.nick = (user) => `${user[0].toUpperCase()}${user.slice(1)} ${prefix}`;
where.websocket = `ws://${http}/xmpp-websocket`;

/** Starts this program again so that it trusts the server's certificate: Node reads that only at its start. */
export function trustCertificate() {
  if (process.env.NODE_EXTRA_CA_CERTS === ca) return;
  const again = spawnSync(process.execPath, process.argv.slice(1), { stdio: "inherit", env: { ...process.env, NODE_EXTRA_CA_CERTS: ca } });
  process.exit(again.status ?? 1);
}

// A library's reconnecting that fails after a check is over fails nothing else.
process.on("unhandledRejection", (error) => console.error(`unhandled: ${error}`));

let numbers = 0;
export const unique = (what) => `${what} ${prefix}.${(numbers += 1)}`;

export function ensure(holds, why) {
  if (!holds) throw new Error(typeof why === "string" ? why : JSON.stringify(why));
}

export function within(promise, what, ms = SOON_MS) {
  let timer;
  const late = new Promise((_, reject) => {
    timer = setTimeout(() => reject(new Error(`${what}: nothing within ${ms} ms`)), ms);
  });
  return Promise.race([promise, late]).finally(() => clearTimeout(timer));
}

/** Makes accounts where that can be done; on other servers they must be there already. */
export async function register(...users) {
  for (const user of users) {
    const body = JSON.stringify({ conference: "demo", uid: where.uid(user), password: PASSWORD, name: where.nick(user) });
    const answer = await fetch(`http://${http}/api/register`, { method: "POST", headers: { "content-type": "application/json" }, body });
    ensure(answer.ok || [404, 405, 409].includes(answer.status), `the account ${where.uid(user)} cannot be made: ${answer.status}`);
  }
}

/** A list that can be waited for. */
export class Inbox {
  items = [];
  waiting = new Set();

  put(item) {
    this.items.push(item);
    for (const wake of this.waiting) wake();
  }

  /** The first item that is wanted; those before it are left out. */
  async expect(what, wanted, ms = SOON_MS) {
    const end = Date.now() + ms;
    const seen = [];
    for (;;) {
      while (this.items.length > 0) {
        const item = this.items.shift();
        if (wanted(item)) return item;
        seen.push(show(item));
      }
      const left = end - Date.now();
      ensure(left > 0, `${what} did not come within ${ms} ms; came instead: ${seen.slice(-5).join(", ")}`);
      await this.change(left);
    }
  }

  change(ms) {
    return new Promise((resolve) => {
      const wake = () => {
        clearTimeout(timer);
        this.waiting.delete(wake);
        resolve();
      };
      const timer = setTimeout(wake, ms);
      this.waiting.add(wake);
    });
  }

  async expectNone(what, wanted = () => true, ms = SILENCE_MS) {
    await pause(ms);
    const came = this.items.splice(0).filter(wanted);
    ensure(came.length === 0, `${what} came, ${came.length} in all: ${came.slice(0, 3).map(show).join(", ")}`);
  }
}

/** Elements show themselves as XML, all else as JSON. */
function show(item) {
  const text = item?.toString?.();
  return (text?.startsWith("<") ? text : JSON.stringify(item))?.slice(0, 600);
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

/** One line per check; ends the program, after `end`. */
export async function run(name, checks, end = () => {}) {
  let failed = 0;
  for (const [label, check] of checks) {
    try {
      await within(check(), "the whole check", 60_000);
      console.log(`ok ${name}: ${label}`);
    } catch (error) {
      failed += 1;
      console.log(`FAIL ${name}: ${label}: ${(error?.message || show(error) || String(error)).replaceAll("\n", " ").slice(0, LINE_SHOWN)}`);
      if (process.env.INTEROP_TRACE) console.error(error);
    }
  }
  await end();
  process.exit(failed ? 1 : 0);
}
