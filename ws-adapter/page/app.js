// The page at /: sign in, choose a conversation, talk. A small but whole client of the JSON chat protocol (PROTOCOL.md):
// it resumes by seq and epoch, and sends under ids of its own, so that a retry after a broken connection is stored once.
// Whatever others wrote is set as text, never as HTML.

const byId = (id) => document.getElementById(id);
const MAX_SHOWN = 1000; // messages kept of one conversation
const BACKOFF_MS = [500, 15000]; // first and longest wait before connecting again
const TYPING_MS = 4000; // typing is said again after this, and forgotten after a little more

// ---- What there is

let about = { mode: "", conferences: [], listeners: [] };
let session = JSON.parse(sessionStorage.getItem("hallway") ?? "null"); // one per window: two windows are two people
let socket = null;
let hello = null; // the answer of session.hello while the connection stands
let epoch = null; // outlives connections: seqs are worth something within it
let attempts = 0;
let drainingMs = 0;
let reconnect = 0;
let nextId = 1;
let current = null;
const calls = new Map(); // id → {resolve, reject}
const rows = new Map(); // conversation → its row of conversation.list
const rooms = new Map(); // conversation → {messages: Map(seq → message), head, complete}: what was looked at
const outbox = new Map(); // client id → {id, conversation, text}: not acknowledged yet
const typists = new Map(); // uid → {name, timer}

// ---- HTTP

async function post(path, body) {
  const answer = await fetch(path, { method: "POST", headers: { "Content-Type": "application/json" }, body: JSON.stringify(body) });
  const value = await answer.json().catch(() => ({}));
  if (answer.ok) return value;
  throw Object.assign(new Error(value.error?.message ?? `the server answered ${answer.status}`), { reason: value.error?.data?.reason });
}

async function showAbout() {
  try {
    about = await (await fetch("/api/about")).json();
  } catch {
    return setTimeout(showAbout, 2000);
  }
  byId("version").textContent = `${about.version} ${about.mode}`;
  const entries = about.conferences.map((conference) => ["conference", `${conference.title || conference.id} (sign-in: ${conference.sign_in})`]);
  byId("listeners").replaceChildren(...entries.concat(about.listeners).flatMap(([name, value]) => [make("dt", "", name), make("dd", "", value)]));
  byId("conference").replaceChildren(...about.conferences.map(({ id, title }) => new Option(title || id, id)));
  const several = about.conferences.length > 1;
  byId("conference").hidden = byId("conference-label").hidden = !several;
  if (!several && about.conferences[0]) byId("conference-title").textContent = `Sign in to ${about.conferences[0].title || about.conferences[0].id}`;
  if (about.mode === "demo") byId("sign-in-hint").textContent = "Demo: a user that does not exist yet is made with this password.";
}

// ---- Signing in and out

async function signIn(register) {
  const [conference, uid, password] = ["conference", "uid", "password"].map((id) => byId(id).value);
  const credentials = { conference: conference || "demo", uid: uid.trim().toLowerCase(), password };
  complain("sign-in-error", "");
  byId("sign-in").disabled = true;
  try {
    session = await (register ? post("/api/register", credentials) : logIn(credentials));
    sessionStorage.setItem("hallway", JSON.stringify(session));
    byId("password").value = "";
    enter();
  } catch (error) {
    complain("sign-in-error", error.message);
  } finally {
    byId("sign-in").disabled = false;
  }
}

async function logIn(credentials) {
  const open = about.conferences.find(({ id }) => id === credentials.conference)?.sign_in === "open";
  try {
    return await post("/api/login", credentials);
  } catch (error) {
    if (error.reason !== "bad_credentials" || !open) throw error;
    if (about.mode !== "demo") byId("register").hidden = false;
    if (about.mode !== "demo") throw error;
    // Whether the account is unknown or the password wrong is not told; making it tells.
    return await post("/api/register", credentials).catch((made) => { throw made.reason === "taken" ? error : made; });
  }
}

function enter() {
  byId("welcome").hidden = true;
  byId("chat").hidden = byId("who").hidden = byId("sign-out").hidden = false;
  byId("who").textContent = session.name === session.user ? session.user : `${session.name} (${session.user})`;
  connect();
}

