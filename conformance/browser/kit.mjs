// What the checks of the web app are made of: a server that can be killed, browsers with somebody in them, and lines that say how it went.
import { execFileSync, spawn } from "node:child_process";
import { mkdtempSync, rmSync } from "node:fs";
import { createRequire } from "node:module";
import { tmpdir } from "node:os";
import { join } from "node:path";

// Where `npm install --prefix` put them; ES modules do not look at NODE_PATH themselves.
const require = createRequire(join(process.env.CONFORMANCE_NODE_MODULES ?? ".", "any"));
const { chromium } = require("playwright-core");
export const axeSource = require("axe-core").source;

export const WITHIN_MS = 15_000;

let failures = 0;
/** What is being checked: pages that complain are asked when. */
let current = "";

/** Runs one check and says how it went; the others go on in any case. */
export async function check(what, run) {
  current = what;
  try {
    const detail = await run();
    console.log(`ok ${what}${detail ? `: ${detail}` : ""}`);
  } catch (error) {
    failures += 1;
    console.log(`FAIL ${what}: ${String(error.message ?? error).replace(/\u001b\[\d+m/g, "").split("\n").slice(0, 6).join(" | ")}`);
  }
}

export const failed = () => failures;

export function assert(fact, otherwise) {
  if (!fact) throw new Error(otherwise);
}

export const equal = (found, expected, what) =>
  assert(JSON.stringify(found) === JSON.stringify(expected), `${what} is ${JSON.stringify(found)}, not ${JSON.stringify(expected)}`);

/** Waits until `look` answers something true; fails with what it answered last. */
export async function until(look, what, withinMs = WITHIN_MS) {
  const end = Date.now() + withinMs;
  for (;;) {
    const found = await look();
    if (found) return found;
    assert(Date.now() < end, `not within ${withinMs} ms: ${what}`);
    await new Promise((resolve) => setTimeout(resolve, 50));
  }
}

/** The server, always at the same address. */
export class Server {
  constructor(binary) {
    this.binary = binary;
    this.data = mkdtempSync(join(tmpdir(), "hallway-app-"));
    this.port = 0;
  }

  async start() {
    const off = ["mqtt", "mqtts", "xmpp", "xmpps"].flatMap((name) => [`--${name}`, "none"]);
    // Who did something a second ago is away, and learns of a message a moment later.
    const push = { HALLWAY_PUSH__ACTIVE_MS: "1000", HALLWAY_PUSH__GRACE_MS: "500" };
    const rates = { HALLWAY_LIMITS__MESSAGES_PER_SECOND: "0", HALLWAY_LIMITS__FAILED_LOGINS_PER_MINUTE_PER_ADDRESS: "0" };
    this.child = spawn(this.binary, ["--data", this.data, "--http", `127.0.0.1:${this.port}`, ...off], { env: { ...process.env, ...rates, ...push }, stdio: ["ignore", "pipe", "ignore"] });
    this.port = await new Promise((resolve, reject) => {
      let said = "";
      this.child.stdout.on("data", (bytes) => {
        said += bytes;
        const ready = /ready .*http=127\.0\.0\.1:(\d+)/.exec(said);
        if (ready) resolve(Number(ready[1]));
      });
      this.child.on("exit", (code) => reject(new Error(`the server ended with ${code}`)));
      this.child.on("error", reject);
    });
    this.url = `http://127.0.0.1:${this.port}`;
  }

  /** Ends it at once, as a power cut would, or as an operator would. */
  async stop(signal) {
    if (!this.child || this.child.exitCode !== null || this.child.signalCode !== null) return;
    const gone = new Promise((resolve) => this.child.once("exit", resolve));
    this.child.kill(signal);
    await gone;
  }

  async remove() {
    await this.stop("SIGTERM");
    rmSync(this.data, { recursive: true, force: true });
  }

  /** A command of its operator; what it prints. */
  operate(...command) {
    return execFileSync(this.binary, [...command, "--data", this.data], { encoding: "utf8", stdio: ["ignore", "pipe", "pipe"] }).trim();
  }

  async post(path, body, token) {
    const headers = { "Content-Type": "application/json", ...(token && { Authorization: `Bearer ${token}` }) };
    const answer = await fetch(this.url + path, { method: "POST", headers, body: JSON.stringify(body) });
    return answer.json();
  }

  /** Whether it has a method: what came later is not asked of an older one. */
  async has(method) {
    const { methods } = await (await fetch(`${this.url}/openrpc.json`)).json();
    return methods.some(({ name }) => name === method);
  }
}

