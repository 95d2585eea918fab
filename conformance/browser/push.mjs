// Notifications: from a message to what Chromium's service worker shows, and from a click back to the message.
//
// Chromium cannot reach its maker's push service here, so its part is played: `PushManager.subscribe` answers with a subscription of real keys (P-256), and
// the push service that it names is ours. It opens what the server sealed (RFC 8291), and DevTools hands that to the service worker as a push.
import { createDecipheriv, createECDH, hkdfSync, randomBytes } from "node:crypto";
import { readFileSync } from "node:fs";
import { createServer } from "node:http";
import { assert, axe, chatRow, check, equal, logIn, open, register, say, sees, until } from "./kit.mjs";

/** What the server may wait before it pushes, and then some. */
const PUSHED_WITHIN_MS = 30_000;
/** A silence that is over while one looks, and not before one does. */
const SILENT_MS = 6000;
/** What is not shown by then is pushed again. */
const PUSHED_AGAIN_MS = 3000;

const info = (...parts) => Buffer.concat(parts.map((part) => (typeof part === "string" ? Buffer.from(part) : part)));
const derive = (secret, salt, about, bytes) => Buffer.from(hkdfSync("sha256", secret, salt, about, bytes));

/** What who writes an app is told; its samples are run here. */
const DOCUMENT = readFileSync(new URL("../../ws-adapter/PUSH.md", import.meta.url), "utf8");

const block = (language) => {
  const [, text] = new RegExp(`^\`\`\`${language}\\n(.*?)^\`\`\``, "ms").exec(DOCUMENT) ?? [];
  assert(text, `PUSH.md has no ${language}`);
  return text;
};

/** Somebody's own server: what is posted to it. */
class Hook {
  got = [];

  async start() {
    this.http = createServer((request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        this.got.push({ headers: request.headers, body: Buffer.concat(chunks) });
        response.writeHead(204).end();
      });
    });
    await new Promise((resolve) => this.http.listen(0, "127.0.0.1", resolve));
    this.url = `http://127.0.0.1:${this.http.address().port}/hook`;
    return this;
  }

  close() {
    this.http.closeAllConnections();
    this.http.close();
  }
}

/** A push service with one subscription. */
class PushService {
  got = [];

  async start() {
    this.ecdh = createECDH("prime256v1");
    this.ecdh.generateKeys();
    this.auth = randomBytes(16);
    this.path = `/push/${randomBytes(8).toString("hex")}`;
    this.status = 201;
    this.http = createServer((request, response) => {
      const chunks = [];
      request.on("data", (chunk) => chunks.push(chunk));
      request.on("end", () => {
        if (request.url === this.path) this.got.push({ headers: request.headers, text: this.unseal(Buffer.concat(chunks)) });
        response.writeHead(this.status).end();
      });
    });
    await new Promise((resolve) => this.http.listen(0, "127.0.0.1", resolve));
    return this;
  }

  get endpoint() {
    return `http://127.0.0.1:${this.http.address().port}${this.path}`;
  }

  /** RFC 8188 with the keys of RFC 8291 §3.4; one record. */
  unseal(body) {
    const salt = body.subarray(0, 16);
    const server = body.subarray(21, 21 + body[20]);
    const mine = this.ecdh.getPublicKey();
    const secret = derive(this.ecdh.computeSecret(server), this.auth, info("WebPush: info\0", mine, server), 32);
    const key = derive(secret, salt, info("Content-Encoding: aes128gcm\0"), 16);
    const nonce = derive(secret, salt, info("Content-Encoding: nonce\0"), 12);
    const sealed = body.subarray(21 + body[20]);
    const opener = createDecipheriv("aes-128-gcm", key, nonce).setAuthTag(sealed.subarray(-16));
    const opened = Buffer.concat([opener.update(sealed.subarray(0, -16)), opener.final()]);
    return opened.subarray(0, opened.lastIndexOf(2)).toString();
  }

  get keys() {
    return { p256dh: this.ecdh.getPublicKey().toString("base64url"), auth: this.auth.toString("base64url") };
  }

