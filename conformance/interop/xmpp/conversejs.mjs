#!/usr/bin/env node
// An XMPP server as Converse.js 14 sees it, in a browser, over WebSocket.
//
//     conversejs.mjs HTTP XMPP XMPPS CA DOMAIN PREFIX [SCREENSHOTS]
//
// The arguments are those of with_slixmpp.py; screenshots are written to the directory SCREENSHOTS. CHROMIUM names the browser
// (/usr/bin/chromium). The page comes from a server of its own on a loopback address: another origin than that of the XMPP server. The other
// one whom Converse.js talks to is at @xmpp/client. Libraries are looked for in the directory INTEROP_NODE_MODULES, or beside this file.
// One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { createReadStream, mkdirSync } from "node:fs";
import { createServer } from "node:http";
import { dirname, extname, join, normalize } from "node:path";

import { Person } from "./person.mjs";
import { PASSWORD, SOON_MS, ensure, pause, register, require, run, unique, where } from "./people.mjs";

const { chromium } = require("playwright-core");

const dist = dirname(require.resolve("converse.js/dist/converse.min.js"));
const [screenshots] = where.rest;
const TYPES = { ".js": "text/javascript", ".css": "text/css", ".json": "application/json", ".wasm": "application/wasm", ".svg": "image/svg+xml" };

const settings = {
  assets_path: "/dist/",
  authentication: "login",
  websocket_url: where.websocket,
  discover_connection_methods: false,
  view_mode: "fullscreen",
  allow_registration: false,
  nickname: where.nick("anna"),
  muc_domain: where.rooms,
  play_sounds: false,
  show_desktop_notifications: false,
  // What is in the archive, however many there are.
  archived_messages_page_size: 100,
  loglevel: "debug",
};
const PAGE = `<!doctype html><meta charset="utf-8"><title>Converse.js</title>
<link rel="icon" href="data:,"><link rel="stylesheet" href="/dist/converse.min.css">
<body class="converse-fullscreen"><div id="conversejs-bg"></div>
<script type="module">import "/dist/converse.min.js"; converse.initialize(${JSON.stringify(settings)});</script>`;

