// What the programs for socket.io-client 4 and 2 share: clients, and the stories, which are the same for both.

import { Account, SILENCE_MS, SOON_MS, ensure, inRoom, pause, unique, where, within } from "./peers.mjs";

// Bursts are so long.
const BURST = 200;

/** A client whose events are kept until somebody asks for them. */
export class Client {
  via = "socketio";
  room = "lobby";
  seen = [];
  waiting = new Set();

  constructor(io, version, options) {
    const query = version === 2 && options.auth ? { ...options.auth, ...options.query } : options.query;
    this.socket = io(`http://${where.http}`, { forceNew: true, reconnectionDelay: 50, ...options, query });
    const on = this.socket.onevent;
    this.socket.onevent = (packet) => {
      this.put(packet.data[0], packet.data.slice(1));
      on.call(this.socket, packet);
    };
    for (const name of ["connect", "connect_error", "error", "disconnect"]) {
      this.socket.on(name, (...told) => this.put(name, told));
    }
  }

  put(name, told) {
    this.seen.push({ name, told });
    for (const wake of this.waiting) wake();
  }

  /** The first event of this name that is wanted; others stay. */
  async expect(name, wanted = () => true, ms = SOON_MS) {
    const end = Date.now() + ms;
    for (;;) {
      const at = this.seen.findIndex((event) => event.name === name && wanted(event.told[0]));
      if (at >= 0) return this.seen.splice(at, 1)[0].told[0];
      const left = end - Date.now();
      ensure(left > 0, `no ${name} within ${ms} ms; there is ${JSON.stringify(this.seen.slice(-6)).slice(0, 900)}`);
      await new Promise((resolve) => {
        const wake = () => {
          clearTimeout(timer);
          this.waiting.delete(wake);
          resolve();
        };
        const timer = setTimeout(wake, left);
        this.waiting.add(wake);
      });
    }
  }

  async expectNone(name, wanted) {
    await pause(SILENCE_MS);
    const came = this.seen.filter((event) => event.name === name && wanted(event.told[0]));
    ensure(came.length === 0, `${name} came: ${JSON.stringify(came)}`);
  }

  /** Emits, and waits for what the server calls back with. */
  ask(name, ...given) {
    const answer = new Promise((resolve) => this.socket.emit(name, ...given, (...told) => resolve(told.length > 1 ? told : told[0])));
    return within(answer, `the answer to ${name}`);
  }

  async rpc(method, params) {
    const answer = await this.ask("rpc", { jsonrpc: "2.0", id: 1, method, params });
    ensure(answer.id === 1 && answer.result !== undefined, answer);
    return answer.result;
  }

  async say(text, conversation = this.room) {
    const ack = await this.ask("message", { conversation, message: text, id: text });
    ensure(ack.ok, ack);
  }

  async hears(text, conversation = this.room) {
    const { senderId, name } = await this.expect("message", (got) => got.message === text && got.conversation === conversation);
    return { from: senderId, name };
  }

  get transport() {
    return this.socket.io.engine.transport.name;
  }

  close() {
    this.socket.close();
  }
}

/** Runs a story with clients, which are closed behind it. */
export async function withClients(make, story) {
  const clients = [];
  try {
    await story((...given) => {
      const client = make(...given);
      clients.push(client);
      return client;
    });
  } finally {
    for (const client of clients) client.close();
  }
}

/** The transports that clients take: the first is what they begin with. */
export const CARRIERS = { WebSocket: ["websocket"], polling: ["polling"], upgrade: ["polling", "websocket"] };

