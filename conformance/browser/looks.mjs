// How it is to use: by keyboard alone, on small screens, in the dark, with a screen reader (axe-core), installed.
import { assert, axe, check, equal, open, row, sees, until } from "./kit.mjs";

export async function firstView(server, browser) {
  await check("first view – under 200 KB over the wire, nothing from elsewhere", async () => {
    const page = await browser.person("visitor");
    const devtools = await page.context().newCDPSession(page);
    let bytes = 0;
    await devtools.send("Network.enable");
    devtools.on("Network.loadingFinished", ({ encodedDataLength }) => (bytes += encodedDataLength));
    await page.goto(server.url);
    await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
    await page.waitForLoadState("networkidle");
    const script = await (await fetch(server.url)).text();
    const [, path] = /src="(\/assets\/[^"]+\.js)"/.exec(script) ?? [];
    const answer = await fetch(server.url + path, { headers: { "Accept-Encoding": "gzip" } });
    assert(/immutable/.test(answer.headers.get("cache-control")), "the script may not be kept for ever");
    assert(bytes > 20_000 && bytes < 200_000, `${bytes} bytes`);
    await axe(page, "sign in");
    await page.getByRole("button", { name: /New here/ }).click();
    await axe(page, "create account");
    await page.getByLabel("User name").fill("ann");
    await page.getByLabel("Password", { exact: true }).fill("wrong");
    await page.getByRole("button", { name: /Have an account/ }).click();
    await page.getByRole("button", { name: "Sign in", exact: true }).click();
    await page.locator("[role=alert]", { hasText: "User name and password do not fit." }).waitFor();
    await page.context().close();
    return `${bytes} bytes`;
  });
}

