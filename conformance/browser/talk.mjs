// Two people through the whole app: what each does, and what the other sees of it.
import { act, assert, chatRow, check, equal, open, register, row, say, sees, texts, until } from "./kit.mjs";

/** ann: a desktop; bob: a phone. */
export async function talk(server, browser, ann, bob) {
  await check("sign in – two people make accounts", async () => {
    await register(ann, server.url, "ann", "Ann Arbor");
    await register(bob, server.url, "bob", "Bob Bergström");
  });

  await check("channel – what one says, the other sees once, as text and never as markup", async () => {
    await open(ann, "Lobby");
    await open(bob, "Lobby");
    await say(ann, "hello bob");
    await sees(bob, "hello bob");
    await sees(ann, "hello bob");
    await say(bob, "<b id=bold>hi</b> & <img src=x onerror=\"document.title='hacked'\">");
    await sees(ann, "<b id=bold>hi</b> &");
    equal(await ann.locator("#bold, .messages img").count(), 0, "the number of elements from a message");
    assert((await ann.title()) !== "hacked", "a message became a script");
  });

  await check("channel – twenty lines in order, each once", async () => {
    for (let at = 1; at <= 20; at += 1) await say(ann, `line ${at}.`);
    await sees(bob, "line 20.");
    const lines = Array.from({ length: 20 }, (_, at) => `line ${at + 1}.`);
    equal(await texts(bob, /^line \d+\.$/), lines, "what bob sees");
    await until(async () => (await ann.locator(".send-state", { hasText: "Sending" }).count()) === 0, "all are sent");
  });

  await check("links are safe, code stays code", async () => {
    await say(ann, "look at https://example.org/a_(b)?c=1. and javascript:alert(1) and `x < y`");
    const link = row(bob, "look at").locator(".text a");
    equal(await link.getAttribute("href"), "https://example.org/a_(b)?c=1", "the link");
    equal(await link.getAttribute("rel"), "noopener noreferrer nofollow", "its rel");
    equal(await row(bob, "look at").locator("a").count() - (await row(bob, "look at").locator("a.sender, a.message-avatar").count()), 1, "the number of links");
    equal(await row(bob, "look at").locator("code").textContent(), "x < y", "the code");
  });

  await check("typing is seen, and ends", async () => {
    await bob.locator(".composer textarea").pressSequentially("I am typ");
    await ann.locator(".typing", { hasText: "Bob Bergström is typing" }).waitFor();
    await bob.locator(".composer textarea").fill("");
    await until(async () => (await ann.locator(".typing").textContent()) === "", "bob stopped");
  });

  await check("edit", async () => {
    await act(ann, "hello bob", "Edit");
    await ann.locator(".composer textarea").fill("hello dear bob");
    await ann.locator(".send-button").click();
    await sees(bob, "hello dear bob");
    await row(bob, "hello dear bob").getByText("edited").waitFor();
  });

  await check("delete", async () => {
    await act(ann, "line 20.", "Delete");
    await ann.getByRole("dialog").getByRole("button", { name: "Delete" }).click();
    await bob.locator(".bubble.deleted").waitFor();
    equal(await row(bob, "line 20.").count(), 0, "the number of deleted texts");
  });

  await check("react, see it counted, take it back", async () => {
    await act(ann, "line 19.", "React");
    await ann.locator(".emoji-picker").getByRole("button", { name: "🎉" }).first().click();
    const given = row(bob, "line 19.").locator(".reaction", { hasText: "🎉" });
    await given.waitFor();
    await given.click();
    await until(async () => (await given.textContent()) === "🎉2", "two have reacted");
    equal(await given.getAttribute("aria-pressed"), "true", "whether it is bob's");
    await given.click();
    await until(async () => (await row(ann, "line 19.").locator(".reaction").textContent()) === "🎉1", "bob took it back");
  });

  await check("reply, and the way back to what it answers", async () => {
    await act(ann, "hello dear bob", "Reply");
    await say(ann, "as I said");
    await row(bob, "as I said").locator(".quote", { hasText: "hello dear bob" }).waitFor();
    await row(bob, "as I said").locator(".quote").click();
    await bob.locator(".row.highlighted", { hasText: "hello dear bob" }).waitFor();
    await bob.getByRole("button", { name: /Jump to the newest|new message/ }).click().catch(() => undefined);
  });

  await check("mention with completion; unread and @ in the list until it is read", async () => {
    await bob.getByRole("link", { name: "Back to chats" }).click();
    await ann.locator(".composer textarea").pressSequentially("are you there @bo");
    await ann.locator(".mention-list [role=option]", { hasText: "Bob Bergström" }).waitFor();
    await ann.keyboard.press("Enter");
    await ann.keyboard.type("?");
    await ann.keyboard.press("Enter");
    await row(ann, "are you there").locator(".mention", { hasText: "@Bob Bergström" }).waitFor();
    await say(ann, "one more");
    const badge = chatRow(bob, "Lobby").getByLabel("2 unread messages");
    await badge.waitFor();
    await chatRow(bob, "Lobby").getByLabel("you were mentioned").waitFor();
    await until(async () => (await bob.title()).startsWith("(2)"), "the title tells");
    await bob.reload();
    await badge.waitFor();
    await chatRow(bob, "Lobby").getByLabel("you were mentioned").waitFor();
    await open(bob, "Lobby");
    await bob.locator(".new-line").waitFor();
    await bob.locator(".messages").evaluate((list) => list.scrollTo(0, list.scrollHeight));
    await bob.getByRole("link", { name: "Back to chats" }).click();
    await badge.waitFor({ state: "detached" });
    // What was read is not told again at the next load.
    const token = await bob.evaluate(() => JSON.parse(localStorage.getItem("hallway-account")).token);
    const ask = async (method, params) => (await server.post("/rpc", { jsonrpc: "2.0", id: 1, method, params }, token)).result;
    const newest = (await ask("conversation.history", { conversation: "inbox", limit: 1 })).events[0].seq;
    await until(async () => (await ask("conversation.read", { conversation: "inbox", seq: 0 })).seq >= newest, "the notice is seen");
  });

  await check("direct chat – opened from the people, with presence and read receipts", async () => {
    await ann.getByRole("link", { name: "People", exact: true }).click();
    await ann.getByLabel("Find people by name").fill("berg");
    await ann.locator(".person-row", { hasText: "Bob Bergström" }).click();
    await ann.getByRole("button", { name: "Message", exact: true }).click();
    await ann.locator(".conversation-head h1", { hasText: "Bob Bergström" }).waitFor();
    await ann.locator(".conversation-head p", { hasText: "Online" }).waitFor();
    await say(ann, "just us two");
    await row(ann, "just us two").locator(".send-state", { hasText: "Sent" }).waitFor();
    await chatRow(bob, "Ann Arbor").getByLabel("1 unread message").waitFor();
    await open(bob, "Ann Arbor");
    await sees(bob, "just us two");
    await row(ann, "just us two").locator(".send-state", { hasText: "Read" }).waitFor();
  });

  await check("presence in one's own words", async () => {
    await ann.getByRole("link", { name: "You", exact: true }).click();
    await ann.getByLabel("In your own words").fill("at the coffee bar");
    await ann.getByLabel("Away").check({ force: true });
    await bob.locator(".conversation-head p", { hasText: "Away · at the coffee bar" }).waitFor();
    await ann.getByLabel("Online").check({ force: true });
    await bob.locator(".conversation-head p", { hasText: "Online" }).waitFor();
  });

  await check("profile – another name is seen by others", async () => {
    await ann.getByLabel("Name", { exact: true }).fill("Ann A. Arbor");
    await ann.getByRole("button", { name: "Save" }).click();
    await ann.getByText("Saved.").waitFor();
    await bob.getByRole("button", { name: "Details" }).click();
    await bob.locator(".details h2", { hasText: "Ann A. Arbor" }).waitFor();
    await bob.getByRole("button", { name: "Close details" }).click();
  });

  await check("group – made with others, renamed, left", async () => {
    await ann.getByRole("link", { name: /^Chats/ }).click();
    await ann.getByRole("button", { name: "New chat" }).click();
    await ann.getByLabel("Title").fill("Dinner");
    await ann.getByLabel("Add people by name").fill("bob");
    await ann.locator(".picks button", { hasText: "Bob" }).click();
    await ann.getByRole("button", { name: "Create group" }).click();
    await ann.locator(".conversation-head h1", { hasText: "Dinner" }).waitFor();
    await say(ann, "pizza?");
    await bob.getByRole("link", { name: "Back to chats" }).click();
    await open(bob, "Dinner");
    await sees(bob, "pizza?");
    await ann.getByRole("button", { name: "Details" }).click();
    await ann.getByLabel("Title").fill("Dinner on Friday");
    await ann.locator(".inline-form").getByRole("button", { name: "Save" }).click();
    await bob.locator(".conversation-head h1", { hasText: "Dinner on Friday" }).waitFor();
    await ann.getByRole("button", { name: "Close details" }).click();
    await bob.getByRole("button", { name: "Details" }).click();
    await bob.getByRole("button", { name: "Leave" }).click();
    await bob.getByRole("dialog").getByRole("button", { name: "Leave" }).click();
    await ann.locator(".system-line", { hasText: "Bob Bergström left" }).waitFor();
    await chatRow(bob, "Dinner").waitFor({ state: "detached" });
  });
}