/** The stories, for a library and the version that it is. */
export function stories(io, version) {
  const client = (transports) => (options) => new Client(io, version, { transports, ...options });
  const refusal = version === 2 ? "error" : "connect_error";
  const why = (told) => (version === 2 ? told : told.message);

  /** Somebody signed in, with what they were told first. */
  const online = async (make, user, options = {}) => {
    const one = make({ auth: { token: (await Account.of(user)).token, ...options.after && { after: options.after } } });
    Object.assign(one, { user, uid: where.uid(user) });
    await one.expect("connect");
    one.welcome = await one.expect("welcome");
    ensure(one.welcome.user === one.uid && one.welcome.conference === "demo", one.welcome);
    return one;
  };
  const settled = async (one, transports) => {
    const last = transports.at(-1);
    for (let tries = 0; one.transport !== last; tries += 1) {
      ensure(tries < 100, `the transport is still ${one.transport}`);
      await pause(50);
    }
  };

  const login = (transports) => () =>
    withClients(client(transports), async (make) => {
      const one = await online(make, "anna");
      const own = await one.expect("connections");
      ensure(own.some((row) => row.current && row.socketId === one.welcome.session && row.protocol === "socketio"), own);
      const users = await one.expect("users");
      ensure(users.includes(where.nick("anna")), users);
      await settled(one, transports);
      ensure(version === 2 || one.socket.id === one.welcome.session, one.socket.id);
      const tell = await one.rpc("session.list", {});
      ensure(tell.sessions.some((row) => row.session === one.welcome.session && row.current), tell);
    });

  const refused = (transports) => () =>
    withClients(client(transports), async (make) => {
      const wrong = make({ auth: { token: "hw_wrong" }, reconnection: false });
      ensure(why(await wrong.expect(refusal)) === "Unauthorized", "another answer");
      const sockets = [];
      const mine = (await Account.of("many")).token;
      for (let at = 0; at < 8; at += 1) {
        const one = make({ auth: { token: mine } });
        sockets.push(one);
        await one.expect("welcome");
      }
      const ninth = make({ auth: { token: mine }, reconnection: false });
      ensure(why(await ninth.expect(refusal)) === "Too many connections", "another answer");
    });

  const direct = (transports) => () =>
    withClients(client(transports), async (make) => {
      const [anna, bert] = [await online(make, "anna"), await online(make, "bert")];
      const other = await online(make, "anna");
      for (const [one, two] of [[anna, bert], [bert, anna]]) {
        const text = unique("é€😀 \"quoted\"");
        const id = unique("id");
        const message = { message: text, receiverId: two.uid, id, timestamp: new Date().toISOString(), type: "SENT" };
        const ack = await one.ask("message", message);
        ensure(ack.ok && ack.id === id && ack.seq > 0 && !Number.isNaN(Date.parse(ack.timestamp)), ack);
        const got = await two.expect("message", (got) => got.id === id);
        ensure(got.message === text && got.senderId === one.uid && got.receiverId === two.uid && got.type === "RECEIVED", got);
        ensure(got.timestamp === ack.timestamp && got.seq === ack.seq, got);
        if (one === anna) ensure((await other.expect("message", (got) => got.id === id)).senderId === anna.uid, "not to the sender's other one");
        await one.expectNone("message", (got) => got.id === id);
        const again = await one.ask("message", message);
        ensure(again.ok && again.seq === ack.seq, again);
        await two.expectNone("message", (got) => got.id === id);
      }
      const nobody = await anna.ask("message", { message: "x", receiverId: where.uid("nobody"), id: unique("id") });
      ensure(nobody.ok === false && nobody.reason === "unknown_user", nobody);
    });

  const room = (transports) => () =>
    withClients(client(transports), async (make) => {
      const [anna, bert] = [await online(make, "anna"), await online(make, "bert")];
      for (const one of [anna, bert]) {
        const joined = await one.ask("join", "lobby");
        ensure(joined.ok && joined.conversation === "lobby", joined);
      }
      const id = unique("id");
      const ack = await anna.ask("message", { conversation: "lobby", message: "to all", id });
      const got = await bert.expect("message", (got) => got.id === id);
      ensure(got.conversation === "lobby" && got.message === "to all" && got.seq === ack.seq && got.senderId === anna.uid, got);
      await anna.ask("typing", { conversation: "lobby", on: true });
      const typing = await bert.expect("typing", (got) => got.from === anna.uid);
      ensure(typing.conversation === "lobby" && typing.on === true, typing);
      ensure((await bert.ask("leave", "lobby")).ok, "no leave");
      const later = unique("id");
      await anna.ask("message", { conversation: "lobby", message: "after", id: later });
      await bert.expectNone("message", (got) => got.id === later);
      const back = await bert.ask("join", { conversation: "lobby", after: ack.seq });
      ensure(back.ok, back);
      ensure((await bert.expect("message", (got) => got.id === later)).seq > ack.seq, "another seq");
      const none = await anna.ask("join", "no-such-room");
      ensure(none.ok === false && none.reason === "unknown_conversation", none);
    });

  const rpc = (transports) => () =>
    withClients(client(transports), async (make) => {
      const [anna, bert] = [await online(make, "anna"), await online(make, "bert")];
      await bert.rpc("conversation.subscribe", { conversation: "lobby" });
      const sent = await anna.rpc("message.send", { conversation: "lobby", id: unique("id"), text: "by rpc" });
      const told = await bert.expect("notification", (told) => told.method === "message" && told.params.seq === sent.seq);
      ensure(told.jsonrpc === "2.0" && told.params.text === "by rpc" && told.params.via === "socketio", told);
      const answer = await anna.ask("rpc", { jsonrpc: "2.0", id: "x", method: "no.such", params: {} });
      ensure(answer.error.code === -32601 && answer.id === "x", answer);
      const unknown = await anna.ask("no such event", 1);
      ensure(unknown.ok === false && unknown.reason === "unknown_event", unknown);
      await bert.rpc("conversation.subscribe", { conversation: "*" });
      const id = unique("id");
      await anna.ask("message", { message: "direct", receiverId: bert.uid, id });
      await bert.expect("notification", (told) => told.params.client_id === id);
      await bert.rpc("conversation.unsubscribe", { conversation: "*" });
      const next = unique("id");
      await anna.ask("message", { message: "direct", receiverId: bert.uid, id: next });
      await bert.expect("message", (got) => got.id === next);
    });

  const guest = (transports) => () =>
    withClients(client(transports), async (make) => {
      const name = unique("Guest");
      const one = make({});
      await one.expect("connect");
      const early = await one.ask("message", { message: "x", receiverId: where.uid("anna"), id: "1" });
      ensure(early.ok === false && early.reason === "no_session", early);
      ensure((await one.ask("createUser", name)) === true, "the name was not given");
      const welcome = await one.expect("welcome");
      ensure(welcome.name === name && welcome.token, welcome);
      await one.expect("users", (users) => users.includes(name));
      const two = make({});
      await two.expect("connect");
      const [taken, why] = await two.ask("createUser", name);
      ensure(taken === false && why.reason === "taken", why);
      const other = unique("Guest");
      ensure((await two.ask("createUser", other)) === true, "the other name was not given");
      const id = unique("id");
      const ack = await one.ask("message", { message: "hi", receiverId: (await two.expect("welcome")).user, id });
      ensure(ack.ok, ack);
      ensure((await two.expect("message", (got) => got.id === id)).name === name, "another name");
      // Who comes and goes between two looks is never told of.
      await one.expect("users", (users) => users.includes(other));
      two.close();
      const gone = await one.expect("disconnected", (gone) => gone.includes(other));
      ensure(gone.includes(other), gone);
      one.close();
      const back = make({ auth: { token: welcome.token } });
      ensure((await back.expect("welcome")).user === welcome.user, "not let back in");
      const clientId = unique("guest").replaceAll(/[ .]/g, "-").toLowerCase();
      const known = make({ query: { CLIENT_ID: clientId } });
      ensure((await known.expect("welcome")).user === clientId, "another uid");
      const thief = make({ query: { CLIENT_ID: clientId }, reconnection: false });
      ensure((await thief.expect(refusal)) && true, "let in");
    });

  const connections = (transports) => () =>
    withClients(client(transports), async (make) => {
      const [one, two] = [await online(make, "carl"), await online(make, "carl")];
      const both = await one.expect("connections", (rows) => rows.length === 2);
      const other = both.find((row) => !row.current);
      ensure(other.socketId === two.welcome.session, both);
      ensure((await one.ask("disconnectRequest", { socketId: other.socketId })).ok, "not closed");
      const reason = await two.expect("disconnect");
      ensure(reason === "io server disconnect", reason);
      await one.expect("connections", (rows) => rows.length === 1 && rows[0].current);
      const none = await one.ask("disconnectRequest", { socketId: "1" });
      ensure(none.ok === false && none.reason === "unknown_session", none);
    });

  /** What was sent while one was away comes on the next connection, once and in order. */
  const missed = (transports) => () =>
    withClients(client(transports), async (make) => {
      const [anna, bert] = [await online(make, "anna"), await online(make, "bert")];
      const first = unique("id");
      await anna.ask("message", { message: "first", receiverId: bert.uid, id: first });
      const { pos } = await bert.expect("message", (got) => got.id === first);
      bert.close();
      const ids = [1, 2, 3].map(() => unique("id"));
      for (const id of ids) await anna.ask("message", { message: "missed", receiverId: bert.uid, id });
      const back = await online(make, "bert", { after: pos });
      for (const id of ids) await back.expect("message", (got) => got.id === id);
      await back.expectNone("message", (got) => got.id === first);
      ensure(!back.welcome.resync, back.welcome);
    });

  const reconnect = (transports) => () =>
    withClients(client(transports), async (make) => {
      const [anna, bert] = [await online(make, "anna"), await online(make, "bert")];
      await settled(bert, transports);
      bert.socket.io.engine.close();
      await bert.expect("disconnect");
      await bert.expect("welcome");
      const id = unique("id");
      await anna.ask("message", { message: "again", receiverId: bert.uid, id });
      await bert.expect("message", (got) => got.id === id);
    });

  /** Many messages while polling is given up for WebSocket: all come, once and in order. */
  const burst = (transports) => () =>
    withClients(client(transports), async (make) => {
      const bert = await online(make, "bert");
      const anna = await online(make, "anna");
      const ids = Array.from({ length: BURST }, () => unique("id"));
      const acks = ids.map((id) => anna.ask("message", { message: "x".repeat(300), receiverId: bert.uid, id }));
      const seqs = (await Promise.all(acks)).map((ack) => ack.seq);
      ensure(seqs.every((seq, at) => at === 0 || seq === seqs[at - 1] + 1), "not in order");
      await bert.expect("message", (got) => got.id === ids.at(-1));
      const came = bert.seen.filter((event) => event.name === "message" && ids.includes(event.told[0].id)).map((event) => event.told[0].id);
      ensure(came.join() === ids.slice(0, -1).join(), `${came.length} came`);
    });

  /** With people on MQTT and XMPP: each hears the other, in a room and alone. */
  const others = (transports) => () =>
    withClients(client(transports), (make) =>
      inRoom(async (room) => {
        const anna = await online(make, "anna");
        ensure((await anna.ask("join", room.conversation)).ok, "not joined");
        await settled(anna, transports);
        await room.talk(anna);
        await room.talkDirectly(anna);
      }),
    );

  /** A service tells people something of its own. */
  const notify = (transports) => () =>
    withClients(client(transports), async (make) => {
      const anna = await online(make, "anna");
      const body = JSON.stringify({ userId: anna.uid, event: "raffle", payload: { won: true } });
      const headers = { "content-type": "application/json", authorization: `Bearer ${(await Account.of("bert")).token}` };
      const answer = await fetch(`http://${where.http}/api/notify`, { method: "POST", headers, body });
      ensure(answer.status === 403 && (await answer.json()).error.data.reason === "not_allowed", "an attendee may notify");
      await anna.expectNone("raffle", () => true);
    });

  return Object.entries(CARRIERS).flatMap(([carrier, transports]) =>
    [
      ["login", login],
      ["refusals", refused],
      ["direct messages", direct],
      ["a room", room],
      ["JSON-RPC", rpc],
      ["guests", guest],
      ["own connections", connections],
      ["what was missed", missed],
      ["reconnecting", reconnect],
      ["a burst", burst],
      ["MQTT and XMPP", others],
      ["who may notify", notify],
    ].map(([label, story]) => [`${carrier}: ${label}`, story(transports)]),
  );
}