function leave(message) {
  sessionStorage.removeItem("hallway");
  session = hello = epoch = current = null;
  clearTimeout(reconnect);
  socket?.close();
  for (const kept of [rows, rooms, outbox, typists]) kept.clear();
  byId("messages").replaceChildren();
  byId("welcome").hidden = false;
  byId("chat").hidden = byId("who").hidden = byId("sign-out").hidden = byId("connection").hidden = true;
  complain("sign-in-error", message ?? "");
}

// ---- The connection

function connect() {
  announce(attempts ? "Connecting again…" : "Connecting…");
  const mine = new WebSocket(`${location.protocol.replace("http", "ws")}//${location.host}/ws`, "hallway.v1");
  socket = mine;
  mine.onopen = () => begin().catch((error) => failed(error, mine));
  mine.onmessage = ({ data }) => mine === socket && [JSON.parse(data)].flat().forEach(receive);
  mine.onclose = (event) => mine === socket && lost(event);
}

function failed(error, mine) {
  if (error.code === 1001) return leave(error.message);
  console.warn(error);
  announce(`${error.message}. Trying again.`);
  mine.close();
}

function lost(event) {
  hello = null;
  for (const { reject } of calls.values()) reject(Object.assign(new Error("the connection broke"), { broken: true }));
  calls.clear();
  if (!session) return;
  if (event.code === 4001) return leave("This session was closed from another one.");
  const [first, longest] = BACKOFF_MS;
  const wait = drainingMs || Math.min(longest, first * 2 ** attempts) * (0.5 + Math.random() / 2);
  [drainingMs, attempts] = [0, attempts + 1];
  announce(`Connection lost. Trying again in ${Math.ceil(wait / 1000)} s.`);
  reconnect = setTimeout(connect, wait);
}

function call(method, params) {
  return new Promise((resolve, reject) => {
    if (socket?.readyState !== WebSocket.OPEN) return reject(Object.assign(new Error("not connected"), { broken: true }));
    const id = nextId++;
    calls.set(id, { resolve, reject });
    socket.send(JSON.stringify({ jsonrpc: "2.0", id, method, params }));
  });
}

function receive(message) {
  if (message.method) return notified(message.method, message.params);
  const waiting = calls.get(message.id);
  calls.delete(message.id);
  if (!message.error) return waiting?.resolve(message.result);
  const { code, message: text, data } = message.error;
  waiting?.reject(Object.assign(new Error(text), { code, ...data }));
}

async function begin() {
  hello = await call("session.hello", { token: session.token, device: "page" });
  if (epoch !== hello.epoch) rooms.clear(); // another epoch: what was seen is void
  epoch = hello.epoch;
  attempts = 0;
  announce("");
  await listConversations();
  const wanted = rows.has(current) ? current : firstChoice();
  if (wanted) await choose(wanted);
  for (const draft of outbox.values()) send(draft);
  listPeople();
}

// ---- Conversations

async function listConversations() {
  const list = await call("conversation.list", { limit: 200 });
  const known = new Set(hello.followed ??= []);
  rows.clear();
  for (const row of list) rows.set(row.conversation, row);
  showConversations();
  await Promise.all(list.filter(({ conversation }) => !known.has(conversation)).map(({ conversation }) => follow(conversation)));
}

/** Where a newcomer can talk: the lobby, else the newest that is not for reading only. */
const firstChoice = () => (rows.has("lobby") ? "lobby" : [...rows.keys()].find(mayPost) ?? rows.keys().next().value);

const mayPost = (conversation) => rows.get(conversation)?.kind !== "announcements" || ["staff", "organiser", "service"].includes(hello?.role);

/** Follows a conversation: from where one was when it was looked at before, else from now on. */
async function follow(conversation) {
  hello.followed.push(conversation);
  const room = rooms.get(conversation);
  const from = room ? { after: room.head, epoch } : {};
  try {
    const { events, seq } = await call("conversation.subscribe", { conversation, ...from });
    for (const event of events) happened(event, seq, true);
  } catch (error) {
    if (error.broken) throw error;
    rooms.delete(conversation);
    if (error.reason !== "resync") return console.warn(conversation, error);
    epoch = error.epoch;
    hello.followed = hello.followed.filter((followed) => followed !== conversation);
    await follow(conversation);
  }
}

async function choose(conversation) {
  current = conversation;
  byId("conversation").value = conversation;
  stopTyping();
  typists.clear();
  showTyping();
  if (!rooms.has(conversation)) {
    byId("messages").replaceChildren();
    await older(conversation);
  }
  if (conversation !== current) return;
  const open = mayPost(conversation);
  byId("text").disabled = byId("send").disabled = !open;
  byId("text").placeholder = open ? "Message" : "Only staff writes here";
  showRoom();
  describe();
  read();
}

