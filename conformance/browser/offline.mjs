// The server goes away in the middle of it: the app says what it is doing, keeps what is written, and sends it once.
import { assert, check, equal, open, say, sees, texts, until } from "./kit.mjs";

export async function offline(server, ann, bob) {
  await ann.getByRole("link", { name: /^Chats/ }).click();
  await open(ann, "Lobby");
  await open(bob, "Lobby").catch(() => undefined);

  await check("the service worker keeps the app", async () => {
    await ann.evaluate(() => navigator.serviceWorker.ready);
    await until(() => ann.evaluate(async () => Boolean(await caches.match("/"))), "the page is kept");
  });

  await check("server killed – the banner says so, and what is written waits", async () => {
    await say(ann, "before the fall");
    await sees(bob, "before the fall");
    await server.stop("SIGKILL");
    await ann.locator(".banner", { hasText: /Connection lost|No connection|Connecting/ }).waitFor();
    for (const text of ["waited 1", "waited 2", "waited 3"]) await say(ann, text);
    await ann.locator(".row", { hasText: "waited 3" }).locator(".send-state", { hasText: "Waiting for a connection" }).waitFor();
    await ann.locator(".banner", { hasText: "3 messages wait to be sent." }).waitFor();
  });

  await check("opened anew without a server – the app is there, and so is what waits", async () => {
    await ann.reload();
    await ann.locator(".rail").waitFor();
    await ann.locator(".banner", { hasText: "3 messages wait to be sent." }).waitFor();
  });

  await check("server back – sent by itself, once, in order; the banner goes", async () => {
    await server.start();
    await ann.locator(".banner").waitFor({ state: "detached", timeout: 40_000 });
    await until(async () => (await texts(bob, /^waited \d$/)).length >= 3, "bob has them", 40_000);
    equal(await texts(bob, /^waited \d$/), ["waited 1", "waited 2", "waited 3"], "what bob sees");
    await sees(ann, "waited 3");
    equal(await texts(ann, /^waited \d$/), ["waited 1", "waited 2", "waited 3"], "what ann sees");
    await until(async () => (await ann.locator(".send-state", { hasText: /Waiting|Sending/ }).count()) === 0, "nothing waits");
  });

  await check("both talk on", async () => {
    await say(bob, "welcome back");
    await sees(ann, "welcome back");
    await sees(bob, "before the fall");
  });

  await check("no network – the banner says that one is offline oneself", async () => {
    await ann.context().setOffline(true);
    await ann.locator(".banner", { hasText: "You are offline" }).waitFor();
    await say(ann, "from the tunnel");
    await ann.context().setOffline(false);
    await sees(bob, "from the tunnel");
    await ann.locator(".banner").waitFor({ state: "detached", timeout: 40_000 });
  });

  await check("a server that is stopped says so, and everybody comes back", async () => {
    await server.stop("SIGTERM");
    await ann.locator(".banner", { hasText: /restarts|Connection lost|No connection/ }).waitFor();
    await server.start();
    await ann.locator(".banner").waitFor({ state: "detached", timeout: 40_000 });
    await until(async () => (await bob.locator(".banner").count()) === 0, "bob is back", 40_000);
    await say(ann, "and again");
    await sees(bob, "and again");
    assert((await texts(bob, /^waited \d$/)).length === 3, "something came twice");
  });
}