export class Browser {
  /** What the pages complained of, and during what. */
  errors = new Set();
  /** Addresses that are not the server's. */
  foreign = [];

  constructor(server) {
    this.server = server;
  }

  /** With switches of its own: a picture before its camera. */
  async start(...switches) {
    const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
    this.browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage", ...switches] });
  }

  /** A browser of somebody's own. */
  async person(name, options = {}) {
    const context = await this.browser.newContext({ viewport: { width: 1280, height: 800 }, permissions: ["clipboard-read", "clipboard-write"], ...options });
    const page = await context.newPage();
    page.setDefaultTimeout(WITHIN_MS);
    const complaint = (text) => this.errors.add(`${name}, during "${current}": ${text}`);
    page.on("pageerror", (error) => complaint(process.env.VERBOSE ? error.stack : error.message));
    // Refusals that are asked for, and a server that is away, are told by the browser, too.
    const expected = /status of (?:401|409)|ERR_CONNECTION_REFUSED|ERR_CONNECTION_RESET|ERR_EMPTY_RESPONSE|ERR_INTERNET_DISCONNECTED|WebSocket connection to/;
    page.on("console", (message) => message.type() === "error" && !expected.test(message.text()) && complaint(`${message.text()} ${message.location().url}`));
    page.on("request", (request) => {
      const url = request.url();
      if (!url.startsWith(this.server.url) && !/^(?:blob|data|ws:\/\/127\.0\.0\.1)/.test(url)) this.foreign.push(url);
    });
    return page;
  }

  async close() {
    await this.browser?.close();
  }
}

// ---- What people do in the app

/** The sign-in of the demo; there may be more conferences by now. */
async function arrive(page, url) {
  await page.goto(url);
  await page.getByLabel("User name").waitFor();
  const conference = page.getByLabel("Conference", { exact: true });
  if (await conference.count()) await conference.selectOption("demo");
}

export async function register(page, url, uid, name) {
  await arrive(page, url);
  await page.getByRole("button", { name: /New here/ }).click();
  await page.getByLabel("Your name").fill(name);
  await page.getByLabel("User name").fill(uid);
  await page.getByLabel("Password", { exact: true }).fill(`${uid}-secret-1`);
  await page.getByRole("button", { name: "Create account" }).click();
  await page.getByRole("link", { name: /^Lobby/ }).waitFor();
}

export async function logIn(page, url, uid) {
  await arrive(page, url);
  await page.getByLabel("User name").fill(uid);
  await page.getByLabel("Password", { exact: true }).fill(`${uid}-secret-1`);
  await page.getByRole("button", { name: "Sign in", exact: true }).click();
  await page.getByRole("link", { name: /^Lobby/ }).waitFor();
}

export const chatRow = (page, title) => page.locator(".chat-row", { has: page.locator(".name", { hasText: title }) });

export async function open(page, title) {
  await chatRow(page, title).first().click();
  await page.locator(".conversation-head h1", { hasText: title }).waitFor();
  await page.locator(".edge.busy").waitFor({ state: "detached" });
}

export async function say(page, text) {
  await page.locator(".composer textarea").fill(text);
  await page.locator(".send-button").click();
}

/** The row of a message, by its whole text. */
export const row = (page, text) => page.locator(".row", { has: page.locator(".text", { hasText: text }) });

export async function sees(page, text) {
  await row(page, text).first().waitFor();
  equal(await row(page, text).count(), 1, `the number of ${JSON.stringify(text)}`);
}

/** A message's menu by its button, which is there on hovering. */
export async function act(page, text, action) {
  await row(page, text).hover();
  await row(page, text).getByRole("button", { name: "Message actions" }).click();
  await page.getByRole("menuitem", { name: action, exact: true }).click();
}

export const texts = (page, pattern) =>
  page.locator(".row .text").evaluateAll((all, source) => all.map((one) => one.textContent).filter((text) => new RegExp(source).test(text)), pattern.source);

/** Serious and lesser faults that axe-core finds, by name. */
export async function axe(page, what) {
  await page.evaluate(axeSource);
  const { violations } = await page.evaluate(() => globalThis.axe.run(document, { resultTypes: ["violations"] }));
  const said = violations.map(({ id, nodes }) => `${id} (${nodes.slice(0, 2).map(({ target, failureSummary }) => `${target} ${failureSummary?.split("\n")[1]?.trim() ?? ""}`).join("; ")})`);
  assert(!violations.length, `${what}: ${said.join(", ")}`);
}
