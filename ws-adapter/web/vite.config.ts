// One script, one style, a service worker, and each of them compressed: what the server embeds.
import { createHash } from "node:crypto";
import { readdirSync, readFileSync, statSync, writeFileSync } from "node:fs";
import { join, relative, resolve } from "node:path";
import { fileURLToPath } from "node:url";
import { brotliCompressSync, constants, gzipSync } from "node:zlib";
import { defineConfig, type Plugin } from "vite";

const here = fileURLToPath(new URL(".", import.meta.url));
/** Where `npm run dev` finds a server. */
const server = process.env["HALLWAY_URL"] ?? "http://127.0.0.1:8080";
const sockets = ["/ws", "/rpc", "/api", "/files", "/events", "/ticket", "/openrpc.json"];

const files = (directory: string): string[] =>
  readdirSync(directory).sort().flatMap((name) => {
    const path = join(directory, name);
    return statSync(path).isDirectory() ? files(path) : [path];
  });

/** Tells the service worker what to keep, and puts a compressed copy beside what is worth it. */
function finish(): Plugin {
  let out = "";
  return {
    name: "finish",
    apply: "build",
    configResolved: (config) => void (out = resolve(here, config.build.outDir)),
    closeBundle() {
      const worker = join(out, "sw.js");
      const shell = files(out).filter((path) => !/sw\.js$|\.(?:br|gz)$|icon-(?:192|512|maskable)/.test(path));
      const version = createHash("sha256");
      for (const path of shell) version.update(readFileSync(path));
      const names = shell.map((path) => `/${relative(out, path)}`.replace("/index.html", "/"));
      const told = JSON.stringify({ files: names, version: version.digest("hex").slice(0, 12) });
      writeFileSync(worker, readFileSync(worker, "utf8").replace("__SHELL__", () => told));
      for (const path of files(out).filter((path) => /\.(?:html|js|css|svg|webmanifest)$/.test(path))) {
        const bytes = readFileSync(path);
        writeFileSync(`${path}.br`, brotliCompressSync(bytes, { params: { [constants.BROTLI_PARAM_QUALITY]: 11, [constants.BROTLI_PARAM_SIZE_HINT]: bytes.length } }));
        writeFileSync(`${path}.gz`, gzipSync(bytes, { level: 9 }));
      }
    },
  };
}

const proxy = Object.fromEntries(sockets.map((path) => [path, { target: server, ws: true, changeOrigin: true }]));

export default defineConfig({
  plugins: [finish()],
  resolve: { alias: { "hallway-client": join(here, "../clients/js/src/index.ts") } },
  server: { proxy },
  preview: { proxy },
  build: {
    outDir: process.env["OUT_DIR"] || "dist",
    emptyOutDir: true,
    target: "es2022",
    modulePreload: { polyfill: false },
    assetsInlineLimit: 0,
    reportCompressedSize: false,
    rollupOptions: {
      input: { app: join(here, "index.html"), sw: join(here, "src/sw.ts") },
      output: {
        entryFileNames: ({ name }) => (name === "sw" ? "sw.js" : "assets/[name]-[hash].js"),
        chunkFileNames: "assets/[name]-[hash].js",
        assetFileNames: "assets/[name]-[hash][extname]",
      },
    },
  },
});