/** Reads the newest messages, or those before the oldest that is there. */
async function older(conversation) {
  const room = rooms.get(conversation);
  const before = room ? Math.min(...room.messages.keys(), room.head + 1) : undefined;
  const { events, complete } = await call("conversation.history", { conversation, before, limit: 100 });
  const made = room ?? { messages: new Map(), head: events.at(-1)?.seq ?? rows.get(conversation)?.seq ?? 0 };
  rooms.set(conversation, Object.assign(made, { complete }));
  for (const event of events) if (isShown(event)) made.messages.set(event.seq, { ...event, folded: made.head });
  if (rows.get(conversation)?.seq > made.head) await fill(conversation);
}

const isShown = ({ kind }) => kind === "message" || kind === "member" || kind === "settings";

async function describe() {
  const partner = partnerOf(current);
  const row = rows.get(current);
  byId("about-conversation").textContent = partner ? `Direct chat with ${partner}` : `${row?.kind ?? ""}, ${row?.members ?? 0} members`;
  if (!partner) return;
  const { name, presence } = await call("people.get", { user: partner }).catch(() => ({ name: partner, presence: {} }));
  if (partner === partnerOf(current)) showPresence({ name, ...presence });
}

function partnerOf(conversation) {
  const [dm, a, b] = (conversation ?? "").split("~");
  return dm === "dm" ? (a === session?.user ? b : a) : null;
}

async function openDirect(user) {
  complain("chat-error", "");
  try {
    const { conversation } = await call("conversation.open", { with: user.trim().toLowerCase() });
    byId("person").value = "";
    await listConversations();
    await choose(conversation);
    byId("text").focus();
  } catch (error) {
    complain("chat-error", `${user}: ${error.message}`);
  }
}

async function listPeople() {
  const query = byId("person").value.trim().toLowerCase();
  const { people } = await call("people.list", { query: query || undefined, limit: 50 }).catch(() => ({ people: [] }));
  const others = people.filter(({ user }) => user !== session?.user);
  byId("people").replaceChildren(...others.map(({ user, name }) => new Option(name, user)));
}

let reading = 0;
/** Says that all of the current conversation was seen, at most once in a while, and only if somebody looks. */
function read() {
  const [row, room] = [rows.get(current), rooms.get(current)];
  if (!row || !room || document.hidden || !row.unread) return;
  clearTimeout(reading);
  reading = setTimeout(() => {
    call("conversation.read", { conversation: row.conversation, seq: room.head })
      .then(({ unread }) => { row.unread = unread; showConversations(); })
      .catch((error) => error.broken || console.warn(error));
  }, 300);
}

// ---- What happens

function notified(method, params) {
  switch (method) {
    case "message":
    case "member":
    case "event": return happened(params, params.seq, false);
    case "typing": return typed(params);
    case "presence": return params.user === partnerOf(current) && showPresence(params);
    case "notice":
      if (params.reason === "draining") drainingMs = params.retry_after_ms;
      if (params.reason === "invited") listConversations().catch(console.warn);
  }
}

/** Takes an event up. `folded` is the seq up to which edits and reactions are in it already. */
function happened(event, folded, missed) {
  const { conversation, seq, kind } = event;
  const [row, room] = [rows.get(conversation), rooms.get(conversation)];
  if (row && kind === "settings") row.title = event.title;
  if (row && kind === "member" && !missed) counted(row, event);
  if (row?.member && kind === "message" && !missed && seq > row.seq && event.from !== session.user) row.unread += 1;
  if (row) row.seq = Math.max(row.seq, seq);
  if (room && seq > room.head + 1 && !missed) return fill(conversation); // it came while the history was on its way
  if (room && seq > room.head) {
    room.head = seq;
    if (isShown(event)) room.messages.set(seq, { ...event, folded });
    else change(room.messages.get(event.target), event);
    for (const oldest of room.messages.keys()) {
      if (room.messages.size <= MAX_SHOWN) break;
      room.messages.delete(oldest);
      room.complete = false;
    }
  }
  if (event.client_id && event.from === session.user) outbox.delete(event.client_id);
  if (kind === "message") typists.delete(event.from);
  if (conversation === current) {
    showRoom(event.target);
    showTyping();
    read();
    if (kind === "member") describe();
  }
  showConversations();
}