/** The page and what it loads. */
function serve() {
  const server = createServer((request, response) => {
    const { pathname } = new URL(request.url, "http://page");
    if (pathname === "/") return response.writeHead(200, { "content-type": "text/html" }).end(PAGE);
    // A library within asks for its file beside the page.
    const path = join(dist, normalize(pathname.replace(/^\/dist\//, "/")));
    if (!path.startsWith(dist)) return response.writeHead(404).end();
    const file = createReadStream(path);
    file.on("error", () => response.writeHead(404).end());
    file.once("open", () => response.writeHead(200, { "content-type": TYPES[extname(path)] ?? "application/octet-stream" }));
    file.pipe(response);
  });
  return new Promise((resolve) => server.listen(0, "127.0.0.1", () => resolve(server)));
}

const server = await serve();
const page_address = `http://127.0.0.1:${server.address().port}/`;
await register("anna", "bert");

// Somebody has been talking before Converse.js comes.
const bert = await Person.online("WebSocket", "bert");
await bert.join(where.lobby);
const before = [1, 2, 3].map((at) => unique(`before you came ${at}`));
for (const text of before) {
  await bert.say(where.lobby, text, "groupchat");
  await bert.hears(text);
  // Converse.js sorts by the time, which some servers tell in whole seconds.
  await pause(1_100);
}

const browser = await chromium.launch({
  executablePath: process.env.CHROMIUM || "/usr/bin/chromium",
  args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"],
});
const page = await (await browser.newContext({ viewport: { width: 1280, height: 800 } })).newPage();
page.setDefaultTimeout(SOON_MS);
const errors = [];
page.on("pageerror", (error) => errors.push(error.message));
// With INTEROP_TRACE every stanza is shown: Converse.js logs them at this level.
page.on("console", (message) => process.env.INTEROP_TRACE && console.error(message.text().slice(0, 3_000)));

if (screenshots) mkdirSync(screenshots, { recursive: true });
const shoot = async (name) => {
  // Fonts and transitions; nothing is decided by this.
  await pause(500);
  if (screenshots) await page.screenshot({ path: join(screenshots, `${name}.png`) });
};
const room = () => page.locator("converse-muc");
const chatbox = () => page.locator("converse-chat");
const message = (box, text) => box.locator("converse-chat-message-body", { hasText: text });

async function say(box, text) {
  await box.locator("textarea.chat-textarea").fill(text);
  await box.locator("textarea.chat-textarea").press("Enter");
}

async function shows(box, text) {
  await message(box, text).first().waitFor();
  await pause(300);
  const count = await message(box, text).count();
  ensure(count === 1, `${JSON.stringify(text)} is shown ${count} times`);
}

async function login() {
  await page.goto(page_address);
  await page.fill('converse-login-form input[name="jid"]', where.jid("anna"));
  await page.fill('converse-login-form input[name="password"]', PASSWORD);
  await page.locator('converse-login-form [type="submit"]').first().click();
  await page.locator("converse-user-profile").first().waitFor();
  await page.waitForFunction(() => document.querySelector("converse-user-profile .xmpp-status"));
  await shoot("1-login");
}

async function opens() {
  await page.evaluate((jid) => (window.location.hash = `converse/room?jid=${jid}`), where.lobby);
  await room().locator("textarea.chat-textarea").waitFor();
  const occupants = room().locator("converse-muc-sidebar, converse-muc-occupants");
  for (const user of ["anna", "bert"]) await occupants.getByText(where.nick(user), { exact: true }).first().waitFor();
}

async function history() {
  for (const text of before) await shows(room(), text);
  const texts = await room().locator("converse-chat-message-body").allTextContents();
  const order = before.map((text) => texts.findIndex((one) => one.includes(text)));
  ensure(order.every((at, n) => n === 0 || at > order[n - 1]), `the order is ${texts}`);
  await shoot("2-history");
}

async function talks() {
  const mine = unique("from Converse.js <b>é€😀</b>");
  await say(room(), mine);
  const got = await bert.hears(mine);
  ensure(got.attrs.from === `${where.lobby}/${where.nick("anna")}`, got.toString());
  await shows(room(), mine);
  const other = unique("to Converse.js <b>é€😀</b>");
  await bert.say(where.lobby, other, "groupchat");
  await shows(room(), other);
  await shoot("3-room");
}

async function chats() {
  const first = unique("between us");
  await bert.say(where.jid("anna"), first);
  // Under the address, or under the name that the roster has.
  await page.locator("converse-roster a", { hasText: new RegExp(`${where.jid("bert")}|${where.nick("bert")}`) }).first().click();
  await shows(chatbox(), first);
  const answer = unique("an answer");
  await say(chatbox(), answer);
  const got = await bert.hears(answer);
  ensure(got.attrs.from.startsWith(`${where.jid("anna")}/`), got.toString());
  await shows(chatbox(), answer);
  await shoot("4-chat");
}

/** The page is loaded again: what was said comes from the archives. */
async function again() {
  const last = unique("while you were reloading");
  await page.goto("about:blank");
  await bert.say(where.lobby, last, "groupchat");
  await bert.hears(last);
  await page.goto(page_address);
  const form = page.locator('converse-login-form input[name="jid"]');
  await Promise.race([form.waitFor(), page.locator("converse-user-profile").first().waitFor()]);
  if (await form.count()) await login();
  await opens();
  await shows(room(), before[0]);
  await shows(room(), last);
  await shoot("5-again");
}

async function nothingBroke() {
  ensure(errors.length === 0, `errors in the page: ${errors.join("; ")}`);
}

/** When a check fails, what was to be seen then; without a login nothing more is tried. */
let loggedIn = true;
const seen = (name, check) => async () => {
  ensure(loggedIn, "there was no login");
  try {
    await check();
  } catch (error) {
    loggedIn = name !== "login";
    await shoot(`failed-${name}`);
    throw error;
  }
};

await run("Converse.js", [
  ["login", seen("login", login)],
  ["a room", seen("room", opens)],
  ["the room's history", seen("history", history)],
  ["a message sent and one received", seen("talk", talks)],
  ["a chat", seen("chat", chats)],
  ["the page is loaded again", seen("again", again)],
  ["no errors in the page", nothingBroke],
], () => browser.close());
