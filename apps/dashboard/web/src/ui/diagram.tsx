// The states of a job, lit along the way that it took.

import type { JSX } from "preact";
import type { JobDetail, State } from "../lib/schema";

const NODES: Record<State | "added", [x: number, y: number]> = {
  added: [50, 90], delayed: [170, 30], blocked: [170, 150], waiting: [290, 90], active: [430, 90],
  unroutable: [290, 165], completed: [590, 25], failed: [590, 70], cancelled: [590, 115], expired: [590, 160],
};
const EDGES: [State | "added", State | "added"][] = [
  ["added", "delayed"], ["added", "waiting"], ["added", "blocked"], ["delayed", "waiting"], ["blocked", "waiting"],
  ["waiting", "active"], ["active", "delayed"], ["active", "completed"], ["active", "failed"],
  ["active", "cancelled"], ["active", "expired"], ["waiting", "unroutable"],
];
const WIDTH = 92;
const HEIGHT = 30;

/** The edges that a job must have gone along, as far as what is known of it tells. */
export function pathOf(job: JobDetail): Set<string> {
  const lit = new Set<string>();
  const add = (from: State | "added", to: State | "added"): void => void lit.add(`${from} ${to}`);
  const started = job.processed_at !== null || job.history.length > 0;
  const later = job.run_at !== null && Date.parse(job.run_at) - Date.parse(job.created_at) > 1000;
  if (job.state === "blocked") add("added", "blocked");
  else if (later && !job.history.length) {
    add("added", "delayed");
    if (job.state !== "delayed") add("delayed", "waiting");
  } else if (job.state === "delayed" && !started) add("added", "delayed");
  else add("added", "waiting");
  if (started) add("waiting", "active");
  if (job.history.length && (job.state !== "failed" || job.history.length > 1)) {
    add("active", "delayed");
    if (job.state !== "delayed") add("delayed", "waiting");
  }
  if (job.state === "unroutable") add("waiting", "unroutable");
  if (job.state === "completed" || job.state === "failed") add("active", job.state);
  if (job.state === "cancelled" || job.state === "expired") {
    if (started) add("active", job.state);
  }
  return lit;
}

const line = (from: State | "added", to: State | "added"): string => {
  const [x1, y1] = NODES[from];
  const [x2, y2] = NODES[to];
  if (from === "active" && to === "delayed") return `M${x1} ${y1 - HEIGHT / 2}C${x1} 0 ${x2 + 90} 8 ${x2 + WIDTH / 2 + 6} ${y2 - 4}`;
  if (x1 === x2) return `M${x1} ${y1 + HEIGHT / 2}L${x2} ${y2 - HEIGHT / 2 - 6}`;
  const a = x1 + WIDTH / 2;
  const b = x2 - WIDTH / 2 - 6;
  const half = (a + b) / 2;
  return `M${a} ${y1}C${half} ${y1} ${half} ${y2} ${b} ${y2}`;
};

export function Diagram(props: { job: JobDetail }): JSX.Element {
  const { job } = props;
  const lit = pathOf(job);
  const reached = new Set(["added", job.state, ...[...lit].flatMap((each) => each.split(" "))]);
  const edges = [...EDGES].sort((a, b) => Number(lit.has(a.join(" "))) - Number(lit.has(b.join(" "))));
  return (
    <div class="scroll" tabIndex={0} role="group" aria-label="States">
    <svg class="diagram" viewBox="0 0 640 190" role="img" aria-label={`State ${job.state}; it went ${[...lit].map((each) => each.replace(" ", " to ")).join(", ")}`}>
      <defs>
        {["", "lit"].map((each) => (
          <marker key={each} id={`tip${each}`} viewBox="0 0 6 6" refX="1" refY="3" markerWidth="7" markerHeight="7" markerUnits="userSpaceOnUse" orient="auto">
            <path class={`tip ${each}`} d="M0 0L6 3L0 6Z" />
          </marker>
        ))}
      </defs>
      {edges.map(([from, to]) => {
        const on = lit.has(`${from} ${to}`);
        return <path key={`${from} ${to}`} class={`edge ${on ? "lit" : ""}`} d={line(from, to)} marker-end={`url(#tip${on ? "lit" : ""})`} />;
      })}
      {Object.entries(NODES).map(([name, [x, y]]) => (
        <g key={name} class={`node ${reached.has(name) ? "lit" : ""} ${name === job.state ? "here" : ""}`}>
          <rect x={x - WIDTH / 2} y={y - HEIGHT / 2} width={WIDTH} height={HEIGHT} rx="15" />
          <text x={x} y={y}>
            {name}
          </text>
        </g>
      ))}
    </svg>
    </div>
  );
}
