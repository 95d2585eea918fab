#!/usr/bin/env node
// A broadcast server on `ws`: the part of Hallway's JSON protocol that the benchmark speaks, so that both get and send the same bytes.
// It numbers messages and stores nothing; a token is the name of its user.

import { require, serve } from "./serve.mjs";

const { WebSocketServer } = require("ws");
const { version } = require("ws/package.json");

/** By conversation: the last seq, and who follows it. */
const conversations = new Map();

function conversation(name) {
  if (!conversations.has(name)) conversations.set(name, { seq: 0, followers: new Set() });
  return conversations.get(name);
}

/** One encoding for all receivers; a sender without an echo is left out. */
function post(socket, { conversation: name, id, text }) {
  const to = conversation(name);
  const ts = new Date().toISOString();
  const seq = (to.seq += 1);
  const params = { conversation: name, seq, id: String(seq).padStart(26, "a"), kind: "message", from: socket.user, name: socket.user, ts, via: "ws", client_id: id, text, n: seq };
  const message = Buffer.from(JSON.stringify({ jsonrpc: "2.0", method: "message", params }));
  for (const follower of to.followers) {
    if (follower !== socket || socket.hasEcho) follower.send(message, { binary: false });
  }
  return { seq, ts, id: params.id };
}

const METHODS = {
  "session.hello": (socket, { token }) => ({ user: (socket.user = token) }),
  "conversation.subscribe": (socket, { conversation: name, echo }) => {
    const to = conversation(name);
    to.followers.add(socket);
    socket.on("close", () => to.followers.delete(socket));
    socket.hasEcho = echo !== false;
    return { seq: to.seq };
  },
  "message.send": post,
};

serve(version, (server) => {
  const sockets = new WebSocketServer({ server, path: "/ws", clientTracking: false });
  sockets.on("connection", (socket) => {
    socket.on("message", (data) => {
      const { id, method, params } = JSON.parse(data);
      socket.send(JSON.stringify({ jsonrpc: "2.0", id, result: METHODS[method](socket, params) }));
    });
  });
});