  /** Puts the subscription into a browser. */
  async playIn(context) {
    const { keys } = this;
    await context.addInitScript(({ endpoint, keys }) => {
      const bytes = (text) => Uint8Array.from(atob(text.replaceAll("-", "+").replaceAll("_", "/")), (char) => char.charCodeAt(0)).buffer;
      const KEY = "played-subscription";
      const made = () => {
        const applicationServerKey = sessionStorage.getItem(KEY);
        if (!applicationServerKey) return null;
        return {
          endpoint,
          options: { userVisibleOnly: true, applicationServerKey: bytes(applicationServerKey) },
          getKey: (name) => bytes(keys[name]),
          unsubscribe: async () => (sessionStorage.removeItem(KEY), true),
        };
      };
      PushManager.prototype.getSubscription = async () => made();
      PushManager.prototype.subscribe = async ({ userVisibleOnly, applicationServerKey }) => {
        if (!userVisibleOnly || bytes(applicationServerKey).byteLength !== 65) throw new DOMException("not such a key", "InvalidAccessError");
        sessionStorage.setItem(KEY, applicationServerKey);
        return made();
      };
    }, { endpoint: this.endpoint, keys });
  }

  close() {
    this.http.closeAllConnections();
    this.http.close();
  }
}

/** A page's service worker, and pushes to it through DevTools. */
class Worker {
  static async of(page, url) {
    const worker = new Worker();
    await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
    worker.page = page;
    worker.url = url;
    worker.devtools = await page.context().newCDPSession(page);
    worker.devtools.on("ServiceWorker.workerRegistrationUpdated", ({ registrations }) => {
      worker.registrationId = registrations.find(({ isDeleted }) => !isDeleted)?.registrationId ?? worker.registrationId;
    });
    await worker.devtools.send("ServiceWorker.enable");
    await until(() => worker.registrationId, "the service worker is registered");
    return worker;
  }

  push(data) {
    return this.devtools.send("ServiceWorker.deliverPushMessage", { origin: this.url, registrationId: this.registrationId, data: typeof data === "string" ? data : JSON.stringify(data) });
  }

  /**
   * Pushes, until it is shown: when somebody looks while Chromium is about to show a notification, it takes for closed what is kept and not on the screen
   * yet. A push service delivers at least once, too.
   */
  shows(data, what, isIt = () => true) {
    let pushedAt = 0;
    return until(async () => {
      if (Date.now() - pushedAt > PUSHED_AGAIN_MS) {
        pushedAt = Date.now();
        await this.push(data);
      }
      return (await this.shown(data.collapse)).find(isIt);
    }, what);
  }

  shown(tag) {
    return this.page.evaluate(async (tag) => {
      const shown = await (await navigator.serviceWorker.ready).getNotifications(tag ? { tag } : {});
      return shown.map(({ title, body, tag, icon, data }) => ({ title, body, tag, icon, data }));
    }, tag);
  }

  async closeAll() {
    await this.page.evaluate(async () => (await (await navigator.serviceWorker.ready).getNotifications()).forEach((shown) => shown.close()));
    // The next of the same tag takes a place that must be free by then.
    await until(async () => (await this.shown()).length === 0, "all are closed");
  }

  /** DevTools has no click on a notification: the event is dispatched in the worker; which address it opens without a window is answered. */
  click({ windowless = false } = {}) {
    const [worker] = this.page.context().serviceWorkers();
    return worker.evaluate(async (windowless) => {
      const [notification] = await self.registration.getNotifications();
      const opened = [];
      const { matchAll, openWindow } = Clients.prototype;
      Clients.prototype.openWindow = async (url) => void opened.push(url);
      if (windowless) Clients.prototype.matchAll = async () => [];
      const event = new NotificationEvent("notificationclick", { notification });
      let handled;
      event.waitUntil = (work) => void (handled = work);
      self.dispatchEvent(event);
      await handled;
      Object.assign(Clients.prototype, { matchAll, openWindow });
      return opened;
    }, windowless);
  }
}

