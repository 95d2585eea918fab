// Ten thousand messages: scrolled through to the first, smoothly, with few of them in the document and nothing jumping.
import { cpus, loadavg } from "node:os";
import { assert, check, equal, open, say, sees, until } from "./kit.mjs";

const MESSAGES = 10_000;
const BATCH = 100;
/** A frame that takes longer is felt. */
const LONG_FRAME_MS = 50;
/** While so much waits for each core, it is not the page that makes frames long. */
const OVERLOADED = 2;
/** Wheel: px per step. */
const STEP = 1500;

export async function fill(server, conversation) {
  const account = { conference: "demo", uid: "archivist", password: "archivist-secret-1", name: "Archivist" };
  const { token } = await server.post("/api/register", account);
  const filler = "and then we all went down the hallway to look at the next talk ".repeat(6);
  for (let from = 1; from <= MESSAGES; from += BATCH) {
    const batch = Array.from({ length: BATCH }, (_, at) => {
      const n = from + at;
      return { jsonrpc: "2.0", id: n, method: "message.send", params: { conversation, id: `m${n}`, text: `no. ${n} ${filler.slice(0, (n * 37) % 380)}`.trim() } };
    });
    const answers = await server.post("/rpc", batch, token);
    assert(Array.isArray(answers) && answers.every(({ result }) => result), `not stored: ${JSON.stringify(answers).slice(0, 300)}`);
  }
}

export async function history(server, ann) {
  await check(`${MESSAGES} messages to read`, () => fill(server, "help"));

  await check("history – scrolled from the last to the first, few rows in the document", async () => {
    await ann.getByRole("link", { name: /^Chats/ }).click();
    await open(ann, "Help").catch(() => undefined);
    await ann.locator(".row", { hasText: `no. ${MESSAGES}` }).waitFor();
    const box = await ann.locator(".messages").boundingBox();
    await ann.mouse.move(box.x + box.width / 2, box.y + box.height / 2);
    await ann.evaluate(watchFrames, LONG_FRAME_MS);
    const start = Date.now();
    let most = 0;
    let first = Infinity;
    while (first > 1) {
      for (let step = 0; step < 10; step += 1) await ann.mouse.wheel(0, -STEP);
      const seen = await ann.evaluate(() => {
        const rows = [...document.querySelectorAll(".row")];
        return { rows: rows.length, first: Math.min(...rows.map((row) => Number(/no\. (\d+)/.exec(row.textContent)?.[1] ?? Infinity))) };
      });
      most = Math.max(most, seen.rows);
      first = seen.first;
      assert(Date.now() - start < 120_000, `after two minutes no further than no. ${first}`);
    }
    await ann.getByText("This is the start of Help.").waitFor();
    const frames = await ann.evaluate(() => globalThis.frames_.stop());
    assert(most < 300, `${most} rows in the document`);
    const load = loadavg()[0] / cpus().length;
    const told = `${frames.long} of ${frames.all} frames took over ${LONG_FRAME_MS} ms, the longest ${frames.longest} ms, at a load of ${load.toFixed(1)} for each core`;
    assert(frames.long / frames.all < 0.05 || load > OVERLOADED, told);
    return `${((Date.now() - start) / 1000).toFixed(1)} s, at most ${most} rows, ${told}`;
  });

  await check("history – all of it loaded, up and down in jumps without long frames", async () => {
    await ann.evaluate(watchFrames, LONG_FRAME_MS);
    for (let at = 0; at < 60; at += 1) {
      await ann.locator(".messages").evaluate((list, part) => list.scrollTo(0, list.scrollHeight * part), ((at * 7) % 20) / 20);
      await ann.evaluate(() => new Promise((done) => requestAnimationFrame(() => requestAnimationFrame(done))));
      const blank = await ann.evaluate(() => {
        const list = document.querySelector(".messages").getBoundingClientRect();
        const middle = document.elementFromPoint(list.x + list.width / 2, list.y + list.height / 2);
        return !middle?.closest(".row, .message-rows");
      });
      assert(!blank, `nothing on the screen after jump ${at}`);
    }
    const frames = await ann.evaluate(() => globalThis.frames_.stop());
    return `${frames.long} of ${frames.all} frames over ${LONG_FRAME_MS} ms, the longest ${frames.longest} ms`;
  });

  await check("history – what one reads stays in place while others talk and the window changes", async () => {
    await ann.locator(".messages").evaluate((list) => list.scrollTo(0, list.scrollHeight / 2));
    await ann.waitForTimeout(300);
    const mark = () => ann.evaluate(() => {
      const list = document.querySelector(".messages");
      const top = list.getBoundingClientRect().top;
      const row = [...list.querySelectorAll(".row")].find((row) => row.getBoundingClientRect().bottom > top);
      return { key: row.dataset.key, at: Math.round(row.getBoundingClientRect().top - top) };
    });
    const before = await mark();
    const { token } = await server.post("/api/login", { conference: "demo", uid: "archivist", password: "archivist-secret-1" });
    await server.post("/rpc", [1, 2, 3].map((n) => ({ jsonrpc: "2.0", id: n, method: "message.send", params: { conversation: "help", id: `late${n}`, text: `late ${n}` } })), token);
    await ann.getByRole("button", { name: /Jump to the newest|new message/ }).waitFor();
    await ann.waitForTimeout(500);
    equal(await mark(), before, "what is on top");
    await ann.setViewportSize({ width: 1000, height: 700 });
    await ann.waitForTimeout(300);
    equal((await mark()).key, before.key, "what is on top in a narrower window");
    await ann.setViewportSize({ width: 1280, height: 800 });
    await ann.getByRole("button", { name: /Jump to the newest|new message/ }).click();
    await sees(ann, "late 3");
  });

  await check("history – at the end, new messages are followed", async () => {
    await say(ann, "I am at the end");
    await sees(ann, "I am at the end");
    const gap = () => ann.locator(".messages").evaluate((list) => list.scrollHeight - list.clientHeight - list.scrollTop);
    await until(async () => (await gap()) < 2, "the end is on the screen");
  });
}

/** In the page: counts frames that took long. */
function watchFrames(longMs) {
  let [last, all, long, longest, on] = [performance.now(), 0, 0, 0, true];
  const frame = (now) => {
    const took = now - last;
    last = now;
    all += 1;
    if (took > longMs) long += 1;
    longest = Math.max(longest, Math.round(took));
    if (on) requestAnimationFrame(frame);
  };
  requestAnimationFrame(frame);
  globalThis.frames_ = { stop: () => ((on = false), { all, long, longest }) };
}
