// Leaves out of uPlot what our charts have no use for. It hangs helpers on itself and asks its options at run time, so no
// bundler can see what is never reached; said here as constants, the minifier takes the rest away: a third of it.

import type { Plugin } from "vite";

/** What our charts are, by the places of uPlot that ask: lines over seconds, linear scales, time across, no legend of its own. */
const CHANGES: [what: RegExp, to: string][] = [
  // Helpers for callers that hang on it, and other kinds of lines.
  [/\nuPlot\.assign = [\s\S]*(?=\nexport \{ uPlot as default \})/, "\n"],
  // The legend is drawn by us.
  [/const showLegend = legend\.show;/, "const showLegend = false;"],
  [/if \(legend\.live\) \{\n\t\tconst getMultiVals/, "if (false) {\n\t\tconst getMultiVals"],
  [/let multiValLegend = false;/, "const multiValLegend = false;"],
  [/if \(legend\.show && legend\.live && shouldSetLegend\)/, "if (false)"],
  [/s\.value = isTime \? \(isStr\(sv\)[^\n]*/, "s.value = null;"],
  // No line is brought to the front by the mouse.
  [/const cursorFocus = focus\.prox >= 0;/, "const cursorFocus = false;"],
  // Nothing is selected or zoomed by dragging.
  [/\bselect\.show\b/g, "false"],
  [/if \(drag\.setScale && hasSelect && chgSelect\)/, "if (false)"],
  // Times are in seconds, and what stands at the axis is said by us.
  [/\bms == 1 \?/g, "false ?"],
  [/const \[ timeIncrsMs, _timeAxisStampsMs, timeAxisSplitsMs \] = genTimeStuffs\(1\);/, ""],
  [/const _timeAxisVals {3}= [^\n]*/, ""],
  [/const _timeSeriesVal {2}= [^\n]*/, ""],
  [/isTime \? \(\n\t\t\t\t\t\/\/ config array[\s\S]*?av \|\| _timeAxisVals\n\t\t\t\t\) : av \|\| numAxisVals/, "av"],
  [/const _timeSeriesStamp = [^\n]*/, ""],
  [/const _fmtDate = [^\n]*/, ""],
  [/const _timeAxisStamps = \[\n[\s\S]*?\n\t\];/, "const _timeAxisStamps = [];"],
  // Series and bands stay those that a chart was made of.
  [/\tself\.(?:addSeries|delSeries|setSeries|addBand|setBand|delBand|setLegend|batch|redraw) = (?:\w+;|\([\s\S]*?\n\t\};)\n/g, ""],
  [/const bands {3}= self\.bands {2}= opts\.bands \|\| \[\];/, "const bands = [];"],
  // Series share one time, which lies across.
  [/\bmode == 1\b/g, "true"],
  [/\bmode == 2\b/g, "false"],
  [/\bscaleX\.ori == 0\b/g, "true"],
  [/\bscaleX\.ori == 1\b/g, "false"],
  // Linear scales.
  [/\b(?:\w+\.)?distr ==\s+(?:2|3|4|100)\b/g, "false"],
  [/\bsc\.distr >= 3\b/g, "false"],
  [/\bxScaleDistr == 2\b/g, "false"],
];

export const slimUplot: Plugin = {
  name: "slim-uplot",
  transform(code, id) {
    if (!id.includes("uPlot.esm")) return null;
    let slim = code;
    for (const [what, to] of CHANGES) {
      const next = slim.replace(what, to);
      if (next === slim) this.error(`uPlot is written otherwise by now: look for ${what.source}, and mend this.`);
      slim = next;
    }
    return { code: slim, map: null };
  },
};
