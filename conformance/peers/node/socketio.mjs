#!/usr/bin/env node
// A Socket.IO server with rooms and direct messages in the shapes that Hallway has over Socket.IO. It stores nothing; a token is the name of
// its user.

import { require, serve } from "./serve.mjs";

const { Server } = require("socket.io");
const { version } = require("socket.io/package.json");

const direct = (one, other) => `dm~${[one, other].sort().join("~")}`;

serve(version, (server) => {
  const io = new Server(server, { transports: ["websocket"], serveClient: false });
  let last = 0;
  io.on("connection", (socket) => {
    const senderId = socket.handshake.auth.token;
    socket.join(`user ${senderId}`);
    socket.on("join", (conversation, answer) => {
      socket.join(`room ${conversation}`);
      answer({ ok: true });
    });
    socket.on("message", ({ receiverId, message, id, conversation = direct(senderId, receiverId) }, answer) => {
      const timestamp = new Date().toISOString();
      const seq = (last += 1);
      const event = { message, senderId, receiverId, id, timestamp, type: "RECEIVED", conversation, seq, name: senderId };
      // The adapter encodes once for all receivers.
      socket.to(receiverId ? `user ${receiverId}` : `room ${conversation}`).emit("message", event);
      answer({ ok: true, id, seq, timestamp });
    });
  });
});
