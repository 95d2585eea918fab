#!/usr/bin/env node
// A Socket.IO server with rooms and direct messages in the shapes that Hallway has over Socket.IO. It stores nothing; a token is the name of
// its user.

import { require, serve } from "./serve.mjs";

const { Server } = require("socket.io");
const { version } = require("socket.io/package.json");

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
    socket.on("message", ({ conversation, receiverId, message, id }, answer) => {
      const timestamp = new Date().toISOString();
      const seq = (last += 1);
      // The adapter encodes once for all receivers.
      if (receiverId) socket.to(`user ${receiverId}`).emit("message", { message, senderId, receiverId, id, timestamp, type: "RECEIVED" });
      else socket.to(`room ${conversation}`).emit("message", { conversation, message, senderId, name: senderId, id, seq, timestamp });
      answer({ ok: true, id, seq, timestamp });
    });
  });
});
