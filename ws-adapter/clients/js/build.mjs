// Builds dist/esm and dist/cjs, each with its types, and fails when the core is larger than it may be.
//
//     node build.mjs            build and measure
//     node build.mjs --size     measure only

import { execFileSync } from "node:child_process";
import { cpSync, mkdirSync, rmSync, writeFileSync } from "node:fs";
import { gzipSync } from "node:zlib";
import { createRequire } from "node:module";
import { dirname, join } from "node:path";
import { fileURLToPath } from "node:url";
import { build } from "esbuild";

const MAX_CORE_GZIP_BYTES = 12 * 1024;
const here = dirname(fileURLToPath(import.meta.url));
const entryPoints = { index: "src/index.ts", react: "src/react.tsx", topics: "src/topics.ts" };
const common = {
  absWorkingDir: here,
  bundle: true,
  target: "es2022",
  external: ["react", "react/jsx-runtime", "./topics.js"],
  jsx: "automatic",
};

const { outputFiles } = await build({ ...common, entryPoints: [entryPoints.index], format: "esm", minify: true, write: false });
const minified = outputFiles[0].contents;
const gzip = gzipSync(minified, { level: 9 }).length;
console.log(`core: ${minified.length} bytes minified, ${gzip} gzip (at most ${MAX_CORE_GZIP_BYTES})`);
if (gzip > MAX_CORE_GZIP_BYTES) {
  console.error("the core is too large");
  process.exit(1);
}
if (process.argv.includes("--size")) process.exit(0);

rmSync(join(here, "dist"), { recursive: true, force: true });
for (const format of ["esm", "cjs"]) {
  await build({ ...common, entryPoints, format, outdir: `dist/${format}`, sourcemap: true, sourcesContent: true });
}
const tsc = join(dirname(createRequire(import.meta.url).resolve("typescript/package.json")), "bin/tsc");
execFileSync(process.execPath, [tsc, "-p", "tsconfig.build.json"], { cwd: here, stdio: "inherit" });
// The types are the same; which module system they describe goes by the nearest package.json.
cpSync(join(here, "dist/esm"), join(here, "dist/cjs"), { recursive: true, filter: (from) => !/\.js(\.map)?$/.test(from) });
mkdirSync(join(here, "dist/cjs"), { recursive: true });
writeFileSync(join(here, "dist/cjs/package.json"), '{ "type": "commonjs" }\n');
