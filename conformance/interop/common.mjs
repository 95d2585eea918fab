// What the programs in JavaScript of every protocol share: where the server is and who is who, accounts, waiting, printing the checks.

import { createRequire } from "node:module";
import { join } from "node:path";

// import itself does not look into NODE_PATH. Without the variable libraries are looked for beside the program.
export const require = createRequire(process.env.INTEROP_NODE_MODULES ? join(process.env.INTEROP_NODE_MODULES, "from-here.js") : process.argv[1]);

export const PASSWORD = "correct horse battery";
// That something comes is believed for so long, that nothing comes after so long.
export const SOON_MS = 10_000;
export const SILENCE_MS = 500;
// So much of a failure's reason is shown, in UTF-16 units.
const LINE_SHOWN = 1_500;

/** A library that is an ECMAScript module. */
export const load = (name) => import(require.resolve(name));
export const pause = (ms) => new Promise((resolve) => setTimeout(resolve, ms));

/** Addresses, PREFIX and domain, which whoever reads the command line fills in; the prefix begins every user name. */
export const where = {
  domain: "localhost",
  get rooms() {
    return `rooms.${where.domain}`;
  },
  get lobby() {
    return `lobby@${where.rooms}`;
  },
  uid: (user) => `${where.prefix}-${user}`,
  jid: (user) => `${where.uid(user)}@${where.domain}`,
  nick: (user) => `${user[0].toUpperCase()}${user.slice(1)} ${where.prefix}`,
};

// A library's reconnecting that fails after a check is over fails nothing else.
process.on("unhandledRejection", (error) => console.error(`unhandled: ${error}`));

let numbers = 0;
export const unique = (what) => `${what} ${where.prefix}.${(numbers += 1)}`;

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
    const answer = await fetch(`http://${where.http}/api/register`, { method: "POST", headers: { "content-type": "application/json" }, body });
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

  /** So many wanted items, and whatever else comes shortly after them. */
  async collect(count, wanted, ms = 2 * SOON_MS) {
    const end = Date.now() + ms;
    while (this.items.filter(wanted).length < count && Date.now() < end) await this.change(end - Date.now());
    await pause(SILENCE_MS);
    return this.items.splice(0).filter(wanted);
  }

  async expectNone(what, wanted = () => true, ms = SILENCE_MS) {
    await pause(ms);
    const came = this.items.splice(0).filter(wanted);
    ensure(came.length === 0, `${what} came, ${came.length} in all: ${came.slice(0, 3).map(show).join(", ")}`);
  }
}

/** What knows how to show itself does (elements as XML), all else is shown as JSON. */
function show(item) {
  const shows = typeof item === "object" && item?.toString && ![Object.prototype, Array.prototype].some((one) => one.toString === item.toString);
  return (shows ? item.toString() : JSON.stringify(item))?.slice(0, 600);
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