function counted(row, { user, change: how }) {
  const by = { joined: 1, left: -1, removed: -1, banned: -1 }[how] ?? 0;
  row.members += by;
  if (user === session.user && by) row.member = by > 0;
}

/** Reads what lies between what is there and what just came. */
async function fill(conversation) {
  const room = rooms.get(conversation);
  const { events } = await call("conversation.history", { conversation, after: room.head, limit: 500 }).catch(() => ({ events: [] }));
  for (const event of events) happened(event, events.at(-1).seq, true);
}

function change(message, event) {
  if (!message || event.seq <= message.folded) return;
  if (event.kind === "edit") Object.assign(message, { text: event.text, edited: true });
  if (event.kind === "delete") Object.assign(message, { text: "", deleted: true });
  if (event.kind === "react") {
    const reactions = { ...message.reactions };
    reactions[event.emoji] = (reactions[event.emoji] ?? 0) + (event.on ? 1 : -1);
    message.reactions = reactions;
  }
}

// ---- Sending

function submit() {
  const text = byId("text").value;
  if (!text.trim() || !current) return;
  const draft = { id: freshId(), conversation: current, text };
  outbox.set(draft.id, draft);
  byId("text").value = "";
  complain("chat-error", "");
  stopTyping();
  showRoom();
  byId("scroll").scrollTop = byId("scroll").scrollHeight;
  send(draft);
}

function freshId() {
  if (crypto.randomUUID) return crypto.randomUUID(); // only there on https and loopback
  return Array.from(crypto.getRandomValues(new Uint8Array(16)), (byte) => byte.toString(16).padStart(2, "0")).join("");
}

async function send(draft) {
  try {
    await call("message.send", { conversation: draft.conversation, id: draft.id, text: draft.text });
  } catch (error) {
    if (error.broken) return; // sent again, under the same id, by the next connection
    if (error.retry_after_ms) return setTimeout(() => send(draft), error.retry_after_ms);
    outbox.delete(draft.id);
    complain("chat-error", `Not sent: ${error.message}`);
    if (draft.conversation === current && !byId("text").value) byId("text").value = draft.text;
    showRoom();
  }
}

let said = 0;
let stop = 0;
function typing() {
  const now = Date.now();
  clearTimeout(stop);
  stop = setTimeout(stopTyping, TYPING_MS);
  if (now - said < TYPING_MS || !current) return;
  said = now;
  call("conversation.typing", { conversation: current, on: true }).catch(() => {});
}

function stopTyping() {
  clearTimeout(stop);
  if (said && current) call("conversation.typing", { conversation: current, on: false }).catch(() => {});
  said = 0;
}

function typed({ conversation, from, name, on }) {
  if (conversation !== current || from === session.user) return;
  clearTimeout(typists.get(from)?.timer);
  typists.delete(from);
  if (on) typists.set(from, { name, timer: setTimeout(() => { typists.delete(from); showTyping(); }, TYPING_MS + 2000) });
  showTyping();
}

// ---- What is seen

function make(tag, className, text) {
  const element = document.createElement(tag);
  if (className) element.className = className;
  if (text !== undefined) element.textContent = text;
  return element;
}

function complain(id, message) {
  byId(id).textContent = message;
  byId(id).hidden = !message;
}

function announce(message) {
  complain("connection", message);
}

function showConversations() {
  const label = (row) => (row.title || partnerOf(row.conversation) || row.conversation) + (row.unread ? ` (${row.unread})` : "");
  const select = byId("conversation");
  const options = [...rows.values()].map((row) => [label(row), row.conversation]);
  const same = select.options.length === options.length && options.every(([, value], at) => select.options[at].value === value);
  if (same) options.forEach(([text], at) => { if (select.options[at].text !== text) select.options[at].text = text; });
  else select.replaceChildren(...options.map(([text, value]) => new Option(text, value)));
  if (current) select.value = current;
  const unread = [...rows.values()].reduce((sum, row) => sum + (row.muted ? 0 : row.unread), 0);
  document.title = unread ? `(${unread}) Hallway` : "Hallway";
}

