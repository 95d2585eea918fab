// What the XMPP programs in JavaScript share besides `common.mjs`: their arguments, the server's certificate.

import { spawnSync } from "node:child_process";

import { where } from "../common.mjs";

export * from "../common.mjs";
export { Link } from "./link.mjs";

const [http, plain, tls, ca, domain, prefix, ...rest] = process.argv.slice(2);
if (!prefix) {
  console.error(`${process.argv[1]} HTTP XMPP XMPPS CA DOMAIN PREFIX`);
  process.exit(2);
}
Object.assign(where, { http, plain, tls, ca, domain, prefix, rest, websocket: `ws://${http}/xmpp-websocket` });

/** Starts this program again so that it trusts the server's certificate: Node reads that only at its start. */
export function trustCertificate() {
  if (process.env.NODE_EXTRA_CA_CERTS === ca) return;
  const again = spawnSync(process.execPath, process.argv.slice(1), { stdio: "inherit", env: { ...process.env, NODE_EXTRA_CA_CERTS: ca } });
  process.exit(again.status ?? 1);
}
