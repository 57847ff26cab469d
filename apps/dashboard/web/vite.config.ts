import { defineConfig } from "vite";
import type { Plugin } from "vite";

/**
 * uPlot hangs kinds of lines and helpers on itself that our charts have no use for, and that no bundler can therefore leave
 * out: a tenth of all our script.
 */
const slimUplot: Plugin = {
  name: "slim-uplot",
  transform(code, id) {
    if (!id.includes("uPlot.esm")) return null;
    const slim = code.replace(/\nuPlot\.assign = [\s\S]*(?=\nexport \{ uPlot as default \})/, "\n");
    if (slim === code) this.error("uPlot is written otherwise by now: look at its end, and mend this.");
    return { code: slim, map: null };
  },
};

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
