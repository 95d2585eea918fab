// What comes on top of talking: files, search, one's own sessions.
import { assert, axe, check, equal, logIn, open, row, say, sees, until } from "./kit.mjs";

/** A picture of 2 by 2 points. */
async function picture(page) {
  const url = await page.evaluate(() => {
    const canvas = Object.assign(document.createElement("canvas"), { width: 2, height: 2 });
    canvas.getContext("2d").fillRect(0, 0, 1, 2);
    return canvas.toDataURL("image/png");
  });
  return Buffer.from(url.split(",")[1], "base64");
}

export async function files(ann, bob) {
  const pick = (file) => ann.locator("input[type=file]").setInputFiles(file);
  await check("attach – a picture is shown, and opens", async () => {
    await ann.getByRole("link", { name: /^Chats/ }).click();
    await open(ann, "Lobby");
    await pick({ name: "badge.png", mimeType: "image/png", buffer: await picture(ann) });
    await ann.locator(".file-chip", { hasText: "badge.png" }).waitFor();
    await until(async () => (await ann.locator(".file-chip progress").count()) === 0, "it is up");
    await say(ann, "my badge");
    await open(bob, "Lobby");
    const shown = row(bob, "my badge").locator(".picture img");
    await until(async () => shown.evaluate((image) => image.complete && image.naturalWidth === 2), "bob sees it");
    await row(bob, "my badge").locator(".picture").click();
    await bob.locator(".picture-view img").waitFor();
    await bob.getByRole("dialog").getByRole("button", { name: "Close" }).click();
  });

  await check("attach – dropped and pasted, without a text", async () => {
    const drop = (kind, name) =>
      ann.evaluate(([kind, name]) => {
        const data = new DataTransfer();
        data.items.add(new File(["some notes"], name, { type: "text/plain" }));
        const place = document.querySelector(kind === "paste" ? ".composer textarea" : ".conversation");
        place.dispatchEvent(kind === "paste" ? new ClipboardEvent("paste", { clipboardData: data, bubbles: true, cancelable: true }) : new DragEvent("drop", { dataTransfer: data, bubbles: true, cancelable: true }));
      }, [kind, name]);
    await drop("drop", "notes.txt");
    await drop("paste", "pasted.txt");
    await until(async () => (await ann.locator(".file-chip").count()) === 2 && (await ann.locator(".file-chip progress").count()) === 0, "both are up");
    await ann.locator(".send-button").click();
    await bob.locator(".file", { hasText: "notes.txt" }).waitFor();
    const [download] = await Promise.all([bob.waitForEvent("download"), bob.locator(".file", { hasText: "pasted.txt" }).click()]);
    equal(download.suggestedFilename(), "pasted.txt", "the name");
    equal(await bob.locator(".row", { has: bob.locator(".file", { hasText: "notes.txt" }) }).locator(".text").count(), 0, "the number of texts beside the files");
  });

  await check("attach – what is not taken is said", async () => {
    await pick({ name: "page.html", mimeType: "text/html", buffer: Buffer.from("<script>alert(1)</script>") });
    await until(async () => (await ann.locator(".toast.bad").count()) || (await ann.locator(".file-chip progress").count()) === 0, "an answer");
    const taken = await ann.locator(".file-chip").count();
    if (taken) await ann.locator(".file-chip button").click();
    return taken ? "taken, as a download" : "refused";
  });
}

export async function search(ann) {
  await check("search – words are found, marked, and lead to the message", async () => {
    await ann.getByRole("link", { name: "Search", exact: true }).click();
    await ann.getByLabel("Search messages").fill("dear bob");
    const found = ann.locator(".pane .chat-row", { hasText: "hello dear bob" });
    await found.first().waitFor();
    assert((await found.first().locator("mark").count()) > 0, "nothing is marked");
    await axe(ann, "search");
    await found.first().click();
    await ann.locator(".row.highlighted", { hasText: "hello dear bob" }).waitFor();
    await ann.getByLabel("Search messages").fill("nobodysaidthis");
    await ann.getByText("Nothing found for “nobodysaidthis”.").waitFor();
  });
}

