// A link that can be cut, in front of a server.

import { spawn } from "node:child_process";
import { createInterface } from "node:readline";
import { fileURLToPath } from "node:url";

import { Inbox, ensure } from "../common.mjs";

const program = fileURLToPath(new URL("link.py", import.meta.url));

/** `link.py` in front of an address. */
export class Link {
  static async open(target) {
    const link = new Link();
    link.child = spawn("python3", [program, target], { stdio: ["pipe", "pipe", "inherit"] });
    link.said = new Inbox();
    createInterface({ input: link.child.stdout }).on("line", (line) => link.said.put(line));
    link.address = await link.said.expect("the link's address", (line) => line.includes(":"));
    return link;
  }

  /** `silence` or `cut`. */
  async does(verb) {
    this.child.stdin.write(`${verb}\n`);
    const answer = await this.said.expect("the link's answer", (line) => line.startsWith(`${verb} `));
    ensure(answer === `${verb} 1`, `the link said ${answer}`);
  }

  close() {
    this.child.stdin.end();
  }
}
