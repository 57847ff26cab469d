// Jobs that wait for each other, from left to right.

import { useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import { at } from "../lib/api";
import { count, plural } from "../lib/format";
import { layers } from "../lib/layers";
import type { Spot } from "../lib/layers";
import { href } from "../lib/router";
import type { FlowJobRecord, State } from "../lib/schema";
import { TONES } from "./parts";

const [WIDTH, HEIGHT, ACROSS, DOWN, EDGE] = [156, 44, 212, 56, 16];

export function Graph(props: { jobs: readonly FlowJobRecord[]; here?: string }): JSX.Element {
  const [opened, setOpened] = useState<ReadonlySet<string>>(new Set());
  const { spots, columns, rows, outside } = useMemo(() => layers(props.jobs, opened), [props.jobs, opened]);
  const named = new Map(spots.map((each) => [each.key, each]));
  const place = (spot: Spot): [x: number, y: number] => [EDGE + spot.column * ACROSS, EDGE + spot.row * DOWN];
  const [width, height] = [2 * EDGE + (columns - 1) * ACROSS + WIDTH, 2 * EDGE + (rows - 1) * DOWN + HEIGHT];
  return (
    <>
      <div class="graph" tabIndex={0} role="group" aria-label={`Graph of ${plural(props.jobs.length, "job")}`}>
        <div style={{ width: `${width}px`, height: `${height}px` }}>
          <svg width={width} height={height} aria-hidden="true">
            {spots.flatMap((spot) =>
              spot.after.map((key) => {
                const from = named.get(key);
                if (!from) return null;
                const [[x1, y1], [x2, y2]] = [place(from), place(spot)];
                const [a, b, half] = [x1 + WIDTH, y1 + HEIGHT / 2, (x1 + WIDTH + x2) / 2];
                const done = from.jobs.every((each) => each.state === "completed");
                return <path key={`${key} ${spot.key}`} class={done ? "lit" : ""} d={`M${a} ${b}C${half} ${b} ${half} ${y2 + HEIGHT / 2} ${x2} ${y2 + HEIGHT / 2}`} />;
              }),
            )}
          </svg>
          <ul>
            {spots.map((spot) => {
              const [left, top] = place(spot);
              return (
                <li key={spot.key} style={{ left: `${left}px`, top: `${top}px` }}>
                  <Node spot={spot} here={props.here} open={() => setOpened(new Set([...opened, spot.key]))} />
                </li>
              );
            })}
          </ul>
        </div>
      </div>
      {outside || opened.size ? (
        <p class="row small muted body">
          {outside ? `${plural(outside, "edge leads", "edges lead")} to jobs that are not shown here.` : ""}
          {opened.size ? (
            <button type="button" class="button small" onClick={() => setOpened(new Set())}>
              Gather those that are alike
            </button>
          ) : null}
        </p>
      ) : null}
    </>
  );
}

function Node(props: { spot: Spot; here: string | undefined; open: () => void }): JSX.Element {
  const { jobs } = props.spot;
  const [job] = jobs;
  if (!job) return <></>;
  const tone = (state: string): string => TONES[state as State] ?? "";
  if (jobs.length === 1) {
    return (
      <a class={`spot ${tone(job.state)} ${job.id === props.here ? "here" : ""}`} href={href(at`/queues/${job.queue}/jobs/${job.id}`)} title={`${job.queue} ${job.name} ${job.id}`} aria-current={job.id === props.here || undefined}>
        <b>{job.label || job.name || job.id}</b>
        <span>{job.state}</span>
      </a>
    );
  }
  const states = new Map<string, number>();
  for (const each of jobs) states.set(each.state, (states.get(each.state) ?? 0) + 1);
  const told = [...states].map(([state, n]) => `${count(n)} ${state}`).join(", ");
  const worst = states.has("failed") ? "failed" : states.has("active") ? "active" : job.state;
  return (
    <button type="button" class={`spot many ${tone(worst)} ${jobs.some((each) => each.id === props.here) ? "here" : ""}`} title={`${told}. Show each`} onClick={props.open}>
      <b>
        {count(jobs.length)} × {job.name || job.label}
      </b>
      <span>{told}</span>
    </button>
  );
}
