import { defineConfig } from "vite";
import { slimUplot } from "./slim-uplot.ts";

// Relative addresses: the dashboard may be mounted below any path.
export default defineConfig({
  base: "./",
  plugins: [slimUplot],
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
