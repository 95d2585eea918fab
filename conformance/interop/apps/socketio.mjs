#!/usr/bin/env node
// A Socket.IO server as socket.io-client 4 (Engine.IO 4, Socket.IO protocol 5) sees it: over WebSocket, polling, and from one to the other.
//
//     socketio.mjs HTTP MQTT XMPP PREFIX
//
// HTTP, MQTT and XMPP are HOST:PORT, NODE_EXTRA_CA_CERTS the server's certificate, PREFIX begins every user name. Libraries are looked for in
// the directory INTEROP_NODE_MODULES, or beside this file. One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { require, run } from "./peers.mjs";
import { stories } from "./sockets.mjs";

const { io } = require("socket.io-client");
await run("socket.io-client 4", stories(io, 4));
