import { fileURLToPath } from "node:url";
import { defineConfig } from "vitest/config";

const source = (path: string): string => fileURLToPath(new URL(path, import.meta.url));

export default defineConfig({
  resolve: {
    alias: [
      { find: /^hallway-client$/, replacement: source("./src/index.ts") },
      { find: /^hallway-client\/topics$/, replacement: source("./src/topics.ts") },
      { find: /^hallway-client\/react$/, replacement: source("./src/react.tsx") },
    ],
  },
  test: {
    include: ["test/**/*.test.{ts,tsx}"],
    testTimeout: 30_000,
    hookTimeout: 30_000,
    // Each file starts a server of its own; more at once would only make them wait for each other.
    fileParallelism: false,
  },
});
