// Answers what is said to it in direct conversations, and where it is named. Goes on where it ended: the cursor is in a file.
//
//     HALLWAY_URL=http://127.0.0.1:8080 HALLWAY_USER=echo HALLWAY_PASSWORD=… node bot.mjs [CURSOR-FILE]

import { readFileSync, renameSync, writeFileSync } from "node:fs";
import { createClient, login, memoryStorage, partnerOf, register } from "hallway-client";
import WebSocket from "ws";

const {
  HALLWAY_URL: url = "http://127.0.0.1:8080",
  HALLWAY_USER: uid = "echo",
  HALLWAY_PASSWORD: password = "echo echo echo",
} = process.env;
const file = process.argv[2] ?? "cursor.json";

const credentials = { url, conference: "demo", uid, password };
const account = await login(credentials).catch((error) => {
  if (error.reason === "bad_credentials") return register({ ...credentials, name: "Echo" });
  throw error;
});

let resume;
try {
  resume = JSON.parse(readFileSync(file, "utf8"));
} catch {
  // The first time.
}

const bot = createClient({ url, ...account, WebSocket, storage: memoryStorage(), device: "echo bot", ...(resume && { resume }) });
bot.on("state", (state) => console.error(state.status, state.error?.message ?? state.reason ?? ""));
bot.on("message", ({ conversation, from, text, seq, mentions = [], deleted }) => {
  if (from === account.user || deleted) return;
  if (!partnerOf(conversation, account.user) && !mentions.includes(account.user)) return;
  bot.send(conversation, { text: `${from} said: ${text}`, replyTo: seq });
});

// What was seen but not answered is seen again: the cursor is only written when nothing waits to be sent.
const save = () => {
  if (!bot.cursor || bot.outgoing().length) return;
  writeFileSync(`${file}.new`, JSON.stringify(bot.cursor));
  renameSync(`${file}.new`, file);
};
bot.on("outgoing", save);
bot.on("synced", save);
setInterval(save, 10_000).unref();
for (const signal of ["SIGINT", "SIGTERM"]) {
  process.on(signal, () => {
    save();
    bot.close();
    process.exit(0);
  });
}
bot.connect();
