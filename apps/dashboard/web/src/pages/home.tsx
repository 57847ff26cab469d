// Four questions without scrolling: is it healthy, what is late, what fails, who works.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { at } from "../lib/api";
import { count, duration, exact, percent, plural, rate } from "../lib/format";
import { isLate, paused, troubles, works } from "../lib/health";
import { connection, overview } from "../lib/live";
import { useResource } from "../lib/resource";
import type { AlertRecord, ErrorGroups, MinuteRecord, Overview } from "../lib/schema";
import { Minutes, Scrubber, minuteAt } from "../ui/minutes";
import { Trend } from "../ui/chart";
import { Icon } from "../ui/icons";
import { Badge, Empty, Link, Loaded, Panel, Tile, When } from "../ui/parts";
import { NoWorker, Slots, WorkerState } from "../ui/worker";

const SHOWN = 4;

export function Home(): JSX.Element {
  const told = overview.value;
  const series = useResource<MinuteRecord[]>("/series", { minutes: 60 }, 15_000);
  const errors = useResource<ErrorGroups>("/errors", { minutes: 60 }, 15_000);
  const alerts = useResource<AlertRecord[]>("/alerts", { active: true }, 15_000);
  return (
    <>
      <h1 class="hidden-visually" tabIndex={-1}>
        Home
      </h1>
      <Verdict told={told} alerts={alerts.data} />
      <Scrubber series={series.data} />
      <Figures told={told} series={series.data} />
      <div class="halves">
        <Panel title="Late" actions={<Link to="/queues">All queues</Link>} flush>
          <Late told={told} />
        </Panel>
        <Panel title="Failing, last hour" actions={<Link to="/jobs?q=state%3Afailed">Failed jobs</Link>} flush>
          <Loaded of={errors}>{(found) => <Failing found={found} />}</Loaded>
        </Panel>
        <Panel title="Working" actions={<Link to="/workers">All workers</Link>} flush>
          <Working told={told} />
        </Panel>
        <Panel title="Jobs a minute, last hour">
          <Loaded of={series}>{(data) => <Minutes data={data} low />}</Loaded>
        </Panel>
      </div>
    </>
  );
}

function Verdict(props: { told: Overview | null; alerts: AlertRecord[] | undefined }): JSX.Element {
  const { told } = props;
  const [all, setAll] = useState(false);
  if (!told) {
    return (
      <div class="verdict unknown" role="status">
        <strong>{connection.value === "lost" ? "The dashboard does not answer" : "Looking…"}</strong>
      </div>
    );
  }
  const found = troubles(told, props.alerts);
  const worst = found.some((each) => each.bad) ? "bad" : found.length ? "warn" : "good";
  return (
    <div class={`verdict ${worst}`} role="status">
      <strong>
        <Icon name={found.length ? "letters" : "check"} />
        {found.length ? plural(found.length, "thing needs a look", "things need a look") : "Healthy"}
      </strong>
      {found.length ? (
        <ul>
          {found.slice(0, all ? undefined : 3).map((each) => (
            <li key={each.text}>
              <Link to={each.to}>{each.text}</Link>
            </li>
          ))}
          {found.length > 3 && !all ? (
            <li>
              <button type="button" class="sort" onClick={() => setAll(true)}>
                and {found.length - 3} more
              </button>
            </li>
          ) : null}
        </ul>
      ) : (
        <span>Nothing is late, every queue that has work is served.</span>
      )}
    </div>
  );
}

function Figures(props: { told: Overview | null; series: MinuteRecord[] | undefined }): JSX.Element {
  const queues = props.told?.queues ?? [];
  const workers = (props.told?.workers ?? []).filter((each) => !each.silent);
  const sum = (of: (each: (typeof queues)[number]) => number | null): number =>
    queues.reduce((total, each) => total + (of(each) ?? 0), 0);
  const speed = (of: (each: (typeof queues)[number]) => number | null): string =>
    rate(queues.some((each) => of(each) !== null) ? sum(of) : null);
  const oldest = Math.max(0, ...queues.filter(works).map((each) => each.oldest_waiting_ms ?? 0));
  const slots = workers.reduce((total, each) => total + each.slots, 0);
  const minute = minuteAt(props.series);
  const total = (of: "completed" | "failed"): number => (props.series ?? []).reduce((all, each) => all + each[of], 0);
  const [completed, failed] = [total("completed"), total("failed")];
  const ended = completed + failed;
  const dash = props.told ? undefined : "–";
  const waiting = queues.filter(works).reduce((total, each) => total + each.waiting, 0);
  return (
    <div class="tiles">
      <Tile
        name="Waiting"
        to="/queues"
        figure={dash ?? count(waiting)}
        note={oldest ? `oldest ${duration(oldest)}` : "nothing waits"}
        tone={queues.some(isLate) ? "warn" : ""}
      />
      <Tile name="Running" to="/workers" figure={dash ?? count(sum((each) => each.active))} note={`of ${plural(slots, "slot")}`} />
      <Tile name="Delayed" to="/jobs?q=state%3Adelayed" figure={dash ?? count(sum((each) => each.delayed))} note="due later" />
      {minute ? (
        <>
          <Tile name="Completed" figure={count(minute.completed)} note="in this minute" />
          <Tile name="Failed" figure={count(minute.failed)} note="in this minute" tone={minute.failed ? "bad" : ""} />
          <Tile name="Run, average" figure={duration(minute.avg_processing_ms)} note={`waited ${duration(minute.avg_wait_ms)}`} />
        </>
      ) : (
        <>
          <Tile name="Completed" figure={dash ?? speed((each) => each.completed_per_s)} note={`${count(completed)} last hour`} />
          <Tile
            name="Failed"
            figure={dash ?? speed((each) => each.failed_per_s)}
            note={`${count(failed)} last hour`}
            tone={failed ? "bad" : ""}
          />
          <Tile name="Success" figure={ended ? percent(completed / ended) : "–"} note="last hour" />
        </>
      )}
    </div>
  );
}