/** Brings the list up to date: new entries are added, `changed` is made anew, the rest is left, so that a screen reader reads only what is new. */
function showRoom(changed) {
  const room = rooms.get(current);
  if (!room) return;
  const scroll = byId("scroll");
  const atEnd = scroll.scrollHeight - scroll.scrollTop - scroll.clientHeight < 80;
  const list = byId("messages");
  const entries = [...room.messages.entries()].sort(([a], [b]) => a - b).map(([seq, message]) => [`${current}/${seq}`, message]);
  for (const draft of outbox.values()) if (draft.conversation === current) entries.push([draft.id, draft]);
  const there = new Map([...list.children].map((item) => [item.dataset.key, item]));
  const stale = new Set([`${current}/${changed}`]);
  const items = entries.map(([key, entry]) => {
    const item = there.get(key);
    return item && !stale.has(key) ? item : itemOf(key, entry);
  });
  const kept = new Set(items);
  for (const item of there.values()) if (!kept.has(item)) item.remove();
  items.forEach((item, at) => { if (list.children[at] !== item) list.insertBefore(item, list.children[at] ?? null); });
  byId("earlier").hidden = room.complete;
  byId("nothing").hidden = items.length > 0;
  if (atEnd) scroll.scrollTop = scroll.scrollHeight;
}

function itemOf(key, entry) {
  const item = entry.kind === "member" || entry.kind === "settings" ? make("li", "happening", sentence(entry)) : messageItem(entry);
  item.dataset.key = key;
  return item;
}

function messageItem(entry) {
  const pending = !entry.kind;
  const own = pending || entry.from === session.user;
  const item = make("li", "message");
  const is = { own, pending, deleted: !!entry.deleted };
  for (const [name, on] of Object.entries(is)) item.classList.toggle(name, on);
  const head = make("span", "head");
  head.append(make("span", "author", pending ? session.name : entry.name));
  if (pending) head.append(make("span", "time", "sending…"));
  else head.append(timeOf(entry.ts));
  if (entry.edited && !entry.deleted) head.append(make("span", "mark", "edited"));
  const reactions = Object.entries(entry.reactions ?? {}).filter(([, people]) => people > 0);
  item.append(head, make("p", "text", entry.deleted ? "deleted" : entry.text));
  item.append(make("span", "reactions", reactions.map(([emoji, people]) => `${emoji} ${people}`).join("  ")));
  return item;
}

function timeOf(ts) {
  const [date, time] = [new Date(ts), make("time", "time")];
  const today = date.toDateString() === new Date().toDateString();
  time.dateTime = ts;
  time.title = date.toLocaleString();
  time.textContent = today ? date.toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" }) : date.toLocaleString([], { dateStyle: "short", timeStyle: "short" });
  return time;
}

function sentence({ kind, from, user, change: how, role, title, ts }) {
  const at = new Date(ts).toLocaleTimeString([], { hour: "2-digit", minute: "2-digit" });
  if (kind === "settings") return `${from} named the conversation “${title}” · ${at}`;
  const words = { joined: "joined", left: "left", invited: `was invited by ${from}`, removed: `was removed by ${from}`, banned: `was banned by ${from}`, role: `is now ${role}` };
  return `${user} ${words[how] ?? how} · ${at}`;
}

function showTyping() {
  const names = [...typists.values()].map(({ name }) => name);
  byId("typing").textContent = names.length ? `${names.slice(0, 3).join(", ")} ${names.length > 1 ? "are" : "is"} typing…` : "";
}

function showPresence({ name, status, text }) {
  byId("about-conversation").textContent = `Direct chat with ${name}: ${status ?? "unknown"}${text ? `, ${text}` : ""}`;
}

// ---- What people do

byId("sign-in-form").addEventListener("submit", (event) => { event.preventDefault(); signIn(false); });
byId("register").addEventListener("click", () => signIn(true));
byId("sign-out").addEventListener("click", () => leave());
byId("conversation").addEventListener("change", ({ target }) => choose(target.value).catch(console.warn));
byId("direct-form").addEventListener("submit", (event) => { event.preventDefault(); if (byId("person").value.trim()) openDirect(byId("person").value); });
let searching = 0;
byId("person").addEventListener("input", () => { clearTimeout(searching); searching = setTimeout(listPeople, 200); });
byId("person").addEventListener("focus", listPeople);
byId("send-form").addEventListener("submit", (event) => { event.preventDefault(); submit(); });
byId("text").addEventListener("input", typing);
byId("earlier").addEventListener("click", async () => {
  const scroll = byId("scroll");
  const fromEnd = scroll.scrollHeight - scroll.scrollTop;
  await older(current).catch(console.warn);
  showRoom();
  scroll.scrollTop = scroll.scrollHeight - fromEnd;
});
document.addEventListener("visibilitychange", read);

showAbout();
if (session) enter();
