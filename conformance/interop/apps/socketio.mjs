#!/usr/bin/env node
// A Socket.IO server as socket.io-client 4 (Engine.IO 4, Socket.IO protocol 5) sees it: over WebSocket, polling, and from one to the other.
//
//     socketio.mjs HTTP MQTT XMPP PREFIX
//
// The arguments are those of jsonrpc.mjs.

import { require, run, stories } from "./sockets.mjs";

const { io } = require("socket.io-client");
await run("socket.io-client 4", stories(io, 4));
