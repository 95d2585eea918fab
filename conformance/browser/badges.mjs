// Badges: shown, scanned with a camera (Chromium's own fake one, before which the check holds a picture), two people who meet, check-in, leads.
import { mkdtempSync, rmSync, writeFileSync } from "node:fs";
import { tmpdir } from "node:os";
import { join } from "node:path";
import { assert, axe, Browser, check, equal, logIn, register, say, sees, until } from "./kit.mjs";

const CAMERA = { width: 640, height: 480 };
/** What the server calls the same badge again (`badges.debounce_ms`), and a little. */
const HELD_MS = 2200;
const PAGES = ["you", "badge", "scan", "contacts", "leads"];
/** More leads than one part of the table holds: a part is cut behind a hundred rows, when they have 256 KiB. */
const VISITORS = 120;
const NOTE_CHARS = 3000;
/** More than one page of who has one's data. */
const EXHIBITORS = 55;

/** What is on somebody's screen, as a camera sees it: one frame of YUV4MPEG2. The code is drawn by the app itself. */
async function frameOf(page) {
  const grey = await page.locator(".qr path").evaluate((path, { width, height }) => {
    const side = path.ownerSVGElement.viewBox.baseVal.width;
    const canvas = Object.assign(document.createElement("canvas"), { width, height });
    const context = canvas.getContext("2d");
    context.fillStyle = "#fff";
    context.fillRect(0, 0, width, height);
    const scale = (height * 0.8) / side;
    context.translate((width - side * scale) / 2, (height - side * scale) / 2);
    context.scale(scale, scale);
    context.fillStyle = "#111";
    context.fill(new Path2D(path.getAttribute("d")));
    const { data } = context.getImageData(0, 0, width, height);
    return Array.from({ length: width * height }, (_, at) => data[4 * at]);
  }, CAMERA);
  const colourless = Buffer.alloc((CAMERA.width * CAMERA.height) / 2, 128);
  return Buffer.concat([Buffer.from(`YUV4MPEG2 W${CAMERA.width} H${CAMERA.height} F15:1 Ip A1:1 C420jpeg\nFRAME\n`), Buffer.from(grey), colourless]);
}

const go = (page, place) => page.evaluate((place) => (location.hash = `#/${place}`), place);
const to = async (page, place) => {
  await go(page, place);
  await page.locator(place === "you" ? ".you-head" : ".badge-page").waitFor();
};

const type = async (page, code) => {
  await page.getByLabel("Code by hand").fill(code);
  await page.getByRole("button", { name: "Enter", exact: true }).click();
};

const outcome = (page, word) => page.locator(".outcome", { has: page.locator(".outcome-word", { hasText: word }) });

