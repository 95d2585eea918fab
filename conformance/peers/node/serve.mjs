// What the peers share: libraries from the directory PEER_NODE_MODULES, a listener that says where it is, and an end with the one who started it.

import { createServer } from "node:http";
import { createRequire } from "node:module";
import { join } from "node:path";

export const require = createRequire(process.env.PEER_NODE_MODULES ? join(process.env.PEER_NODE_MODULES, "from-here.js") : import.meta.url);

// A backlog for everyone at once.
const LISTEN = { host: "127.0.0.1", port: 0, backlog: 4096 };

/** `attach` gets the HTTP server before it listens; prints `HOST:PORT VERSION`. */
export function serve(version, attach) {
  const server = createServer((_, response) => response.writeHead(404).end());
  attach(server);
  server.listen(LISTEN, () => console.log(`${LISTEN.host}:${server.address().port} ${version}`));
  process.stdin.on("end", () => process.exit(0)).resume();
}
