#!/usr/bin/env node
// A Socket.IO server as socket.io-client 2 (Engine.IO 3, Socket.IO protocol 4) sees it; the package is installed as socket.io-client-2.
//
//     socketio2.mjs HTTP MQTT XMPP PREFIX
//
// The arguments are those of jsonrpc.mjs.

import { require, run, stories } from "./sockets.mjs";

await run("socket.io-client 2", stories(require("socket.io-client-2"), 2));
