// Who works: slots, what they serve, and the commands that they take.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { at, post } from "../lib/api";
import { ago, bytes, count, duration, ms, plural, progressOf, short } from "../lib/format";
import { now, overview } from "../lib/live";
import { useResource } from "../lib/resource";
import type { RunningRecord, ScaleRecord, WorkerRecord, WorkerStack } from "../lib/schema";
import { canOperate } from "../lib/session";
import { ask } from "../ui/ask";
import { Spark } from "../ui/chart";
import { act, open } from "../ui/dialog";
import { Code, Copy, Empty, Head, Link, Loaded, Panel, Tile, Trouble, When } from "../ui/parts";
import { Facts, Table } from "../ui/table";
import { NoWorker, Slots, WorkerState } from "../ui/worker";

/** A loop that comes so late is held up by something. */
const SLOW_MS = 500;

export function Workers(): JSX.Element {
  const told = overview.value;
  const workers = told?.workers ?? [];
  const versions = new Set(workers.filter((each) => !each.silent).map((each) => each.version));
  const scales = useResource<ScaleRecord[]>("/scales", undefined, 15_000);
  const silent = workers.filter((each) => each.silent).length;
  const sum = (of: "slots" | "running" | "processes" | "memory_bytes"): number => workers.filter((each) => !each.silent).reduce((total, each) => total + each[of], 0);
  return (
    <>
      <Head title="Workers" />
      <div class="tiles">
        <Tile name="Workers" figure={count(workers.length - silent)} note={silent ? `and ${count(silent)} silent` : "all heard of"} tone={silent ? "warn" : ""} />
        <Tile name="Running" figure={count(sum("running"))} note={`of ${plural(sum("slots"), "slot")}`} />
        <Tile name="Memory" figure={bytes(sum("memory_bytes"))} note={`of ${plural(sum("processes"), "process", "processes")}`} />
        <Tile name="Versions" figure={count(versions.size)} note={[...versions].slice(0, 3).join(", ")} tone={versions.size > 1 ? "warn" : ""} />
      </div>
      {scales.data?.length ? (
        <Panel title="Set by hand" flush>
          <ul class="list">
            {scales.data.map((each) => (
              <li key={each.queue}>
                <span class="main-part">
                  <Link to={at`/queues/${each.queue}`}>{each.queue}</Link>
                </span>
                <span>{plural(each.number, "child", "children")} of each worker</span>
              </li>
            ))}
          </ul>
        </Panel>
      ) : null}
      <Panel title="All" flush>
        {!told ? (
          <p class="empty fade">Loading…</p>
        ) : !workers.length ? (
          <NoWorker />
        ) : (
          <Table
            rows={workers}
            id={(each) => each.id}
            columns={[
              {
                name: "Worker",
                as: "!",
                cell: (each) => (
                  <>
                    <Link to={at`/workers/${each.id}`}>{each.id}</Link>
                    {each.id.startsWith(each.host) ? null : <span class="small muted">{each.host}</span>}
                  </>
                ),
              },
              { name: "State", cell: (each) => <WorkerState worker={each} /> },
              { name: "Slots", cell: (each) => <Slots of={each} /> },
              { name: "Memory", as: "#", cell: (each) => bytes(each.memory_bytes) },
              { name: "Lag", as: "#", cell: (each) => <span class={each.lag_ms >= SLOW_MS ? "bad" : ""}>{duration(each.lag_ms)}</span> },
              { name: "Type", cell: (each) => each.worker_type },
              { name: "Version", cell: (each) => each.version },
              { name: "Up", as: "#", cell: (each) => duration(Math.max(0, now.value - ms(each.started_at))) },
              {
                name: "Queues",
                as: "_",
                cell: (each) => `${each.queues.slice(0, 4).join(", ")}${each.queues.length > 4 ? ` and ${each.queues.length - 4} more` : ""}`,
              },
            ]}
          />
        )}
      </Panel>
    </>
  );
}