/** What organisers send to people: a link with a token, or with an invitation. */
export async function links(server, browser) {
  const tokenOf = async (uid) => (await server.post("/api/login", { conference: "demo", uid, password: `${uid}-secret-1` })).token;
  const isSomebody = (page, initials) => until(async () => (await page.locator(".rail-you .avatar").textContent()) === initials, `it is ${initials}`);

  await check("a link with a token says as whom, signs in when that is agreed to, and the token leaves the address at once", async () => {
    const token = await tokenOf("bob");
    const page = await browser.person("by token");
    await page.goto(`${server.url}/#token=${token}`);
    const asked = page.getByRole("dialog", { name: /^Continue as Bob/ });
    await asked.waitFor();
    assert(!page.url().includes(token), `the address is ${page.url()}`);
    await asked.getByText("(@bob)").waitFor();
    await axe(page, "the question");
    equal(await page.evaluate(() => localStorage.getItem("hallway-account")), null, "what is kept before anybody agreed");
    await page.keyboard.press("Escape");
    await asked.waitFor({ state: "detached" });
    await page.getByRole("button", { name: "Sign in", exact: true }).waitFor();
    // The app is open already: this loads no page.
    await page.goto(`${server.url}/#token=${token}`);
    await asked.waitFor();
    assert(!page.url().includes(token), `the address is ${page.url()}`);
    await asked.getByRole("button", { name: /^Continue as Bob/ }).click();
    await page.getByRole("link", { name: /^Lobby/ }).waitFor();
    await isSomebody(page, "BB");
    await page.reload();
    await isSomebody(page, "BB");
    await page.context().close();
  });

  await check("a link with somebody else's token changes nothing unless that is agreed to", async () => {
    const [mine, theirs] = [await tokenOf("ann"), await tokenOf("bob")];
    const page = await browser.person("signed in already");
    await logIn(page, server.url, "ann");
    const before = await page.evaluate(() => localStorage.getItem("hallway-account"));
    await page.goto(`${server.url}/#token=${theirs}`);
    const asked = page.getByRole("dialog", { name: "Sign in as somebody else?" });
    await asked.getByText("(@bob)").waitFor();
    await asked.getByText(/You are signed in as .*\(@ann\)/).waitFor();
    assert(!page.url().includes(theirs), `the address is ${page.url()}`);
    await axe(page, "the question to who is signed in");
    await asked.getByRole("button", { name: "Cancel" }).click();
    await asked.waitFor({ state: "detached" });
    equal(await page.evaluate(() => localStorage.getItem("hallway-account")), before, "who is signed in");
    await page.reload();
    await isSomebody(page, "AA");
    await page.goto(`${server.url}/#token=hw_wrong`);
    await asked.getByText("This link or token is not valid (any more).").waitFor();
    await asked.getByRole("button", { name: "Close" }).click();
    await isSomebody(page, "AA");
    await page.goto(`${server.url}/#token=${mine}`);
    await until(async () => (await page.evaluate(() => localStorage.getItem("hallway-account"))).includes(mine), "one's own is taken without a question");
    await page.goto(`${server.url}/#token=${theirs}`);
    await asked.getByRole("button", { name: /^Continue as Bob/ }).click();
    await isSomebody(page, "BB");
    await page.context().close();
  });

  await check("a link with a token that is no good says so", async () => {
    const page = await browser.person("by no token");
    await page.goto(`${server.url}/#token=hw_wrong`);
    await page.getByText("This link or token is not valid (any more).").waitFor();
    await page.context().close();
  });

  await check("a link with an invitation makes an account", async () => {
    server.operate("conference", "add", "club", "--title", "The Club", "--sign-in", "invite");
    server.operate("channel", "add", "club/lobby", "--title", "Lobby");
    const code = server.operate("invite", "add", "club").split(/\s+/)[0];
    const page = await browser.person("invited");
    await page.goto(`${server.url}/#invite=${code}&conference=club`);
    await page.getByRole("heading", { name: "Welcome to The Club" }).waitFor();
    equal(await page.getByLabel("Invitation code").inputValue(), code, "the code");
    await page.getByLabel("Your name").fill("Ivy");
    await page.getByLabel("User name").fill("ivy");
    await page.getByLabel("Password", { exact: true }).fill("ivy-secret-1");
    await page.getByRole("button", { name: "Create account" }).click();
    await open(page, "Lobby");
    await say(page, "thanks for having me");
    await sees(page, "thanks for having me");
    await page.context().close();
  });
}

export async function sessions(server, browser, ann) {
  await check("sessions – another one is listed, and closed from here", async () => {
    const other = await browser.person("ann elsewhere");
    await logIn(other, server.url, "ann");
    await ann.getByRole("link", { name: "You", exact: true }).click();
    await until(async () => (await ann.locator(".sessions li").count()) === 2, "two sessions").catch(async () => {
      await ann.reload();
      await until(async () => (await ann.locator(".sessions li").count()) === 2, "two sessions");
    });
    await ann.locator(".sessions").getByRole("button", { name: /^Close session/ }).click();
    await other.getByText("This session was closed from another device.").waitFor();
    await until(async () => (await ann.locator(".sessions li").count()) === 1, "one session");
    await other.context().close();
  });

  await check("signing out, and in again", async () => {
    await ann.getByRole("button", { name: "Sign out" }).click();
    await ann.getByText("You are signed out.").waitFor();
    await logIn(ann, server.url, "ann");
    await open(ann, "Lobby");
    await sees(ann, "hello dear bob");
  });
}
