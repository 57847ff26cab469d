import { defineConfig } from "vite";
import type { Plugin } from "vite";
import { slimUplot } from "./slim-uplot.ts";

/** Vite's helper for dynamic imports loads their styles first, and preloads their parts. Ours have neither. */
const plainImports: Plugin = {
  name: "plain-imports",
  enforce: "pre",
  load: (id) => (id.includes("vite/preload-helper") ? "export const __vitePreload = (load) => load();" : null),
};

// Relative addresses: the dashboard may be mounted below any path.
export default defineConfig({
  base: "./",
  plugins: [slimUplot, plainImports],
  oxc: { jsx: { runtime: "automatic", importSource: "preact" } },
  build: {
    outDir: "../src/jobs_dashboard/web",
    emptyOutDir: true,
    target: ["es2022", "chrome123", "firefox120", "safari17.5"],
    assetsInlineLimit: 0,
    modulePreload: { polyfill: false },
    reportCompressedSize: false,
  },
});