export function Worker(props: { id: string }): JSX.Element {
  const worker = overview.value?.workers.find((each) => each.id === props.id);
  const crumbs = <Link to="/workers">Workers</Link>;
  if (!worker) {
    return (
      <>
        <Head title={<span class="break">{props.id}</span>} crumbs={crumbs} />
        {overview.value ? (
          <Panel title="Gone" flush>
            <Empty title="Nothing was heard of this worker for 10 minutes">
              <p>It has ended, or its machine cannot reach the server.</p>
            </Empty>
          </Panel>
        ) : (
          <p class="empty fade">Loading…</p>
        )}
      </>
    );
  }
  const path = at`/workers/${worker.id}`;
  return (
    <>
      <Head title={<span class="break">{worker.id}</span>} crumbs={crumbs}>
        <WorkerState worker={worker} />
        {canOperate.value ? (
          <div class="actions">
            {worker.state === "running" ? (
              <button type="button" class="button" onClick={() => void act(() => post(`${path}/quiet`), "It takes no more jobs")}>
                Quiet
              </button>
            ) : (
              <button type="button" class="button primary" onClick={() => void act(() => post(`${path}/resume`), "It takes jobs again")}>
                Resume
              </button>
            )}
            <button type="button" class="button" onClick={() => concurrency(worker)}>
              Concurrency…
            </button>
            <button type="button" class="button" onClick={() => open(`Stacks of ${worker.id}`, (close) => <Stacks path={path} close={close} />, true)}>
              Stacks
            </button>
            <button type="button" class="button danger" onClick={() => stop(worker)}>
              Stop…
            </button>
          </div>
        ) : null}
      </Head>
      <div class="tiles">
        <Tile name="Running" to="/jobs?q=state%3Aactive" figure={count(worker.running)} note={`of ${plural(worker.slots, "slot")}`} />
        <Tile name="Processes" figure={count(worker.processes)} note="that run handlers" />
        <Tile
          name="Memory"
          figure={bytes(worker.memory_bytes)}
          note={
            <>
              {worker.cpu.toFixed(2)} cores
              <Spark values={worker.memory_peaks} label={`at most ${bytes(Math.max(0, ...worker.memory_peaks) * 2 ** 20)} in the last hour`} />
            </>
          }
        />
        <Tile name="Lag" figure={duration(worker.lag_ms)} note="of its slowest loop" tone={worker.lag_ms >= SLOW_MS ? "warn" : ""} />
        <Tile name="Up" figure={short(Math.max(0, now.value - ms(worker.started_at)))} note={<When at={worker.started_at} />} />
        <Tile name="Heard of" figure={ago(worker.seen_at, now.value)} note="told every few seconds" tone={worker.silent ? "bad" : ""} />
      </div>
      <Running path={path} />
      <div class="halves">
        <Panel title="Facts">
          <Facts
            of={[
              ["Host", worker.host],
              ["Process", worker.pid],
              ["Version", worker.version],
              ["Type", worker.worker_type],
              ["HTTP", worker.http || "none"],
            ]}
          />
        </Panel>
        <Panel title="Queues" flush>
          <ul class="list">
            {worker.queues.map((each) => (
              <li key={each}>
                <Link to={at`/queues/${each}`}>{each}</Link>
              </li>
            ))}
          </ul>
        </Panel>
      </div>
      <Panel title="Jobs that it knows" flush>
        {worker.jobs.length ? <Code label="Jobs">{worker.jobs.join("\n")}</Code> : <Empty title="It told of none" />}
      </Panel>
    </>
  );
}


function Running(props: { path: string }): JSX.Element {
  const found = useResource<RunningRecord[]>(`${props.path}/running`, undefined, 2000);
  return (
    <Panel title="Running" flush>
      <Loaded of={found}>
        {(jobs) =>
          jobs.length ? (
            <Table
              rows={jobs}
              id={(each) => `${each.queue} ${each.id}`}
              columns={[
                { name: "Job", as: "!", cell: (each) => <Link to={at`/queues/${each.queue}/jobs/${each.id}`}>{each.id}</Link> },
                { name: "Name", cell: (each) => each.name },
                { name: "Queue", cell: (each) => each.queue },
                { name: "Progress", as: "#", cell: (each) => (each.progress === null ? "" : progressOf(each.progress)[1]) },
                { name: "Since", as: "#", cell: (each) => <When at={each.started_at} relative /> },
              ]}
            />
          ) : (
            <Empty title="It runs no job" />
          )
        }
      </Loaded>
    </Panel>
  );
}

const concurrency = (worker: WorkerRecord): void =>
  ask(`Concurrency of ${worker.id}`, {
    verb: "Set",
    fields: [
      { name: "queue", label: "Queue", as: "choice", value: worker.queues[0] ?? "", choices: worker.queues },
      { name: "number", label: "Jobs at once in each of its processes", as: "number", min: 1, max: 10_000, required: true, value: "5", hint: "Until the worker ends." },
    ],
    run: async ({ queue, number, reason }) => {
      await post(at`/workers/${worker.id}/concurrency`, { queue, number: Number(number), reason });
      return `${queue}: ${number} at once`;
    },
  });

const stop = (worker: WorkerRecord): void =>
  ask(`Stop ${worker.id}`, {
    verb: "Stop it",
    danger: true,
    text: "It takes no more jobs, finishes those that run within its grace, and ends. Whether it is started again is up to what started it.",
    run: async ({ reason }) => {
      await post(at`/workers/${worker.id}/stop`, { reason });
      return "It finishes what runs, and ends";
    },
  });

function Stacks(props: { path: string; close: () => void }): JSX.Element {
  const [found, setFound] = useState<WorkerStack[] | null>(null);
  const [error, setError] = useState<unknown>(null);
  const look = (): void => {
    setError(null);
    post<WorkerStack[]>(`${props.path}/stacks`).then(setFound, setError);
  };
  const text = (found ?? []).map((each) => `process ${each.pid}\n${each.stack}`).join("\n\n");
  return (
    <>
      <p>What every thread of its processes is doing, at this instant.</p>
      {error ? <Trouble error={error} again={look} /> : null}
      {found ? <Code label="Stacks">{text || "It runs no process."}</Code> : null}
      <div class="buttons">
        {found ? <Copy text={text} label="Copy" class="button" /> : null}
        <button type="button" class="button" onClick={look}>
          {found ? "Look again" : "Look"}
        </button>
        <button type="button" class="button primary" onClick={props.close}>
          Close
        </button>
      </div>
    </>
  );
}
