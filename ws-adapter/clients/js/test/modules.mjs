// What is built loads by its names as ESM and as CJS. Run after the build; a package finds itself by its own name.

import { strict as assert } from "node:assert";
import { createRequire } from "node:module";

const require = createRequire(import.meta.url);
for (const name of ["hallway-client", "hallway-client/topics", "hallway-client/react"]) {
  const [esm, cjs] = [await import(name), require(name)];
  assert.deepEqual(Object.keys(cjs).sort(), Object.keys(esm).sort(), name);
  assert(Object.keys(esm).length > 0, name);
}
const { createClient } = require("hallway-client");
assert.equal(createClient({ url: "http://localhost:1", token: "x" }).state.status, "idle");
