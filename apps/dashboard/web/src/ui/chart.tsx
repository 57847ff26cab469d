// Lines over minutes, drawn by uPlot, which is loaded once the first chart is shown. The legend tells the minute pointed at.

import { signal } from "@preact/signals";
import { useEffect, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import type uPlot from "uplot";
import { count } from "../lib/format";
import { versions } from "../lib/live";
import { theme } from "../lib/theme";

export interface Line {
  name: string;
  colour: 1 | 2 | 3 | 4;
  values: (number | null)[];
  show?: (value: number) => string;
}

/** The minute that all charts point at, in Unix seconds: the scrubber's, or where the mouse is. */
export const pointed = signal<number | null>(null);

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit" });

/** How far apart lines across may be where they tell times, in ms. */
const SPANS = [1, 10, 100, 1000, 10_000].flatMap((each) => [each, 2 * each, 5 * each].filter((ms) => ms < 15_000)).concat([15, 30, 60, 120, 300, 600, 1800, 3600, 7200, 21_600].map((s) => s * 1000));

function colour(of: HTMLElement, name: string): string {
  const probe = document.createElement("i");
  probe.style.color = `var(${name})`;
  of.append(probe);
  const found = getComputedStyle(probe).color;
  probe.remove();
  return found;
}

export function Chart(props: { label: string; times: number[]; lines: Line[]; low?: boolean; unit?: (value: number) => string }): JSX.Element {
  const box = useRef<HTMLDivElement>(null);
  const plot = useRef<uPlot | null>(null);
  const [ready, setReady] = useState(false);
  const { times, lines } = props;
  const unit = props.unit ?? count;
  const at = pointed.value;
  const index = at === null ? times.length - 1 : Math.max(0, nearest(times, at));
  const look = theme.value;

  useEffect(() => {
    const host = box.current;
    if (!host) return undefined;
    let gone = false;
    let watch: ResizeObserver | null = null;
    void import("uplot").then(({ default: Plot }) => {
      if (gone) return;
      const muted = colour(host, "--muted");
      const grid = { stroke: colour(host, "--grid"), width: 1 };
      const axis = { stroke: muted, grid, ticks: { show: false }, font: "11px system-ui, sans-serif" };
      const options: uPlot.Options = {
        width: host.clientWidth,
        height: host.clientHeight,
        legend: { show: false },
        padding: [8, 16, 0, 0],
        cursor: {
          y: false,
          drag: { x: false, y: false },
          points: { size: 6 },
        },
        scales: { x: { time: true }, y: { range: (_, __, most) => [0, Math.max(most * 1.08, props.unit ? 1 : 4)] } },
        axes: [
          { ...axis, size: 26, values: (_, splits) => splits.map((each) => clock.format(each * 1000)) },
          { ...axis, size: (_, told) => 16 + 6.5 * Math.max(3, ...(told ?? []).map((each) => each.length)), ...(props.unit ? { incrs: SPANS } : {}), values: (_, splits) => splits.map((each) => (each === null ? "" : unit(each))) },
        ],
        series: [
          {},
          ...lines.map((each) => ({
            stroke: colour(host, `--series-${each.colour}`),
            width: 1.75,
            points: { show: true, size: 4, filter: (made: uPlot, i: number) => lone(made.data[i]) },
            spanGaps: false,
          })),
        ],
        hooks: {
          draw: [
            ({ ctx, bbox, scales, valToPos }) => {
              ctx.save();
              ctx.fillStyle = muted;
              ctx.font = `${11 * devicePixelRatio}px system-ui, sans-serif`;
              for (const [version, at] of versions()) {
                if (at <= (scales.x?.min ?? at)) continue;
                const x = Math.round(valToPos(at, "x", true));
                const right = x > bbox.left + bbox.width / 2;
                ctx.fillRect(x, bbox.top, devicePixelRatio, bbox.height);
                ctx.textAlign = right ? "right" : "left";
                ctx.fillText(version, right ? x - 5 : x + 5, bbox.top + 11 * devicePixelRatio);
              }
              ctx.restore();
            },
          ],
          setCursor: [
            (made) => {
              if (!made.root.matches(":hover")) return;
              const i = made.cursor.idx;
              pointed.value = i === null || i === undefined ? null : (made.data[0][i] ?? null);
            },
          ],
        },
      };
      plot.current = new Plot(options, [times, ...lines.map((each) => each.values)], host);
      host.addEventListener("mouseleave", leave);
      watch = new ResizeObserver(() => plot.current?.setSize({ width: host.clientWidth, height: host.clientHeight }));
      watch.observe(host);
      setReady(true);
    });
    const leave = (): void => {
      pointed.value = null;
    };
    return () => {
      gone = true;
      watch?.disconnect();
      host.removeEventListener("mouseleave", leave);
      plot.current?.destroy();
      plot.current = null;
    };
  }, [look, lines.length]);

  useEffect(() => {
    plot.current?.setData([times, ...lines.map((each) => each.values)]);
  }, [times, lines, ready]);

  useEffect(() => {
    const made = plot.current;
    if (!made || made.root.matches(":hover")) return;
    if (at === null) made.setCursor({ left: -10, top: -10 }, false);
    else made.setCursor({ left: made.valToPos(at, "x"), top: 10 }, false);
  }, [at, ready]);

  const shown = times[index];
  return (
    <figure class="stack" aria-label={props.label}>
      <figcaption class="legend">
        {lines.map((each) => {
          const value = each.values[index];
          return (
            <span key={each.name} class={`key key-${each.colour}`}>
              {each.name} <b>{value === null || value === undefined ? "–" : (each.show ?? unit)(value)}</b>
            </span>
          );
        })}
        <span class="muted at">{shown === undefined ? "" : clock.format(shown * 1000)}</span>
      </figcaption>
      <div ref={box} class={props.low ? "chart low" : "chart"} aria-hidden="true" />
    </figure>
  );
}

/** A minute between two that tell nothing is on no line: it gets a point. */
function lone(values: ArrayLike<number | null | undefined> = []): number[] {
  return Array.from(values).flatMap((value, i) => (value != null && values[i - 1] == null && values[i + 1] == null ? [i] : []));
}

function nearest(times: number[], at: number): number {
  let best = 0;
  times.forEach((each, i) => {
    if (Math.abs(each - at) < Math.abs((times[best] ?? 0) - at)) best = i;
  });
  return best;
}

/** A line without axes. */
export function Spark(props: { values: number[]; label: string }): JSX.Element {
  const { values } = props;
  const most = Math.max(1, ...values);
  const step = values.length > 1 ? 96 / (values.length - 1) : 96;
  const points = values.map((value, i) => `${(i * step).toFixed(1)} ${(23 - (value / most) * 21).toFixed(1)}`);
  return (
    <svg class="spark" viewBox="0 0 96 24" preserveAspectRatio="none" role="img" aria-label={props.label}>
      {points.length > 1 ? (
        <>
          <path class="area" d={`M0 24L${points.join("L")}L96 24Z`} />
          <path d={`M${points.join("L")}`} />
        </>
      ) : null}
    </svg>
  );
}

/** Counts of equal spans of time, the newest last. */
export function Trend(props: { counts: number[]; label: string }): JSX.Element {
  const most = Math.max(1, ...props.counts);
  const step = 96 / Math.max(1, props.counts.length);
  return (
    <svg class="spark" viewBox="0 0 96 24" role="img" aria-label={props.label}>
      {props.counts.map((each, i) => {
        const height = each ? Math.max(2, (each / most) * 23) : 0;
        return <rect key={i} x={i * step + 0.5} y={24 - height} width={step - 1.5} height={height} rx="1" />;
      })}
      <path d="M0 24H96" />
    </svg>
  );
}