export async function badges(server, browser, shots) {
  const directory = mkdtempSync(join(tmpdir(), "hallway-camera-"));
  const browsers = [];
  /** A browser with a picture before its camera. */
  const withCamera = async (name, frame, options) => {
    const file = join(directory, `${name}.y4m`);
    writeFileSync(file, frame);
    const own = new Browser(server);
    // Whatever pages complain of comes together.
    Object.assign(own, { errors: browser.errors, foreign: browser.foreign });
    browsers.push(own);
    await own.start("--use-fake-device-for-media-stream", `--use-file-for-fake-video-capture=${file}`);
    return own.person(name, { permissions: ["camera"], ...options });
  };
  const account = (uid, name, role) => server.operate("user", "add", `demo/${uid}`, "--password", `${uid}-secret-1`, "--name", name, ...(role ? ["--role", role] : []));
  /** Somebody who asks the server themselves. */
  const asker = async (uid) => {
    const { token } = await server.post("/api/login", { conference: "demo", uid, password: `${uid}-secret-1` });
    return async (method, params) => {
      const { result, error } = await server.post("/rpc", { jsonrpc: "2.0", id: 1, method, params }, token);
      assert(!error, `${method}: ${JSON.stringify(error)}`);
      return result;
    };
  };
  const ask = async (uid, method, params) => (await asker(uid))(method, params);
  /** What the page downloads as the table of leads. */
  const tableOf = async (page) => {
    const [download] = await Promise.all([page.waitForEvent("download"), page.getByRole("button", { name: "Download as CSV" }).click()]);
    return Buffer.concat(await (await download.createReadStream()).toArray()).toString();
  };
  const codeOf = async (uid) => (await ask(uid, "badge.mine", {})).code;

  try {
    const kim = await browser.person("kim", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
    const lee = await browser.person("lee");
    await check("badge – one's own is shown, and without a network, too", async () => {
      await register(kim, server.url, "kim", "Kim Kaapo");
      await register(lee, server.url, "lee", "Lee Lindqvist");
      for (const page of [kim, lee]) {
        await page.evaluate(() => navigator.serviceWorker.ready.then(() => true));
        await page.getByRole("link", { name: /^You/ }).click();
        await page.getByRole("link", { name: "My badge" }).click();
        await page.getByRole("img", { name: /^Badge code of/ }).waitFor();
      }
      await shots(kim, "phone-badge");
      const drawn = await kim.locator(".qr path").getAttribute("d");
      await kim.context().setOffline(true);
      await kim.reload();
      await kim.getByRole("img", { name: /^Badge code of/ }).waitFor();
      equal(await kim.locator(".qr path").getAttribute("d"), drawn, "the code");
      await kim.context().setOffline(false);
    });

    let kimsPhone;
    let leesPhone;
    await check("badge – two people meet: each holds their camera to the other's screen, and the direct chat opens in both apps", async () => {
      kimsPhone = await withCamera("kim's phone", await frameOf(lee), { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
      leesPhone = await withCamera("lee's phone", await frameOf(kim));
      await logIn(kimsPhone, server.url, "kim");
      await to(kimsPhone, "scan");
      await outcome(kimsPhone, "Asked").filter({ hasText: "Lee Lindqvist" }).waitFor();
      await shots(kimsPhone, "phone-scan-asked");
      await lee.getByText("Kim Kaapo wants to meet you.").waitFor();
      await logIn(leesPhone, server.url, "lee");
      // Kim's badge is before the camera already: it is over at once.
      await go(leesPhone, "scan");
      for (const [page, name] of [[leesPhone, "Kim Kaapo"], [kimsPhone, "Lee Lindqvist"], [lee, "Kim Kaapo"]]) {
        await page.locator(".conversation-head h1", { hasText: name }).waitFor();
      }
      await say(kimsPhone, "so you are Lee!");
      await sees(leesPhone, "so you are Lee!");
      await shots(leesPhone, "desktop-met");
      const detector = await leesPhone.evaluate(() => "BarcodeDetector" in globalThis);
      return detector ? "read by the browser's detector" : "read by the app's own decoder";
    });

    await check("contacts – who was met, with a way to the chat; who asks is accepted, or declined", async () => {
      account("max", "Max Mäkelä");
      account("nia", "Nia Nkosi");
      for (const uid of ["max", "nia"]) equal((await ask(uid, "badge.scan", { code: await codeOf("kim") })).reason, "ok", `${uid}'s scan`);
      await to(kimsPhone, "contacts");
      await kimsPhone.getByRole("button", { name: "Accept Max Mäkelä" }).waitFor();
      await axe(kimsPhone, "contacts");
      await shots(kimsPhone, "phone-contacts");
      await kimsPhone.getByRole("button", { name: "Decline Nia Nkosi" }).tap();
      await kimsPhone.getByRole("button", { name: "Decline Nia Nkosi" }).waitFor({ state: "detached" });
      equal((await ask("nia", "contact.list", {})).contacts.map(({ user, state }) => [user, state]), [["kim", "asked"]], "what Nia sees of it");
      await kimsPhone.getByRole("button", { name: "Accept Max Mäkelä" }).tap();
      await kimsPhone.locator(".conversation-head h1", { hasText: "Max Mäkelä" }).waitFor();
      equal((await ask("max", "contact.list", {})).contacts.map(({ user, state }) => [user, state]), [["kim", "met"]], "what Max sees of it");
    });

    await check("badge – a code that is nobody's is refused, in words, and one's own, too", async () => {
      await to(lee, "scan");
      await type(lee, "no-such-badge");
      await outcome(lee, "Unknown badge").waitFor();
      equal(await lee.locator(".outcome").getAttribute("data-tone"), "bad", "the tone");
      await type(lee, await codeOf("lee"));
      await outcome(lee, "Not allowed").waitFor();
    });

    await check("check-in – by staff with the camera; a second time is told apart; a scan without a network waits and is sent after a reload, with its own time", async () => {
      account("sue", "Sue Staff", "staff");
      await to(lee, "badge");
      const desk = await withCamera("sue's phone", await frameOf(lee), { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
      await logIn(desk, server.url, "sue");
      await desk.evaluate(() => navigator.serviceWorker.ready.then(() => true));
      await to(desk, "scan");
      await outcome(desk, "Checked in").filter({ hasText: "Lee Lindqvist" }).waitFor();
      await axe(desk, "check-in");
      await shots(desk, "phone-checkin");
      await desk.getByRole("button", { name: "Stop the camera" }).tap();
      const lees = await codeOf("lee");
      // Within moments it is the same badge held a little longer.
      await desk.waitForTimeout(HELD_MS);
      await type(desk, lees);
      await outcome(desk, "Already here").waitFor();
      const kims = await codeOf("kim");
      await desk.context().setOffline(true);
      await desk.locator(".banner", { hasText: "You are offline" }).waitFor();
      const before = Date.now();
      await type(desk, kims);
      await outcome(desk, "Kept").waitFor();
      await desk.getByText("1 scan waits to be sent.").waitFor();
      await desk.reload();
      await to(desk, "scan");
      // The camera is on again, and Lee's badge before it: soon there are two.
      const waits = desk.getByText(/^\d+ scans? waits? to be sent\.$/);
      await waits.waitFor();
      const after = Date.now();
      await desk.context().setOffline(false);
      await desk.locator(".scans li", { hasText: "Kim Kaapo" }).filter({ hasText: "Checked in" }).waitFor({ timeout: 40_000 });
      await waits.waitFor({ state: "detached" });
      const { people } = await ask("sue", "checkin.list", {});
      const kimsTime = Date.parse(people.find(({ user }) => user === "kim").ts);
      assert(kimsTime >= before - 1000 && kimsTime <= after, `kim came at ${kimsTime}, scanned between ${before} and ${after}`);
      account("gate-1", "Gate One", "device");
      await ask("sue", "reader.set", { reader: "gate-1", mode: "checkin" });
      await to(desk, "desk");
      await desk.getByRole("listitem").filter({ hasText: /Gate One.*Check-in.*Offline · no scan yet/ }).waitFor();
      await desk.getByText(/^2 of \d+ are checked in$/).waitFor();
      equal((await ask("gate-1", "badge.scan", { code: lees })).reason, "already_checked_in", "what the gate is told");
      await desk.getByRole("listitem").filter({ hasText: /Gate One.* · last scan (?:now|1 min)$/ }).waitFor();
      await axe(desk, "desk");
      await shots(desk, "phone-desk");
    });

    await check("session – a scan without a direction says what is known: neither a welcome nor a goodbye; with one, which", async () => {
      const sue = await browser.person("sue");
      await logIn(sue, server.url, "sue");
      await to(sue, "scan");
      await sue.getByRole("radio", { name: "Session", exact: true }).check({ force: true });
      // Without a session nothing is scanned: nobody is refused for what the door has not chosen.
      await sue.getByText("Pick the conversation first").waitFor();
      equal([await sue.getByLabel("Code by hand").count(), await sue.locator(".camera").count()], [0, 0], "what there is to scan with");
      await sue.locator(".purpose select").selectOption("lobby");
      const scanned = async (word) => {
        await sue.waitForTimeout(HELD_MS);
        await type(sue, await codeOf("kim"));
        const said = outcome(sue, word).filter({ hasText: "Kim Kaapo" });
        await said.waitFor();
        return said.textContent();
      };
      for (const inside of [1, 0]) {
        const said = await scanned("Noted");
        assert(!/welcome/i.test(said), `it says ${said}`);
        equal((await ask("sue", "attendance.list", { conversation: "lobby" })).inside, inside, "the number of people inside");
      }
      for (const [direction, word] of [["In", /^In$/], ["Out", /^Out$/]]) {
        await sue.getByRole("radio", { name: direction, exact: true }).check({ force: true });
        await scanned(word);
      }
      await sue.context().close();
    });

    await check("scan – a phone shows what came of it without being scrolled, and of a badge that is held longer whose it is", async () => {
      await to(kim, "badge");
      const phone = await withCamera("sue's phone at a session", await frameOf(kim), { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
      await logIn(phone, server.url, "sue");
      await to(phone, "scan");
      // Kim's badge stays before the camera while the door changes what it scans for.
      await outcome(phone, "Already here").filter({ hasText: "Kim Kaapo" }).waitFor();
      await phone.getByRole("radio", { name: "Session", exact: true }).check({ force: true });
      await phone.locator(".purpose select").selectOption("help");
      await outcome(phone, "Noted").filter({ hasText: "Kim Kaapo" }).waitFor();
      const isSeen = () => phone.locator(".outcome").evaluate((panel) => panel.getBoundingClientRect().bottom <= document.querySelector(".rail").getBoundingClientRect().top);
      await until(isSeen, "it is to be seen");
      await type(phone, await codeOf("kim"));
      await outcome(phone, "Again").filter({ hasText: "Kim Kaapo" }).waitFor();
      await phone.context().close();
    });

    await check("desk – who has arrived is found by name and can be sent back; who is in a session; attendees are imported once they were looked at", async () => {
      const sue = await browser.person("sue's desk");
      await logIn(sue, server.url, "sue");
      await to(sue, "desk");
      await sue.getByRole("button", { name: "Show the list" }).click();
      await sue.getByLabel("Find people by name").fill("lindq");
      await until(async () => (await sue.getByRole("button", { name: /^Undo the check-in of/ }).count()) === 1, "one is found");
      await sue.getByRole("button", { name: "Undo the check-in of Lee Lindqvist" }).click();
      await sue.getByRole("dialog").getByRole("button", { name: "Undo check-in" }).click();
      await sue.getByText("Lee Lindqvist is not checked in any more.").waitFor();
      equal((await ask("sue", "checkin.list", {})).people.map(({ user }) => user), ["kim"], "who is checked in");
      await sue.getByText(/^1 of \d+ are checked in$/).waitFor();

      const sessions = sue.locator(".part", { has: sue.getByRole("heading", { name: "Sessions" }) });
      await sessions.getByRole("combobox").selectOption("lobby");
      const { inside, came } = await ask("sue", "attendance.list", { conversation: "lobby" });
      await sessions.getByText(`${came} came in all`).waitFor();
      equal(await sessions.locator("li .tag", { hasText: "inside" }).count(), inside, "how many are inside");

      const choose = (csv) => sue.getByLabel("Choose a file").setInputFiles({ name: "orders.csv", mimeType: "text/csv", buffer: Buffer.from(csv) });
      await choose("a,b\n1,2\n");
      await sue.getByText(/no column for name is recognised/).waitFor();
      await choose("name,badge\nIda Import,TICKET-IDA\n,TICKET-NOBODY\n");
      await sue.getByText(/2 rows \(generic\)\. 1 to add, 0 to change, 0 unchanged, 1 left out\./).waitFor();
      await sue.getByRole("row", { name: /3.*no name/ }).waitFor();
      await axe(sue, "import");
      await shots(sue, "desktop-import");
      equal((await ask("sue", "people.list", { query: "Ida" })).people, [], "who is there before");
      await sue.getByRole("button", { name: "Import 1 attendee" }).click();
      await sue.getByText("1 attendee was added, 0 changed.").waitFor();
      equal((await ask("sue", "people.list", { query: "Ida" })).people.map(({ name }) => name), ["Ida Import"], "who is there");
      await choose("name,badge\nIda Import,TICKET-IDA\n");
      await sue.getByText(/0 to add, 0 to change, 1 unchanged, 0 left out\./).waitFor();
      equal(await sue.getByRole("button", { name: /^Import/ }).count(), 0, "what there is to import");
      await sue.context().close();
    });

    await check("leads – an exhibitor scans, rates, notes, downloads; the visitor sees who has their data, and withdraws it", async () => {
      account("eve", "Eve Exhibitor");
      await ask("sue", "reader.set", { reader: "eve", mode: "lead" });
      const eve = await browser.person("eve");
      await logIn(eve, server.url, "eve");
      await to(eve, "scan");
      await type(eve, await codeOf("lee"));
      await outcome(eve, "Contact taken").filter({ hasText: "Lee Lindqvist" }).waitFor();
      await eve.getByLabel("4 stars").check({ force: true });
      await eve.getByLabel("Note").fill("wants a demo, \"soon\"");
      await eve.getByLabel("Tags, with commas between").fill("hot, demo");
      await axe(eve, "lead");
      await shots(eve, "desktop-lead");
      await eve.getByRole("button", { name: "Save" }).click();
      await eve.locator(".lead-form").waitFor({ state: "detached" });
      await to(eve, "leads");
      const card = eve.locator(".people-cards li", { hasText: "Lee Lindqvist" });
      await card.getByRole("img", { name: "4 stars" }).waitFor();
      await card.getByText("wants a demo, \"soon\"").waitFor();
      equal(await card.locator(".chip").allTextContents(), ["hot", "demo"], "the tags");
      assert(/Lee Lindqvist/.test(await tableOf(eve)), "Lee is not in the table");
      await shots(eve, "desktop-leads");
      // Who scans for her writes to her leads.
      account("hal", "Hal Helper");
      await ask("sue", "reader.set", { reader: "hal", mode: "lead", owner: "eve" });
      const hal = await browser.person("hal");
      await logIn(hal, server.url, "hal");
      await to(hal, "scan");
      await type(hal, await codeOf("lee"));
      await until(async () => (await hal.getByLabel("Note").inputValue()).startsWith("wants a demo"), "Hal sees Eve's note");
      await hal.getByLabel("Note").fill("has had the demo");
      await hal.getByRole("button", { name: "Save" }).click();
      await hal.locator(".lead-form").waitFor({ state: "detached" });
      equal((await ask("eve", "lead.list", {})).leads.map(({ user, note, rating, scans }) => [user, note, rating, scans]), [["lee", "has had the demo", 4, 2]], "Eve's leads");
      await hal.context().close();
      await to(lee, "contacts");
      await lee.getByRole("button", { name: "Withdraw from Eve Exhibitor" }).click();
      await lee.getByRole("dialog").getByRole("button", { name: "Withdraw" }).click();
      await lee.getByText("Nobody has it.").waitFor();
      equal((await ask("eve", "lead.list", {})).leads, [], "Eve's leads");
      await eve.context().close();
    });

    await check("leads – none of many is missing: in the list, in the table, and in what a visitor sees of who has their data", async () => {
      const sue = await asker("sue");
      const numbers = (count) => Array.from({ length: count }, (_, at) => String(at + 1).padStart(3, "0"));
      const visitors = numbers(VISITORS);
      const { bad } = await sue("attendee.import", { format: "generic", csv: ["uid,name,badge", ...visitors.map((number) => `visitor-${number},Visitor ${number},ticket-of-${number}`)].join("\n") });
      equal(bad, [], "what was not imported");
      const eves = await asker("eve");
      for (const number of visitors) {
        equal((await eves("badge.scan", { code: `ticket-of-${number}` })).user, `visitor-${number}`, "who was scanned");
        await eves("lead.update", { user: `visitor-${number}`, note: "n".repeat(NOTE_CHARS) });
      }
      const { complete } = await eves("lead.export", {});
      assert(!complete, "the table has only one part");
      const eve = await browser.person("eve");
      await logIn(eve, server.url, "eve");
      await to(eve, "leads");
      await until(async () => (await eve.locator(".people-cards li").count()) === VISITORS, "all leads are shown");
      const [heading, ...users] = (await tableOf(eve)).trimEnd().split("\r\n").map((row) => row.split(",")[0]);
      equal([heading, users.length, new Set(users).size], ["uid", VISITORS, VISITORS], "the heading, the rows of the table and the people in it");
      await eve.context().close();

      const lees = await codeOf("lee");
      const began = Date.now();
      for (const [at, number] of numbers(EXHIBITORS).entries()) {
        // The same hand scans for one exhibitor after the other, some time apart.
        await sue("reader.set", { reader: "sue", mode: "lead", owner: `visitor-${number}` });
        equal((await sue("badge.scan", { code: lees, mode: "lead", at: new Date(began - at * 2 * HELD_MS).toISOString() })).reason, "ok", `the scan for ${number}`);
      }
      await sue("reader.remove", { reader: "sue" });
      await to(lee, "contacts");
      await until(async () => (await lee.getByRole("button", { name: /^Withdraw from Visitor/ }).count()) === EXHIBITORS, "all who have Lee's data are shown");
    });

    await check("camera – none, and one that is not allowed, are said in words", async () => {
      const none = await browser.person("no camera", { permissions: ["camera"] });
      await logIn(none, server.url, "kim");
      await to(none, "scan");
      await none.getByText("There is no camera here. Type the code instead.").waitFor();
      await none.context().close();
      const own = await browsers[0].person("not allowed", { permissions: [] });
      await logIn(own, server.url, "kim");
      await to(own, "scan");
      await own.getByText(/The camera is not allowed for this site/).waitFor();
      await own.context().close();
    });

    for (const [who, page] of [["desktop", lee], ["phone", kim]]) {
      for (const scheme of ["light", "dark"]) {
        await check(`axe – badges on a ${who}, ${scheme}`, async () => {
          await page.emulateMedia({ colorScheme: scheme, reducedMotion: "reduce" });
          for (const place of PAGES) {
            await to(page, place);
            await page.waitForTimeout(350);
            await axe(page, place);
            assert(page.url().endsWith(`#/${place}`), `it is ${page.url()}`);
            assert(await page.evaluate(() => document.documentElement.scrollWidth <= innerWidth), `${place} is wider than the screen`);
            await shots(page, `${who}-${scheme}-${place}`);
          }
        });
      }
    }
  } finally {
    for (const own of browsers) await own.close();
    rmSync(directory, { recursive: true, force: true });
  }
}
