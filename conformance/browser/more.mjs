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
  await check("attach: a picture is shown, and opens", async () => {
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

  await check("attach: dropped and pasted, without a text", async () => {
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

  await check("attach: what is not taken is said", async () => {
    await pick({ name: "page.html", mimeType: "text/html", buffer: Buffer.from("<script>alert(1)</script>") });
    await until(async () => (await ann.locator(".toast.bad").count()) || (await ann.locator(".file-chip progress").count()) === 0, "an answer");
    const taken = await ann.locator(".file-chip").count();
    if (taken) await ann.locator(".file-chip button").click();
    return taken ? "taken, as a download" : "refused";
  });
}

export async function search(ann) {
  await check("search: words are found, marked, and lead to the message", async () => {
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

export async function sessions(server, browser, ann) {
  await check("sessions: another one is listed, and closed from here", async () => {
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
