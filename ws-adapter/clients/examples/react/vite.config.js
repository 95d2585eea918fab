import { defineConfig } from "vite";

// The package is a link to its sources' directory: one React for both.
export default defineConfig({ resolve: { dedupe: ["react", "react-dom"] } });