export async function push(server, browser, shots) {
  server.operate("user", "add", "demo/tim", "--password", "tim-secret-1", "--name", "Tim Teller");
  const service = await new PushService().start();
  const pia = await browser.person("pia", { permissions: ["notifications"] });
  await service.playIn(pia.context());
  const tim = await browser.person("tim");
  const rpc = async (page, method, params = {}) => {
    const token = await page.evaluate(() => JSON.parse(localStorage.getItem("hallway-account")).token);
    const { result, error } = await server.post("/rpc", { jsonrpc: "2.0", id: 1, method, params }, token);
    assert(!error, `${method}: ${JSON.stringify(error)}`);
    return result;
  };
  const direct = "dm~pia~tim";
  let worker;
  try {
    await check("push – turned on: registered with the server's key, and the browser's keys reach the server (PushManager.subscribe is played, with real keys)", async () => {
      await register(pia, server.url, "pia", "Pia Pocket");
      worker = await Worker.of(pia, server.url);
      await pia.getByRole("link", { name: "You", exact: true }).click();
      await pia.getByRole("button", { name: "Turn on here" }).click();
      await pia.getByText("Notifications are on for this device.").waitFor();
      const { targets } = await rpc(pia, "push.list");
      equal(targets.map(({ provider }) => provider), ["webpush"], "where pia is reached");
      assert(/ on /.test(targets[0].device), `the device is ${targets[0].device}`);
      await pia.reload();
      await pia.getByText("Notifications are on for this device.").waitFor();
      equal((await rpc(pia, "push.list")).targets.length, 1, "the number of targets after a reload");
    });

    await check("push – from a message to a notification: sealed by the server, opened with the browser's keys, shown by the service worker", async () => {
      await logIn(tim, server.url, "tim");
      await tim.evaluate(() => (location.hash = "#/people/pia"));
      await tim.getByRole("button", { name: "Message", exact: true }).click();
      await tim.locator(".conversation-head h1", { hasText: "Pia Pocket" }).waitFor();
      // Away: what is not looked at for a while is not connected.
      await pia.goto("about:blank");
      await say(tim, "are you there?");
      const pushed = await until(() => service.got[0], "the server pushes", PUSHED_WITHIN_MS).finally(() => pia.goto(server.url));
      const said = JSON.parse(pushed.text);
      equal([said.conversation, said.text, said.title], [direct, "are you there?", "Tim Teller"], "what is pushed");
      assert(pushed.headers.topic === said.collapse && Number(pushed.headers.ttl) > 0, `the headers are ${JSON.stringify(pushed.headers)}`);
      assert(/^vapid t=/.test(pushed.headers.authorization), "the server does not say who it is");
      await pia.locator(".chat-row").first().waitFor();
      worker = await Worker.of(pia, server.url);
      const shown = await worker.shows(pushed.text, "it is shown");
      equal([shown.title, shown.body, shown.tag, shown.data], ["Tim Teller", "are you there?", said.collapse, { conference: "demo", conversation: direct, seq: said.seq }], "the notification");
    });

    await check("push – clicked: the open window shows the conversation (the click is dispatched in the service worker)", async () => {
      await worker.click();
      await pia.locator(".conversation-head h1", { hasText: "Tim Teller" }).waitFor();
      await pia.locator(".row.highlighted", { hasText: "are you there?" }).waitFor();
      equal(await worker.shown(), [], "what is still shown");
    });

    await check("push – clicked without a window: it opens at the message", async () => {
      await pia.evaluate(() => (location.hash = "#/people"));
      await tim.evaluate(() => (location.hash = "#/c/lobby"));
      await tim.locator(".conversation-head h1", { hasText: "Lobby" }).waitFor();
      await say(tim, "to all of you");
      await sees(tim, "to all of you");
      const { events } = await until(async () => {
        const history = await rpc(tim, "conversation.history", { conversation: "lobby", limit: 1 });
        return history.events[0]?.text === "to all of you" ? history : undefined;
      }, "it is stored");
      await worker.shows({ conversation: "lobby", seq: events[0].seq, title: "Lobby", text: "to all of you", collapse: "c1" }, "it is shown");
      const [url] = await worker.click({ windowless: true });
      const page = await pia.context().newPage();
      await page.goto(server.url + url);
      await page.locator(".row.highlighted", { hasText: "to all of you" }).waitFor();
      await page.close();
      await tim.evaluate((id) => (location.hash = `#/c/${id}`), direct);
      await tim.locator(".conversation-head h1", { hasText: "Pia Pocket" }).waitFor();
      return url;
    });

    await check("push – without content nothing says where it is: clicked, the list of chats opens", async () => {
      await worker.closeAll();
      // Of another conference: what is read in this one closes nothing of it.
      const hidden = { conference: "elsewhere", title: "Hallway", text: "New message", collapse: "c7" };
      await worker.shows({ ...hidden, ts: "2026-11-20T18:00:01.000Z" }, "it is shown");
      await worker.push({ ...hidden, text: "late", ts: "2026-11-20T18:00:00.000Z" });
      await worker.shows({ conversation: "help", seq: 1, title: "Help", text: "another", collapse: "c8" }, "another conversation's");
      equal((await worker.shown("c7"))[0].body, "New message", "what is shown after one that came late");
      await worker.closeAll();
      await worker.shows({ ...hidden, ts: "2026-11-20T18:00:02.000Z" }, "it is shown again");
      await pia.evaluate((id) => (location.hash = `#/c/${id}`), direct);
      await pia.locator(".conversation-head h1", { hasText: "Tim Teller" }).waitFor();
      await worker.click();
      await until(() => pia.evaluate(() => location.hash === "#/"), "the list of chats");
      await worker.shows({ ...hidden, ts: "2026-11-20T18:00:03.000Z" }, "it is shown once more");
      equal(await worker.click({ windowless: true }), ["/"], "what opens without a window");
    });

    await check("push – one notification per conversation, the newest; what comes twice or late is not shown again", async () => {
      await worker.closeAll();
      await worker.shows({ conversation: "lobby", seq: 900, title: "Lobby", text: "first", collapse: "c2" }, "the first", ({ body }) => body === "first");
      await worker.shows({ conversation: "lobby", seq: 902, title: "Lobby", text: "third", collapse: "c2" }, "the third", ({ body }) => body === "third");
      await worker.push({ conversation: "lobby", seq: 901, title: "Lobby", text: "second, late", collapse: "c2" });
      await worker.shows({ conversation: "help", seq: 1, title: "Help", text: "another", collapse: "c3" }, "another conversation's");
      equal((await worker.shown()).map(({ body }) => body).sort(), ["another", "third"], "what is shown");
    });

    await check("push – what cannot be read is shown as a new message, whatever it holds", async () => {
      for (const data of ["", "not json", "[1,2]", "null", '{"seq":"x","title":7}', '{"conversation":']) {
        await worker.closeAll();
        const shown = await worker.shows(data, `something for ${JSON.stringify(data)}`);
        equal([shown.title, shown.body], ["Hallway", "You have a new message."], `what is shown for ${JSON.stringify(data)}`);
      }
      await worker.closeAll();
    });

    await check("push – nothing is shown for what one is looking at", async () => {
      await pia.bringToFront();
      await pia.evaluate((id) => (location.hash = `#/c/${id}`), direct);
      await pia.locator(".conversation-head h1", { hasText: "Tim Teller" }).waitFor();
      await worker.push({ conversation: direct, seq: 990, title: "Tim Teller", text: "seen already", collapse: "c4" });
      await worker.push({ conference: "demo", conversation: direct, seq: 990, title: "Tim Teller", text: "seen already", collapse: "c4" });
      await worker.shows({ conversation: "help", seq: 991, title: "Help", text: "not seen", collapse: "c5" }, "the other conversation's is shown");
      equal((await worker.shown("c4")).length, 0, "the number of notifications of the open one");
      await worker.closeAll();
    });

    await check("push – a conversation of another conference that is called the same is not the one here", async () => {
      await pia.bringToFront();
      await pia.evaluate(() => (location.hash = "#/c/lobby"));
      await pia.locator(".conversation-head h1", { hasText: "Lobby" }).waitFor();
      const other = { conference: "other", conversation: "lobby", seq: 1, title: "Lobby", text: "somewhere else", collapse: "c9" };
      await worker.shows(other, "it is shown although one's own lobby is open");
      await worker.click();
      await until(() => pia.evaluate(() => location.hash === "#/"), "the list of chats");
      await worker.shows(other, "it is shown again");
      const [url] = await worker.click({ windowless: true });
      const page = await pia.context().newPage();
      await page.goto(server.url + url);
      await until(() => page.evaluate(() => location.hash === "#/"), "the list of chats in a new window");
      await page.close();
      await worker.closeAll();
    });

    await check("push – read elsewhere: the notification goes", async () => {
      await pia.evaluate(() => (location.hash = "#/you"));
      await pia.locator(".you-head").waitFor();
      await say(tim, "read me on the phone");
      await until(async () => (await rpc(pia, "conversation.list")).some(({ conversation, unread }) => conversation === direct && unread > 0), "it is unread");
      const { seq } = (await rpc(pia, "conversation.list")).find(({ conversation }) => conversation === direct);
      await worker.shows({ conversation: direct, seq, title: "Tim Teller", text: "read me on the phone", collapse: "c6" }, "it is shown");
      await rpc(pia, "conversation.read", { conversation: direct, seq });
      await until(async () => (await worker.shown("c6")).length === 0, "it is closed");
    });

    await check("push – read elsewhere: the notification that does not say of what goes, too", async () => {
      await worker.closeAll();
      await say(tim, "a word in private");
      const unread = async () => (await rpc(pia, "conversation.list")).find((row) => row.conversation === direct && row.unread > 0);
      await until(unread, "it is unread");
      const { seq, last } = await unread();
      await worker.push({ conference: "demo", title: "Hallway", text: "New message", collapse: "c9", ts: last.ts });
      await until(async () => (await worker.shown("c9")).length === 1, "it is shown");
      await rpc(pia, "conversation.read", { conversation: direct, seq });
      await until(async () => (await worker.shown("c9")).length === 0, "it is closed");
    });

    await check("push – settings: level, names and texts, quiet hours by one's own clock", async () => {
      const part = pia.locator(".part", { has: pia.getByRole("heading", { name: "Notifications" }) });
      const holds = (what, wanted) => until(async () => wanted(await rpc(pia, "push.settings")), what);
      await part.getByLabel("What you are told of").selectOption("mentions");
      await holds("the level", ({ level }) => level === "mentions");
      await part.getByLabel("Show names and texts").uncheck();
      await holds("no content", ({ content }) => content === false);
      await part.getByRole("checkbox", { name: "Quiet hours" }).check();
      await holds("quiet hours", ({ quiet }) => quiet?.from === "22:00" && quiet.to === "07:00");
      await part.getByLabel("from").fill("23:30");
      await part.getByLabel("until").focus();
      await holds("another beginning", ({ quiet }) => quiet?.from === "23:30");
      const offset = await pia.evaluate(() => -new Date().getTimezoneOffset());
      await holds("one's own clock", ({ utc_offset_minutes }) => utc_offset_minutes === offset);
      await axe(pia, "settings");
      await shots(pia, "desktop-notifications");
      await part.getByRole("checkbox", { name: "Quiet hours" }).uncheck();
      await holds("no quiet hours", ({ quiet }) => !quiet);
      await part.getByLabel("Show names and texts").check();
      await part.getByLabel("What you are told of").selectOption("default");
      await holds("as before", ({ level, content }) => level === "default" && content);
    });

    await check("push – a conversation is muted for an hour, until tomorrow, always; the list shows it, as long as it lasts", async () => {
      await open(pia, "Tim Teller").catch(async () => {
        await pia.getByRole("link", { name: /^Chats/ }).click();
        await open(pia, "Tim Teller");
      });
      await pia.getByRole("button", { name: "Details" }).click();
      const known = () => rpc(pia, "conversation.notify", { conversation: direct });
      for (const [choice, fits] of [
        ["For 1 hour", ({ until }) => Math.abs(Date.parse(until) - Date.now() - 3_600_000) < 60_000],
        ["Until tomorrow", ({ until }) => Date.parse(until) > Date.now() && Date.parse(until) - Date.now() < 40 * 3_600_000],
        ["Always", ({ level }) => level === "none"],
      ]) {
        await pia.getByRole("button", { name: "Mute", exact: true }).click();
        await pia.getByRole("menuitem", { name: choice }).click();
        await chatRow(pia, "Tim Teller").getByRole("img", { name: "Muted" }).waitFor();
        await until(async () => fits(await known()), choice);
        assert((await known()).muted, `${choice}: the server does not call it muted`);
        if (choice === "Always") await axe(pia, "muted");
        await pia.getByRole("button", { name: "Unmute" }).click();
        await chatRow(pia, "Tim Teller").getByRole("img", { name: "Muted" }).waitFor({ state: "detached" });
      }
      // For some seconds, on another device.
      await rpc(pia, "conversation.notify", { conversation: direct, until: new Date(Date.now() + SILENT_MS).toISOString() });
      await pia.reload();
      await chatRow(pia, "Tim Teller").getByRole("img", { name: "Muted" }).waitFor();
      await chatRow(pia, "Tim Teller").getByRole("img", { name: "Muted" }).waitFor({ state: "detached" });
      await pia.getByRole("button", { name: "Details" }).click();
      await pia.getByLabel("What you are told of here").selectOption("all");
      await until(async () => (await known()).level === "all", "everything");
      await pia.getByLabel("What you are told of here").selectOption("default");
    });

    await check("push – PUSH.md shows what is sent: the members of the JSON and of a webhook's, and its sample knows whose a request is", async () => {
      server.operate("user", "add", "demo/wes", "--password", "wes-secret-1", "--name", "Wes Webhook");
      const { token } = await server.post("/api/login", { conference: "demo", uid: "wes", password: "wes-secret-1" });
      const wes = async (method, params) => {
        const { result, error } = await server.post("/rpc", { jsonrpc: "2.0", id: 1, method, params }, token);
        assert(!error, `${method}: ${JSON.stringify(error)}`);
        return result;
      };
      const [hook, own] = [await new Hook().start(), await new PushService().start()];
      try {
        const secret = "sixteen bytes, or more";
        await wes("conversation.join", { conversation: "lobby" });
        await wes("push.register", { provider: "webhook", url: hook.url, secret });
        await wes("push.register", { provider: "webpush", endpoint: own.endpoint, keys: own.keys });
        await rpc(tim, "message.send", { conversation: "lobby", id: "for-wes", text: "hi @wes", mentions: ["wes"] });
        const { headers, body } = await until(() => hook.got[0], "the webhook is told", PUSHED_WITHIN_MS);
        const pushed = JSON.parse((await until(() => own.got[0], "the push service is told", PUSHED_WITHIN_MS)).text);
        const members = (value) => Object.keys(value).sort();
        equal(members(pushed), members(JSON.parse(block("json"))), "what is pushed");
        const [, named = ""] = /A webhook gets `\{(.*?)\}`/.exec(DOCUMENT) ?? [];
        equal(members(JSON.parse(body)), named.split(", ").sort(), "what a webhook gets");
        const { isHallways } = await import(`data:text/javascript,${encodeURIComponent(block("js"))}`);
        const header = headers["hallway-signature"];
        equal(isHallways(header, body, secret), true, "its own");
        for (const [what, wrong] of [
          ["another secret", [header, body, "another secret, as long"]],
          ["another body", [header, Buffer.concat([body, Buffer.from(" ")]), secret]],
          ["an old time", [header.replace(/t=\d+/, "t=1"), body, secret]],
          ["no signature", [undefined, body, secret]],
          ["half a signature", [header.slice(0, -2), body, secret]],
        ]) equal(isHallways(...wrong), false, what);
      } finally {
        hook.close();
        own.close();
      }
    });

    await check("push – blocked in the browser: it is said, and once it is allowed there it can be turned on, without a reload", async () => {
      const blocked = await browser.person("blocked", { permissions: [] });
      await logIn(blocked, server.url, "tim");
      await blocked.evaluate(() => (location.hash = "#/you"));
      await blocked.getByText(/^Notifications are blocked for this site\./).waitFor();
      equal(await blocked.getByRole("button", { name: "Turn on here" }).count(), 0, "what there is to turn on");
      await axe(blocked, "blocked");
      await blocked.context().grantPermissions(["notifications"], { origin: server.url });
      await blocked.getByRole("button", { name: "Turn on here" }).waitFor();
      await blocked.context().close();
    });

    await check("push – turned off, and signing out: the server knows no address any more", async () => {
      await pia.getByRole("link", { name: "You", exact: true }).click();
      await pia.getByRole("button", { name: "Turn off here" }).click();
      await until(async () => (await rpc(pia, "push.list")).targets.length === 0, "no target");
      await pia.getByRole("button", { name: "Turn on here" }).click();
      await until(async () => (await rpc(pia, "push.list")).targets.length === 1, "a target again");
      const { token } = await server.post("/api/login", { conference: "demo", uid: "pia", password: "pia-secret-1" });
      await worker.shows({ conversation: direct, seq: 10_000, title: "Tim Teller", text: "for pia alone", collapse: "c10" }, "it is shown");
      await pia.getByRole("button", { name: "Sign out" }).click();
      await pia.getByText("You are signed out.").waitFor();
      await until(async () => (await worker.shown()).length === 0, "nothing is shown any more");
      const { result } = await server.post("/rpc", { jsonrpc: "2.0", id: 1, method: "push.list", params: {} }, token);
      equal(result.targets, [], "where pia is reached");
    });
    await sees(tim, "read me on the phone");
  } finally {
    service.close();
    await pia.context().close();
    await tim.context().close();
  }
}
