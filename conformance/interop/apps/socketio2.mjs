#!/usr/bin/env node
// A Socket.IO server as socket.io-client 2 (Engine.IO 3, Socket.IO protocol 4) sees it; the package is installed as socket.io-client-2.
//
//     socketio2.mjs HTTP MQTT XMPP PREFIX
//
// HTTP, MQTT and XMPP are HOST:PORT, NODE_EXTRA_CA_CERTS the server's certificate, PREFIX begins every user name. Libraries are looked for in
// the directory INTEROP_NODE_MODULES, or beside this file. One line per check, "ok WHAT" or "FAIL WHAT: WHY"; the exit status is 0 when none failed.

import { require, run } from "./peers.mjs";
import { stories } from "./sockets.mjs";

await run("socket.io-client 2", stories(require("socket.io-client-2"), 2));
