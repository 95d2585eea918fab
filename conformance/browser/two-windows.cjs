// Two browser windows at `/` talk: each signs in, each sees what the other says, and a reload shows it again.
//
// usage: NODE_PATH=… CHROMIUM=/usr/bin/chromium node two-windows.cjs http://127.0.0.1:PORT
// The page has: inputs #uid and #password, buttons #sign-in and #send, select #conversation, input #text, and #messages with
// .message items. Exit status 0 when all went well; what was seen is on stdout.
"use strict";

const { chromium } = require("playwright-core");

const address = process.argv[2];
const WITHIN_MS = 15_000;

async function openWindow(browser, uid, errors) {
  const context = await browser.newContext();
  const page = await context.newPage();
  page.setDefaultTimeout(WITHIN_MS);
  page.on("pageerror", (error) => errors.push(`${uid}: ${error.message}`));
  // The page tries to sign in before it makes an account, and the browser reports the first answer as an error.
  const expected = /status of 401/;
  page.on("console", (message) => message.type() === "error" && !expected.test(message.text()) && errors.push(`${uid}: ${message.text()}`));
  await page.goto(address);
  await signIn(page, uid);
  return page;
}

async function signIn(page, uid) {
  await page.fill("#uid", uid);
  await page.fill("#password", `${uid}-secret-1`);
  await page.click("#sign-in");
  await page.locator("#conversation option", { hasText: /lobby/i }).first().waitFor({ state: "attached" });
  const option = page.locator("#conversation option", { hasText: /lobby/i }).first();
  await page.selectOption("#conversation", await option.getAttribute("value") ?? { label: await option.textContent() });
  await page.waitForFunction(() => !document.querySelector("#text").disabled);
}

async function say(page, text) {
  await page.fill("#text", text);
  await page.click("#send");
}

async function sees(page, who, text) {
  const items = page.locator("#messages .message", { hasText: text });
  await items.first().waitFor();
  const count = await items.count();
  if (count !== 1) throw new Error(`${who} sees ${JSON.stringify(text)} ${count} times`);
}

async function main() {
  const executablePath = process.env.CHROMIUM || "/usr/bin/chromium";
  const browser = await chromium.launch({ executablePath, args: ["--no-sandbox", "--disable-gpu", "--disable-dev-shm-usage"] });
  const errors = [];
  try {
    const alice = await openWindow(browser, "alice", errors);
    const bob = await openWindow(browser, "bob", errors);
    await say(alice, "hello bob");
    await sees(bob, "bob", "hello bob");
    await sees(alice, "alice", "hello bob");
    // What people write is text, never markup.
    await say(bob, "<b id=bold>hi</b> & <img src=x onerror=\"document.title='hacked'\">");
    await sees(alice, "alice", "<b id=bold>hi</b> &");
    if (await alice.locator("#bold, #messages img").count()) throw new Error("a message became markup");
    if (await alice.title() === "hacked") throw new Error("a message became a script");
    for (let at = 1; at <= 20; at += 1) await say(alice, `line ${at}.`);
    await sees(bob, "bob", "line 20.");
    const lines = (await bob.locator("#messages .message", { hasText: /line \d+\./ }).allTextContents()).map((text) => Number(text.match(/line (\d+)\./)[1]));
    if (lines.join() !== Array.from({ length: 20 }, (_, at) => at + 1).join()) throw new Error(`bob sees the lines as ${lines}`);
    await bob.reload();
    if (await bob.locator("#sign-in").isVisible()) await signIn(bob, "bob");
    await sees(bob, "bob", "hello bob");
    await sees(bob, "bob", "line 20.");
    if (errors.length) throw new Error(`errors in the console: ${errors.join("; ")}`);
    console.log("two windows talked: 22 messages, in order, each once");
  } finally {
    await browser.close();
  }
}

main().catch((error) => {
  console.error(error.stack);
  process.exitCode = 1;
});