export async function views(server, ann, bob, shots) {
  const places = [
    ["chats", "#/"], ["channel", "#/c/lobby"], ["people", "#/people"], ["person", "#/people/bob"], ["search", "#/search"], ["you", "#/you"], ["nothing", "#/c/no-such-thing"],
  ];
  for (const [who, page] of [["desktop", ann], ["phone", bob]]) {
    for (const scheme of ["light", "dark"]) {
      await check(`axe – every view on a ${who}, ${scheme}`, async () => {
        await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
        for (const [name, hash] of places) {
          await page.evaluate((hash) => (location.hash = hash), hash);
          await page.waitForTimeout(350);
          await axe(page, name);
          assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${name} is wider than the screen`);
          await shots(page, `${who}-${scheme}-${name}`);
        }
        const ground = await page.evaluate(() => getComputedStyle(document.querySelector(".pane, main")).backgroundColor);
        const [red = 0] = ground.match(/\d+/g).map(Number);
        assert(scheme === "dark" ? red < 60 : red > 200, `the ground is ${ground}`);
      });
    }
    await page.emulateMedia({ colorScheme: "light", reducedMotion: "no-preference" });
  }
  await check("axe – menus and dialogs", async () => {
    await ann.emulateMedia({ reducedMotion: "reduce" });
    await ann.evaluate(() => (location.hash = "#/c/lobby"));
    await open(ann, "Lobby");
    const last = ann.locator(".row").last();
    await last.hover();
    await last.getByRole("button", { name: "Message actions" }).click();
    await axe(ann, "message menu");
    await shots(ann, "desktop-menu");
    await ann.getByRole("menuitem", { name: "React" }).click();
    await axe(ann, "emoji");
    await shots(ann, "desktop-emoji");
    await ann.keyboard.press("Escape");
    await ann.getByRole("button", { name: "Details" }).click();
    await ann.locator(".details .person-row").first().waitFor();
    await axe(ann, "details");
    await shots(ann, "desktop-details");
    await ann.keyboard.press("Escape");
    await ann.getByRole("button", { name: "New chat" }).click();
    await axe(ann, "new group");
    await shots(ann, "desktop-new");
    await ann.keyboard.press("Escape");
    await ann.keyboard.press("Control+k");
    await axe(ann, "jump");
    await shots(ann, "desktop-jump");
    await ann.keyboard.press("Escape");
  });
}

export async function themes(ann) {
  await check("the look is chosen, and stays chosen", async () => {
    const ground = () => ann.evaluate(() => getComputedStyle(document.querySelector("main")).backgroundColor);
    await ann.emulateMedia({ colorScheme: "light" });
    await ann.getByRole("link", { name: "You", exact: true }).click();
    const light = await ground();
    await ann.getByLabel("Dark").check({ force: true });
    await until(async () => (await ground()) !== light, "it is dark");
    const dark = await ground();
    await ann.reload();
    await ann.locator("main").waitFor();
    equal(await ground(), dark, "the ground after a reload");
    await ann.getByLabel("As the system").check({ force: true });
    await until(async () => (await ground()) === light, "it is light");
  });
}

export async function phone(bob) {
  await check("phone – one thing at a time, a way back, tabs below, targets for fingers", async () => {
    await bob.evaluate(() => (location.hash = "#/"));
    await bob.locator(".pane").waitFor();
    equal(await bob.locator("main:not(.pane)").count(), 0, "the number of second panes");
    const rail = await bob.locator(".rail").boundingBox();
    assert(rail.y > 700, `the tabs are at ${rail.y}`);
    await open(bob, "Lobby");
    equal(await bob.locator(".pane").count(), 0, "the number of lists beside it");
    const small = await bob.evaluate(() => [...document.querySelectorAll("button, .rail a, .conversation-head a")].filter((one) => {
      const { width, height } = one.getBoundingClientRect();
      return one.checkVisibility() && width > 1 && (width < 24 || height < 24);
    }).map((one) => one.outerHTML.slice(0, 80)));
    equal(small, [], "what is too small to touch");
    await row(bob, "and again").locator(".bubble").tap();
    await bob.getByRole("menuitem", { name: "Reply" }).tap();
    await bob.locator(".task", { hasText: "Replying to" }).waitFor();
    await bob.getByRole("button", { name: "Cancel" }).tap();
    await bob.setViewportSize({ width: 320, height: 568 });
    assert(await bob.evaluate(() => document.documentElement.scrollWidth <= 320), "wider than 320 px");
    await bob.setViewportSize({ width: 390, height: 844 });
    await bob.getByRole("link", { name: "Back to chats" }).tap();
    await bob.locator(".pane").waitFor();
  });
}

export async function keyboard(server, browser, ann) {
  await check("keyboard alone – in, to a channel, say, edit, answer, look around", async () => {
    const page = await browser.person("keys");
    const press = async (...keys) => {
      for (const key of keys) await page.keyboard.press(key);
    };
    await page.goto(server.url);
    await page.getByLabel("User name").waitFor();
    const at = (selector) => page.evaluate((selector) => document.activeElement?.matches(selector), selector);
    await until(async () => {
      await press("Tab");
      if (await at("select")) await page.keyboard.type("Demo");
      return at("[autocomplete=username]");
    }, "one is at the user name");
    await page.keyboard.type("ann");
    await press("Tab");
    await page.keyboard.type("ann-secret-1");
    await press("Enter");
    await page.locator(".chat-row").first().waitFor();
    await press("Control+k");
    await page.keyboard.type("lob");
    await page.getByRole("option", { name: /Lobby/ }).waitFor();
    await press("Enter");
    await page.locator(".conversation-head h1", { hasText: "Lobby" }).waitFor();
    await until(() => page.evaluate(() => document.activeElement?.matches(".composer textarea")), "one can write at once");
    await page.keyboard.type("typed by kezs");
    await press("Enter");
    await row(page, "typed by kezs").locator(".send-state", { hasText: "Sent" }).waitFor();
    await press("ArrowUp");
    await page.locator(".task", { hasText: "Editing your message" }).waitFor();
    await press("Control+a");
    await page.keyboard.type("typed by keys");
    await press("Enter");
    await sees(ann, "typed by keys");
    await press("Shift+Tab");
    await until(() => page.evaluate(() => document.activeElement?.closest(".messages")), "one is at the messages");
    await press("ArrowUp", "ArrowUp", "ArrowDown");
    await until(() => page.evaluate(() => document.activeElement?.textContent.includes("typed by keys")), "one is at the last message");
    await press("r");
    await page.locator(".task", { hasText: "Replying to" }).waitFor();
    await page.keyboard.type("answered by keys");
    await press("Enter");
    await row(ann, "answered by keys").locator(".quote", { hasText: "typed by keys" }).waitFor();
    await press("Shift+Tab", "ArrowUp", "Enter");
    await page.getByRole("menuitem", { name: "React" }).waitFor();
    await press("Escape", "l");
    await page.locator(".emoji-picker").waitFor();
    await press("ArrowRight", "Enter");
    await row(ann, "answered by keys").locator(".reaction").waitFor();
    await press("Escape", "Escape");
    await until(() => page.evaluate(() => document.activeElement?.matches(".composer textarea")), "Escape leads back to writing");
    const before = page.url();
    await press("Alt+ArrowDown");
    await until(() => page.url() !== before, "the next conversation");
    await page.locator(".rail-you").focus();
    await press("?");
    await page.getByRole("heading", { name: "Keyboard shortcuts" }).waitFor();
    await press("Escape");
    await page.locator(".chat-row[tabindex='0']").first().focus();
    await press("ArrowDown");
    await until(() => page.evaluate(() => document.activeElement?.matches(".chat-row")), "the arrows go through the list");
    const visible = await page.evaluate(() => getComputedStyle(document.activeElement).outlineStyle);
    equal(visible, "solid", "the outline of what has the focus");
    await page.context().close();
  });
}

export async function installable(server, ann) {
  await check("installable – manifest, icons, service worker", async () => {
    const manifest = await (await fetch(`${server.url}/manifest.webmanifest`)).json();
    for (const { src, sizes, type } of manifest.icons) {
      const icon = await fetch(server.url + src);
      equal([icon.status, icon.headers.get("content-type")], [200, type], src);
      if (type !== "image/png") continue;
      const bytes = Buffer.from(await icon.arrayBuffer());
      equal(`${bytes.readUInt32BE(16)}x${bytes.readUInt32BE(20)}`, sizes, `the size of ${src}`);
    }
    const devtools = await ann.context().newCDPSession(ann);
    const { installabilityErrors } = await devtools.send("Page.getInstallabilityErrors");
    // Every browser of these checks is one that keeps nothing.
    equal(installabilityErrors.map(({ errorId }) => errorId).filter((id) => id !== "in-incognito"), [], "what the browser misses");
  });
}
