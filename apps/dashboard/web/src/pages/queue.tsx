// One queue: depth, age, throughput, times, limits, what is wrong, and everything that can be done to it.

import { useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import { at, post, put } from "../lib/api";
import { count, duration, percent, plural, rate } from "../lib/format";
import { isLate, works } from "../lib/health";
import { overview, queueNamed } from "../lib/live";
import { useResource } from "../lib/resource";
import type { Finding, HistoryPage, LimitRecord, MetricsRecord, MinuteRecord, QueueLive, QueueRecord, RateLimit } from "../lib/schema";
import { canOperate, isAdmin } from "../lib/session";
import { openBulk } from "../ui/bulk";
import { Form, Reason, act, open } from "../ui/dialog";
import { Findings } from "../ui/findings";
import { Icon } from "../ui/icons";
import { Durations, Minutes, Scrubber, minuteAt } from "../ui/minutes";
import { Badge, Empty, Head, Link, Loaded, Panel, StateBadge, Tile, Trouble, When } from "../ui/parts";
import { Table } from "../ui/table";

const RANGES = [
  [60, "1 h"],
  [360, "6 h"],
  [1440, "24 h"],
] as const;

export function QueuePage(props: { name: string }): JSX.Element {
  const { name } = props;
  const [minutes, setMinutes] = useState(60);
  const live = queueNamed(name);
  const queue = useResource<QueueRecord>(at`/queues/${name}`, undefined, 5000);
  const metrics = useResource<MetricsRecord>(at`/queues/${name}/metrics`, undefined, 10_000);
  const series = useResource<MinuteRecord[]>(at`/queues/${name}/series`, { minutes }, 15_000);
  const findings = useResource<Finding[]>(at`/queues/${name}/doctor`, undefined, 15_000);
  const history = useResource<HistoryPage>(at`/queues/${name}/history`, { limit: 15 }, 5000);
  const shown = live ?? (queue.data as QueueLive | undefined);
  const crumbs = <Link to="/queues">Queues</Link>;
  if (!shown) {
    return (
      <>
        <Head title={name} crumbs={crumbs} />
        {queue.error ? <Trouble error={queue.error} again={queue.again} /> : null}
      </>
    );
  }
  return (
    <>
      <Head title={name} crumbs={crumbs}>
        {shown.paused ? <Badge tone="warn">paused</Badge> : isLate(shown) ? <Badge tone="bad">late</Badge> : null}
        <Actions queue={shown} again={queue.again} />
      </Head>
      {shown.paused ? (
        <div class="verdict warn" role="status">
          <strong>
            <Icon name="pause" />
            Paused
          </strong>
          <span class="break">
            <When at={shown.paused_at} /> {shown.paused_by ? `by ${shown.paused_by}` : ""}
            {shown.pause_reason ? `: ${shown.pause_reason}` : ""}
            {shown.paused_until ? (
              <>
                , until <When at={shown.paused_until} />
              </>
            ) : (
              ", until it is resumed"
            )}
          </span>
        </div>
      ) : null}
      {queue.data?.paused_parts?.length ? <Parts name={name} queue={queue.data} again={queue.again} /> : null}
      <Scrubber series={series.data} />
      <Figures queue={shown} metrics={metrics.data} series={series.data} />
      <div class="halves">
        <Panel title="Jobs a minute" actions={<Range minutes={minutes} set={setMinutes} />}>
          <Loaded of={series}>{(data) => <Minutes data={data} />}</Loaded>
        </Panel>
        <Panel title="Average wait and run">
          <Loaded of={series}>{(data) => <Durations data={data} />}</Loaded>
        </Panel>
        <Panel title="Wait and run, percentiles" flush>
          <Loaded of={metrics}>{(data) => <Percentiles metrics={data} />}</Loaded>
        </Panel>
        <Panel title="By priority">
          <Priorities name={name} waiting={shown.waiting} />
        </Panel>
        <Panel title="Limits" flush>
          <Limits name={name} />
        </Panel>
        <Panel title="What the doctor says" flush>
          <Loaded of={findings}>{(data) => <Findings of={data} />}</Loaded>
        </Panel>
      </div>
      <WhatIf queue={shown} metrics={metrics.data} />
      <Panel title="Ended last" actions={<Link to={`/jobs?queue=${encodeURIComponent(name)}`}>All jobs</Link>} flush>
        <Loaded of={history}>{(data) => <History page={data} />}</Loaded>
      </Panel>
    </>
  );
}

const Range = (props: { minutes: number; set: (minutes: number) => void }): JSX.Element => (
  <div class="segments" role="group" aria-label="How far back">
    {RANGES.map(([minutes, name]) => (
      <button key={name} type="button" class="button small" aria-pressed={props.minutes === minutes} onClick={() => props.set(minutes)}>
        {name}
      </button>
    ))}
  </div>
);

function Actions(props: { queue: QueueLive; again: () => void }): JSX.Element | null {
  const { queue, again } = props;
  const name = queue.queue;
  if (!canOperate.value) return null;
  return (
    <div class="actions">
      {queue.paused ? (
        <button type="button" class="button primary" onClick={() => void act(() => post(at`/queues/${name}/resume`), `${name} goes on`).then(again)}>
          <Icon name="play" />
          Resume
        </button>
      ) : (
        <button type="button" class="button" onClick={() => openPause(name, again)}>
          <Icon name="pause" />
          Pause
        </button>
      )}
      <button
        type="button"
        class="button"
        disabled={!queue.retained_failed}
        onClick={() =>
          openBulk({
            title: `Retry what failed in ${name}`,
            verb: "Retry",
            path: at`/queues/${name}/retry-failed`,
            body: {},
            done: again,
          })
        }
      >
        Retry failed
      </button>
      <button type="button" class="button" onClick={() => openClean(name, again)}>
        Clean
      </button>
      <button type="button" class="button danger" onClick={() => openDrain(name, again)}>
        Drain
      </button>
      {isAdmin.value ? (
        <button type="button" class="button danger" onClick={() => openObliterate(name, again)}>
          Obliterate
        </button>
      ) : null}
    </div>
  );
}

function openPause(name: string, again: () => void): void {
  open(`Pause ${name}`, (close) => <Pause name={name} close={close} again={again} />);
}

function Pause(props: { name: string; close: () => void; again: () => void }): JSX.Element {
  const [reason, setReason] = useState("");
  const [minutes, setMinutes] = useState("");
  const [job, setJob] = useState("");
  return (
    <Form
      verb="Pause"
      close={props.close}
      submit={async () => {
        const for_ms = minutes ? Math.round(Number(minutes) * 60_000) : null;
        await post(at`/queues/${props.name}/pause`, { reason, for_ms, job: job.trim() || null });
        props.again();
        return `${job.trim() || props.name} is paused`;
      }}
    >
      <p>Workers take no more of its jobs. Those that run go on.</p>
      <label class="field">
        <span>For how many minutes</span>
        <input type="number" min={0.1} step="any" value={minutes} onInput={(event) => setMinutes(event.currentTarget.value)} />
        <span class="hint">Empty: until it is resumed.</span>
      </label>
      <label class="field">
        <span>Only jobs of the name</span>
        <input type="text" maxLength={64} value={job} onInput={(event) => setJob(event.currentTarget.value)} />
        <span class="hint">Empty: the whole queue.</span>
      </label>
      <Reason value={reason} onInput={setReason} />
    </Form>
  );
}

const openDrain = (name: string, done: () => void): void =>
  openBulk({
    title: `Drain ${name}`,
    verb: "Remove them",
    danger: true,
    path: at`/queues/${name}/drain`,
    body: { delayed: false },
    done,
    choices: (change, body) => (
      <>
        <p>Jobs that wait are removed for good. One that runs is never touched.</p>
        <label class="check">
          <input type="checkbox" checked={body.delayed === true} onChange={(event) => change({ delayed: event.currentTarget.checked })} />
          Also those that are not yet due
        </label>
      </>
    ),
  });

const ENDED = ["completed", "failed", "cancelled", "expired"] as const;

const openClean = (name: string, done: () => void): void =>
  openBulk({
    title: `Clean ${name}`,
    verb: "Remove them",
    danger: true,
    path: at`/queues/${name}/clean`,
    body: { state: ["completed"], older_than_ms: 3_600_000 },
    done,
    choices: (change, body) => {
      const chosen = body.state as string[];
      return (
        <>
          <fieldset class="row plain">
            <legend class="label">Jobs that</legend>
            {ENDED.map((each) => (
              <label key={each} class="check">
                <input
                  type="checkbox"
                  checked={chosen.includes(each)}
                  disabled={chosen.length === 1 && chosen[0] === each}
                  onChange={(event) =>
                    change({ state: event.currentTarget.checked ? [...chosen, each] : chosen.filter((other) => other !== each) })
                  }
                />
                {each}
              </label>
            ))}
          </fieldset>
          <label class="field">
            <span>Ended at least so many hours ago</span>
            <input
              type="number"
              min={0}
              step="any"
              value={Number(body.older_than_ms) / 3_600_000}
              onInput={(event) => change({ older_than_ms: Math.max(0, Math.round(Number(event.currentTarget.value) * 3_600_000)) })}
            />
          </label>
        </>
      );
    },
  });

const openObliterate = (name: string, done: () => void): void =>
  openBulk({
    title: `Obliterate ${name}`,
    verb: "Obliterate",
    danger: true,
    path: at`/queues/${name}/obliterate`,
    body: { confirm: "", force: false },
    done,
    blocked: (body) => body.confirm !== name,
    choices: (change, body) => (
      <>
        <p>Everything that the queue has is taken away: jobs of all states, totals, remembered ids. There is no way back.</p>
        <label class="check">
          <input type="checkbox" checked={body.force === true} onChange={(event) => change({ force: event.currentTarget.checked })} />
          Also while jobs run: they are cancelled
        </label>
        <label class="field">
          <span>
            Type <code>{name}</code>
          </span>
          <input type="text" autocomplete="off" value={String(body.confirm)} onInput={(event) => change({ confirm: event.currentTarget.value })} />
        </label>
      </>
    ),
  });

function Parts(props: { name: string; queue: QueueRecord; again: () => void }): JSX.Element {
  return (
    <Panel title="Paused parts" flush>
      <ul class="list">
        {props.queue.paused_parts?.map((each) => (
          <li key={`${each.scope} ${each.name}`}>
            <span class="main-part">
              {each.scope} <strong class="break">{each.name}</strong>
              <span class="clip small muted">
                {each.paused_by} {each.pause_reason}
              </span>
            </span>
            {canOperate.value ? (
              <button
                type="button"
                class="button small"
                onClick={() =>
                  void act(() => post(at`/queues/${props.name}/resume`, { [each.scope]: each.name }), `${each.name} goes on`).then(props.again)
                }
              >
                Resume
              </button>
            ) : null}
          </li>
        ))}
      </ul>
    </Panel>
  );
}

function Figures(props: { queue: QueueLive; metrics: MetricsRecord | undefined; series: MinuteRecord[] | undefined }): JSX.Element {
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

function Percentiles(props: { metrics: MetricsRecord }): JSX.Element {
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
        columns={["Of all attempts", "Average", "50 %", "95 %", "99 %"].map((name, i) => ({
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

const PRIORITIES = ["critical", "high", "normal", "low", "background"] as const;

/** The waiting jobs by priority, of those that one look takes in. */
function Priorities(props: { name: string; waiting: number }): JSX.Element {
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

const LIMITS: Record<LimitRecord["limit"], string> = {
  max_active: "Jobs at once",
  rate_limit: "Starts",
  key_concurrency: "Jobs at once, by key",
  key_rate: "Starts, by key",
};
const showLimit = (value: number | RateLimit | null): string =>
  value === null ? "no limit" : typeof value === "number" ? count(value) : `${count(value.max)} in ${typeof value.per === "number" ? duration(value.per * 1000) : value.per}${value.burst ? `, ${count(value.burst)} at once` : ""}`;

function Limits(props: { name: string }): JSX.Element {
  const limits = useResource<LimitRecord[]>(at`/queues/${props.name}/limits`);
  return (
    <Loaded of={limits}>
      {(data) => (
        <ul class="list">
          {data.map((each) => (
            <li key={each.limit}>
              <span class="main-part">
                {LIMITS[each.limit]}
                <span class="clip small muted">code says {showLimit(each.declared)}</span>
              </span>
              <strong>{each.lifted ? "no limit" : showLimit(each.live ?? each.declared)}</strong>
              {each.live !== null || each.lifted ? <Badge tone="accent">set live</Badge> : null}
              {isAdmin.value ? (
                <button
                  type="button"
                  class="button small"
                  aria-label={`Change: ${LIMITS[each.limit]}`}
                  onClick={() =>
                    open(`${LIMITS[each.limit]} of ${props.name}`, (close) => (
                      <LimitForm name={props.name} limit={each} close={close} again={limits.again} />
                    ))
                  }
                >
                  Change
                </button>
              ) : null}
            </li>
          ))}
        </ul>
      )}
    </Loaded>
  );
}

function LimitForm(props: { name: string; limit: LimitRecord; close: () => void; again: () => void }): JSX.Element {
  const { limit } = props;
  const rated = limit.limit === "rate_limit" || limit.limit === "key_rate";
  const now = limit.live ?? limit.declared;
  const [how, setHow] = useState<"value" | "none" | "declared">("value");
  const [most, setMost] = useState(String(typeof now === "number" ? now : (now?.max ?? 10)));
  const [seconds, setSeconds] = useState(String(typeof now === "object" && now && typeof now.per === "number" ? now.per : 1));
  const [reason, setReason] = useState("");
  return (
    <Form
      verb="Set"
      close={props.close}
      submit={async () => {
        const value = rated ? { max: Number(most), per_ms: Math.round(Number(seconds) * 1000) } : Number(most);
        await put(at`/queues/${props.name}/limits`, {
          [limit.limit]: how === "value" ? value : how === "none" ? null : "declared",
          reason,
        });
        props.again();
        return "The limit holds from now on";
      }}
    >
      <div class="row">
        {(["value", "none", "declared"] as const).map((each) => (
          <label key={each} class="check">
            <input type="radio" name="how" checked={how === each} onChange={() => setHow(each)} />
            {each === "value" ? "A limit" : each === "none" ? "No limit" : `As code says: ${showLimit(limit.declared)}`}
          </label>
        ))}
      </div>
      {how === "value" ? (
        <div class="halves">
          <label class="field">
            <span>At most</span>
            <input type="number" min={1} required value={most} onInput={(event) => setMost(event.currentTarget.value)} />
          </label>
          {rated ? (
            <label class="field">
              <span>In so many seconds</span>
              <input type="number" min={0.001} step="any" required value={seconds} onInput={(event) => setSeconds(event.currentTarget.value)} />
            </label>
          ) : null}
        </div>
      ) : null}
      <Reason value={reason} onInput={setReason} />
    </Form>
  );
}

/** Little's law: what runs at once is arrivals times how long one takes. */
function WhatIf(props: { queue: QueueLive; metrics: MetricsRecord | undefined }): JSX.Element | null {
  const { queue, metrics } = props;
  const [within, setWithin] = useState("5");
  const served = useMemo(
    () => (overview.value?.workers ?? []).filter((each) => !each.silent && each.queues.includes(queue.queue)),
    [overview.value, queue.queue],
  );
  const run = metrics?.avg_processing_ms ?? null;
  if (run === null || !works(queue)) return null;
  const arriving = queue.added_per_s ?? 0;
  const seconds = Math.max(1, Number(within) * 60 || 1);
  const need = (arriving + queue.waiting / seconds) * (run / 1000);
  const slots = served.reduce((total, each) => total + each.slots, 0);
  const each = served.length ? slots / served.length : 0;
  return (
    <Panel title="What if">
      <p class="row">
        <label class="row">
          To work off what waits within
          <input class="short" type="number" min={1} value={within} onInput={(event) => setWithin(event.currentTarget.value)} />
          minutes
        </label>
        <span>
          this queue needs <strong>{need < 0.05 ? "less than 0.1" : need.toFixed(1)}</strong> slots: {rate(arriving)} come, one runs {duration(run)}
          {each ? `. The ${plural(served.length, "worker")} that serve it have ${plural(slots, "slot")}; ${plural(Math.max(1, Math.ceil(need / each)), "worker")} would do.` : "."}
        </span>
      </p>
    </Panel>
  );
}

export function History(props: { page: HistoryPage }): JSX.Element {
  const { rows } = props.page;
  if (!rows.length) {
    return (
      <Empty title="No job has ended yet">
        <p>The last 10,000 that ended are listed, also those that are not kept.</p>
      </Empty>
    );
  }
  return (
    <Table
      rows={rows}
      id={(each) => `${each.id} ${each.finished_at}`}
      columns={[
        {
          name: "Job",
          as: "!",
          cell: (each) => (
            <>
              <Link to={at`/queues/${each.queue}/jobs/${each.id}`}>{each.id}</Link>
              <span class="small muted"> {each.name}</span>
            </>
          ),
        },
        { name: "Outcome", cell: (each) => <StateBadge state={each.outcome} /> },
        { name: "Ended", cell: (each) => <When at={each.finished_at} /> },
        { name: "Waited", as: "#", cell: (each) => duration(each.wait_ms) },
        { name: "Ran", as: "#", cell: (each) => duration(each.run_ms) },
        { name: "Attempts", as: "#", cell: (each) => each.attempts_made },
        { name: "Error", as: "_", cell: (each) => each.error },
      ]}
    />
  );
}
