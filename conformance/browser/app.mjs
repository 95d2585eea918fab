// The web app in Chromium: two people, one on a desktop and one on a phone, through all of it, the server killed and restarted in between.
//
// usage: CONFORMANCE_NODE_MODULES=… CHROMIUM=/usr/bin/chromium node app.mjs HALLWAY-BINARY [DIRECTORY-FOR-SCREENSHOTS]
//
// One line per check: "ok WHAT" or "FAIL WHAT: WHY". The exit status is 0 when none failed.
import { Browser, check, equal, failed, Server } from "./kit.mjs";
import { history } from "./history.mjs";
import { badges } from "./badges.mjs";
import { firstView, installable, keyboard, phone, themes, views } from "./looks.mjs";
import { files, links, search, sessions } from "./more.mjs";
import { offline } from "./offline.mjs";
import { push } from "./push.mjs";
import { talk } from "./talk.mjs";

const [, , binary, pictures] = process.argv;
const server = new Server(binary);
const browser = new Browser(server);
const shots = async (page, name) => {
  if (pictures) await page.screenshot({ path: `${pictures}/${name}.png` });
};

try {
  await server.start();
  await browser.start();
  const ann = await browser.person("ann");
  const bob = await browser.person("bob", { viewport: { width: 390, height: 844 }, isMobile: true, hasTouch: true });
  await firstView(server, browser);
  await talk(server, browser, ann, bob);
  if (await server.has("message.search")) {
    await files(ann, bob);
    await search(ann);
  }
  await sessions(server, browser, ann);
  await links(server, browser);
  await offline(server, ann, bob);
  await phone(bob);
  await keyboard(server, browser, ann);
  await themes(ann);
  await views(server, ann, bob, shots);
  await installable(server, ann);
  await history(server, ann);
  if (await server.has("push.register")) await push(server, browser, shots);
  if (await server.has("badge.scan")) await badges(server, browser, shots);
  await check("no page complained, and nothing came from elsewhere", async () => {
    equal([...browser.errors], [], "what pages complained of");
    equal(browser.foreign, [], "what came from elsewhere");
  });
} catch (error) {
  console.log(`FAIL the checks themselves: ${error.message}`);
  process.exitCode = 1;
} finally {
  await browser.close();
  await server.remove();
}
if (failed()) process.exitCode = 1;