function Late(props: { told: Overview | null }): JSX.Element {
  if (!props.told) return <p class="empty fade">Loading…</p>;
  const queues = props.told.queues
    .filter((each) => works(each) && each.waiting > 0)
    .sort((a, b) => (b.oldest_waiting_ms ?? 0) - (a.oldest_waiting_ms ?? 0));
  if (!props.told.queues.length) {
    return (
      <Empty title="No queue has been used yet">
        <p>Enqueue a job, or start a worker, and it shows here:</p>
        <pre>jobsctl enqueue email send-email …</pre>
      </Empty>
    );
  }
  if (!queues.length) {
    return (
      <Empty title="Nothing waits">
        <p>Every job that may run has been taken.</p>
      </Empty>
    );
  }
  return (
    <ul class="list">
      {queues.slice(0, SHOWN + 1).map((each) => (
        <li key={each.queue}>
          <span class="main-part">
            <Link class="clip" to={at`/queues/${each.queue}`}>
              {each.queue}
            </Link>
          </span>
          <span class="muted">
            {plural(each.waiting, "waits", "wait")}
            {each.pauses ? `, oldest ${duration(each.oldest_waiting_ms)}` : ""}
          </span>
          {paused(each) ? (
            <Badge tone="warn">{paused(each)}</Badge>
          ) : (
            <Badge tone={isLate(each) ? "bad" : ""}>{duration(each.oldest_waiting_ms)}</Badge>
          )}
        </li>
      ))}
    </ul>
  );
}

function Failing(props: { found: ErrorGroups }): JSX.Element {
  const { groups, complete } = props.found;
  if (!groups.length) {
    return (
      <Empty title="Nothing failed in the last hour">
        <p>Errors are grouped here by their type and the place that raised them.</p>
      </Empty>
    );
  }
  return (
    <>
      <ul class="list">
        {groups.slice(0, SHOWN).map((each) => (
          <li key={each.error}>
            <span class="main-part">
              <Link
                class="clip"
                to={at`/queues/${each.last_queue}/jobs/${each.last_id}`}
                title={`${each.error}: first ${exact(each.first_at)}, last ${exact(each.last_at)}`}
              >
                {each.error || "without a reason"}
              </Link>
              <span class="clip small muted">
                {each.queues.join(", ")} · first <When at={each.first_at} relative />, last <When at={each.last_at} relative />
              </span>
            </span>
            <span class="wide-only">
              <Trend counts={each.trend} label={`${plural(each.count, "failure")} over the hour`} />
            </span>
            <Badge tone="bad">{count(each.count)}</Badge>
          </li>
        ))}
      </ul>
      {groups.length > SHOWN || !complete ? (
        <p class="small muted body">
          {groups.length > SHOWN ? `${plural(groups.length - SHOWN, "more kind of error", "more kinds of errors")}. ` : ""}
          {complete ? "" : `There are more failures than the ${count(props.found.looked_at)} looked at.`}
        </p>
      ) : null}
    </>
  );
}

function Working(props: { told: Overview | null }): JSX.Element {
  if (!props.told) return <p class="empty fade">Loading…</p>;
  const workers = [...props.told.workers].sort((a, b) => Number(a.silent) - Number(b.silent) || b.running - a.running);
  if (!workers.length) return <NoWorker />;
  return (
    <ul class="list">
      {workers.slice(0, SHOWN).map((each) => (
        <li key={each.id}>
          <span class="main-part">
            <Link class="clip" to={at`/workers/${each.id}`}>
              {each.id}
            </Link>
            <span class="clip small muted">
              {each.worker_type}, version {each.version}
            </span>
          </span>
          <Slots of={each} />
          <WorkerState worker={each} />
        </li>
      ))}
    </ul>
  );
}

