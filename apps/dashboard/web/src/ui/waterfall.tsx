// The attempts of a job one below the other: how long each waited and ran, on one scale of time.

import type { JSX } from "preact";
import { duration, ms } from "../lib/format";
import { now } from "../lib/live";
import type { JobDetail } from "../lib/schema";
import { Empty, When } from "./parts";

interface Span {
  attempt: number;
  from: number;
  wait: number;
  run: number;
  look: "ran-good" | "ran-bad" | "running";
  told: string;
  at: string;
}

export function spans(job: JobDetail, instant: number): Span[] {
  const found: Span[] = job.history.map((each) => ({
    attempt: each.attempt,
    from: ms(each.started_at),
    wait: each.wait_ms,
    run: each.run_ms,
    look: "ran-bad",
    told: `${each.error_type ? `${each.error_type}: ` : ""}${each.error}`,
    at: each.started_at,
  }));
  if (job.processed_at && (job.state === "active" || job.state === "completed" || job.state === "cancelled")) {
    const from = ms(job.processed_at);
    if (!found.some((each) => each.from === from)) {
      const run = job.state === "active" ? Math.max(0, instant - from) : (job.run_ms ?? 0);
      found.push({
        attempt: job.history.length + 1,
        from,
        wait: job.wait_ms ?? 0,
        run,
        look: job.state === "active" ? "running" : job.state === "completed" ? "ran-good" : "ran-bad",
        told: job.state === "active" ? "runs" : job.state,
        at: job.processed_at,
      });
    }
  }
  return found;
}

export function Waterfall(props: { job: JobDetail }): JSX.Element {
  const found = spans(props.job, now.value);
  if (!found.length) {
    return (
      <Empty title="It has not run yet">
        <p>Each attempt is shown here, with how long it waited and ran.</p>
      </Empty>
    );
  }
  const start = Math.min(...found.map((each) => each.from - each.wait));
  const end = Math.max(...found.map((each) => each.from + each.run));
  const whole = Math.max(1, end - start);
  const part = (value: number): string => `${((value / whole) * 100).toFixed(3)}%`;
  return (
    <ol class="attempts">
      {found.map((each) => (
        <li key={each.attempt}>
          <span class="small">
            <strong>Attempt {each.attempt}</strong> <When at={each.at} />
          </span>
          <span class="track" role="img" aria-label={`waited ${duration(each.wait)}, ran ${duration(each.run)}`}>
            <span class="waited" style={{ left: part(each.from - each.wait - start), width: part(each.wait) }} />
            <span class={each.look} style={{ left: part(each.from - start), width: part(each.run) }} />
          </span>
          <span class="small muted">
            waited {duration(each.wait)}, ran {duration(each.run)}
          </span>
          <span class="told break">{each.told}</span>
        </li>
      ))}
    </ol>
  );
}
