// What a queue does, in numbers.

import type { JSX } from "preact";
import { at } from "../../lib/api";
import { count, duration, percent, plural, rate } from "../../lib/format";
import { isLate, works } from "../../lib/health";
import { useResource } from "../../lib/resource";
import type { MetricsRecord, MinuteRecord, QueueLive } from "../../lib/schema";
import { PRIORITIES } from "../../lib/terms";
import { minuteAt } from "../../ui/minutes";
import { Empty, Loaded, Tile } from "../../ui/parts";
import { Table } from "../../ui/table";

export function Figures(props: { queue: QueueLive; metrics: MetricsRecord | undefined; series: MinuteRecord[] | undefined }): JSX.Element {
  const { queue, metrics } = props;
  const minute = minuteAt(props.series);
  const jobs = (state: string): string => `/jobs?queue=${encodeURIComponent(queue.queue)}&q=state%3A${state}`;
  return (
    <div class="tiles">
      <Tile
        name="Waiting"
        figure={count(queue.waiting)}
        note={queue.waiting && works(queue) ? `oldest ${duration(queue.oldest_waiting_ms)}` : ""}
        to={jobs("waiting")}
        tone={isLate(queue) ? "warn" : ""}
      />
      <Tile name="Running" figure={count(queue.active)} note={metrics ? `at most ${count(metrics.peak_concurrency)} so far` : ""} to={jobs("active")} />
      <Tile
        name="Delayed"
        figure={count(queue.delayed)}
        note={queue.blocked ? `${count(queue.blocked)} blocked` : "due later"}
        to={jobs("delayed")}
      />
      {minute ? (
        <>
          <Tile name="Completed" figure={count(minute.completed)} note="in this minute" />
          <Tile name="Failed" figure={count(minute.failed)} note={`${count(minute.retried)} retried`} tone={minute.failed ? "bad" : ""} />
          <Tile name="Run, average" figure={duration(minute.avg_processing_ms)} note={`waited ${duration(minute.avg_wait_ms)}`} />
        </>
      ) : (
        <>
          <Tile
            name="Completed"
            figure={rate(queue.completed_per_s ?? null)}
            note={`${count(queue.completed)} in all`}
            to={jobs("completed")}
          />
          <Tile
            name="Failed, kept"
            figure={count(queue.retained_failed)}
            note={`${count(queue.failed)} in all`}
            to={jobs("failed")}
            tone={queue.retained_failed ? "bad" : ""}
          />
          <Tile name="Success" figure={percent(metrics?.success_rate ?? null)} note={metrics ? plural(metrics.total_retried, "retry", "retries") : ""} />
        </>
      )}
    </div>
  );
}

export function Percentiles(props: { metrics: MetricsRecord }): JSX.Element {
  const { metrics } = props;
  const rows = [
    ["Run", metrics.avg_processing_ms, metrics.run_p50_ms, metrics.run_p95_ms, metrics.run_p99_ms],
    ["Wait", metrics.avg_wait_ms, metrics.wait_p50_ms, metrics.wait_p95_ms, metrics.wait_p99_ms],
  ] as const;
  const errors = Object.entries(metrics.errors).sort((a, b) => b[1] - a[1]);
  return (
    <>
      <Table<readonly [string, ...(number | null)[]]>
        rows={[...rows]}
        id={(each) => each[0]}
        columns={["Time", "Average", "50 %", "95 %", "99 %"].map((name, i) => ({
          name,
          as: i ? "#" : "!",
          cell: (each) => (i ? duration(each[i] as number | null) : each[0]),
        }))}
      />
      {errors.length ? (
        <p class="small muted body">
          Attempts that failed: {errors.slice(0, 6).map(([type, n]) => `${type} ${count(n)}`).join(", ")}
          {errors.length > 6 ? " and others" : ""}
        </p>
      ) : null}
    </>
  );
}

/** The waiting jobs by priority, of those that one look takes in. */
export function Priorities(props: { name: string; waiting: number }): JSX.Element {
  const page = useResource<{ jobs: { priority: string }[]; cursor: string | null }>(
    at`/queues/${props.name}/jobs`,
    { state: "waiting", limit: 500 },
    10_000,
  );
  return (
    <Loaded of={page}>
      {(data) => {
        const counts = PRIORITIES.map((each) => data.jobs.filter((job) => job.priority === each).length);
        const most = Math.max(1, ...counts);
        return data.jobs.length ? (
          <div class="bars">
            {PRIORITIES.map((each, i) => (
              <div key={each}>
                <span>{each}</span>
                <progress class="meter" max={most} value={counts[i] ?? 0} aria-label={`${counts[i]} jobs of priority ${each}`} />
                <span class="right">{count(counts[i] ?? 0)}</span>
              </div>
            ))}
            {data.cursor ? <p class="hint">Of the 500 jobs that come first.</p> : null}
          </div>
        ) : (
          <Empty title="Nothing waits">
            <p>Of what waits, bars show how much has which priority.</p>
          </Empty>
        );
      }}
    </Loaded>
  );
}

