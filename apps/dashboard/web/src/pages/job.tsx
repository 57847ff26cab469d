// One job: where it is and how it came there, its attempts, its log as it grows, and what can be done with it.

import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import { Failure, at, get, post, remove } from "../lib/api";
import { duration, plural } from "../lib/format";
import { frozen } from "../lib/live";
import { go } from "../lib/router";
import { useResource } from "../lib/resource";
import type { Finding, JobDetail, JobLogs, JobTypeSchema, Json, LogRecord, Progress } from "../lib/schema";
import { canOperate, isAdmin } from "../lib/session";
import { Diagram } from "../ui/diagram";
import { Because, Form, Reason, act, notify, open } from "../ui/dialog";
import { Findings } from "../ui/findings";
import { PayloadEditor } from "../ui/payload";
import { Badge, Code, Copy, Empty, Head, Link, Panel, StateBadge, Trouble, When } from "../ui/parts";
import { Facts } from "../ui/table";
import { Waterfall } from "../ui/waterfall";

const FINAL = new Set(["completed", "failed", "cancelled", "expired"]);
const quoted = (text: string): string => `'${text.replaceAll("'", `'\\''`)}'`;
const pretty = (value: Json): string => JSON.stringify(value, null, 2);

export function JobPage(props: { queue: string; id: string }): JSX.Element {
  const { queue, id } = props;
  const [every, setEvery] = useState(1000);
  const job = useResource<JobDetail>(at`/queues/${queue}/jobs/${id}`, undefined, every);
  const data = job.data;
  useEffect(() => {
    setEvery(data && FINAL.has(data.state) ? 15_000 : 1000);
  }, [data?.state]);
  const crumbs = (
    <>
      <Link to="/queues">Queues</Link> / <Link to={at`/queues/${queue}`}>{queue}</Link>
    </>
  );
  if (!data) {
    return (
      <>
        <Head title={id} crumbs={crumbs} />
        {job.error ? <Trouble error={job.error} again={job.again} /> : <p class="empty fade">Loading…</p>}
      </>
    );
  }
  return (
    <>
      <Head title={<span class="break">{id}</span>} crumbs={crumbs}>
        <StateBadge state={data.state} />
        <Actions job={data} again={job.again} />
      </Head>
      {job.error ? <Trouble error={job.error} again={job.again} /> : null}
      {data.failed_reason ? (
        <div class="verdict bad" role="status">
          <strong>Why</strong>
          <span class="break">{data.failed_reason}</span>
        </div>
      ) : null}
      {data.progress !== null ? <ProgressBar of={data.progress} state={data.state} /> : null}
      <div class="halves">
        <Panel title="State">
          <Diagram job={data} />
        </Panel>
        <Panel title="Facts">
          <Known job={data} />
        </Panel>
      </div>
      <Panel title={`Attempts, ${data.attempts} at most`} flush>
        <Waterfall job={data} />
        <Stacks job={data} />
      </Panel>
      <Logs job={data} />
      <div class="halves">
        <Panel title="Payload" actions={<Copy text={pretty(data.payload)} label="Copy" />} flush>
          <Code label="Payload">{pretty(data.payload)}</Code>
        </Panel>
        <Panel title="Result" flush>
          {data.result === null ? (
            <Empty title={FINAL.has(data.state) ? "No result is kept" : "None yet"}>
              <p>What the handler returns is kept as long as the job type says.</p>
            </Empty>
          ) : (
            <Code label="Result">{pretty(data.result)}</Code>
          )}
        </Panel>
      </div>
      {FINAL.has(data.state) ? null : <Doctor job={data} />}
    </>
  );
}

function Known(props: { job: JobDetail }): JSX.Element {
  const { job } = props;
  return (
    <Facts
      of={[
        ["Job", job.name],
        ["Priority", job.priority],
        ["Added", <When at={job.created_at} />],
        job.run_at !== null && ["Due", <When at={job.run_at} />],
        job.processed_at !== null && [
          "Started",
          <>
            <When at={job.processed_at} /> after {duration(job.wait_ms)}
          </>,
        ],
        job.finished_at !== null && [
          "Ended",
          <>
            <When at={job.finished_at} />
            {job.run_ms === null ? "" : ` after ${duration(job.run_ms)}`}
          </>,
        ],
        job.stalled > 0 && ["Lost its worker", plural(job.stalled, "time")],
        job.schedule !== null && [
          "Schedule",
          <>
            <Link to={at`/schedules/${job.queue}/${job.schedule}`}>{job.schedule}</Link> for <When at={job.scheduled_for} />
          </>,
        ],
        (job.flow !== null || job.state === "blocked") && [
          "Flow",
          <Link to={at`/flows/${job.id}`}>{job.flow?.position ? `${job.flow.position} of ${job.flow.length}` : "what is around it"}</Link>,
        ],
        job.tags.length > 0 && [
          "Tags",
          <span class="row">
            {job.tags.map((each) => (
              <Link key={each} to={`/jobs?queue=${encodeURIComponent(job.queue)}&q=${encodeURIComponent(`tag:${JSON.stringify(each)}`)}`}>
                {each}
              </Link>
            ))}
          </span>,
        ],
        ...Object.entries(job.metadata).map(([name, value]): [string, string] => [name, typeof value === "string" ? value : JSON.stringify(value)]),
      ]}
    />
  );
}

function ProgressBar(props: { of: number | Progress; state: string }): JSX.Element {
  const told: Progress = typeof props.of === "number" ? { percent: props.of, current: null, total: null, message: null } : props.of;
  const percent = told.percent ?? (told.current !== null && told.total ? (told.current / told.total) * 100 : null);
  const steps = told.current !== null ? `${told.current}${told.total !== null ? ` of ${told.total}` : ""}` : "";
  const text = [percent === null ? "" : `${Math.round(percent)} %`, steps, told.message ?? ""].filter(Boolean).join(", ");
  return (
    <div class="panel">
      <div class="body stack">
        <span class="break" role="status">
          <strong>Progress</strong> {text}
        </span>
        <progress class="meter" max={100} aria-label={`Progress ${text}`} {...(percent === null ? {} : { value: percent })} />
      </div>
    </div>
  );
}

function Stacks(props: { job: JobDetail }): JSX.Element | null {
  const told = props.job.history.filter((each) => each.stack);
  if (!told.length) return null;
  return (
    <>
      {told.map((each) => (
        <details key={each.attempt} class="stack-trace">
          <summary>Stack of attempt {each.attempt}, on {each.worker || "a worker"}</summary>
          <Code label={`Stack of attempt ${each.attempt}`}>{each.stack}</Code>
        </details>
      ))}
    </>
  );
}

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

/** The log as it grows: asked for from the last line on. */
function Logs(props: { job: JobDetail }): JSX.Element {
  const { job } = props;
  const [lines, setLines] = useState<LogRecord[]>([]);
  const [cut, setCut] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const running = !FINAL.has(job.state);
  useEffect(() => {
    let gone = false;
    let timer = 0;
    let after = "";
    setLines([]);
    const look = async (): Promise<void> => {
      try {
        const found = await get<JobLogs>(at`/queues/${job.queue}/jobs/${job.id}/logs`, { after, limit: 500 });
        if (gone) return;
        setError(null);
        setCut(found.truncated);
        const last = found.lines.at(-1);
        if (last) {
          after = last.cursor;
          const end = box.current ? box.current.scrollHeight - box.current.scrollTop - box.current.clientHeight < 40 : true;
          setLines((before) => [...before, ...found.lines]);
          if (end) requestAnimationFrame(() => box.current?.scrollTo(0, box.current.scrollHeight));
        }
        if (found.cursor) return await look();
      } catch (problem) {
        if (!gone) setError(problem);
        if (!(problem instanceof Failure)) throw problem;
      }
      if (!gone && running) timer = setTimeout(tick, 1000);
    };
    const tick = (): void => {
      if (document.hidden || frozen.peek()) timer = setTimeout(tick, 1000);
      else void look();
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [job.queue, job.id, running, turn]);
  return (
    <Panel title="Log" actions={lines.length ? <Copy text={lines.map((each) => `${each.at} ${each.level} ${each.message}`).join("\n")} label="Copy" /> : null} flush>
      {error ? <Trouble error={error} again={() => setTurn((n) => n + 1)} /> : null}
      {cut ? <p class="hint body">Older lines were dropped: a job keeps the last ones.</p> : null}
      {lines.length ? (
        <div class="log" ref={box} tabIndex={0} aria-label="Log" role="log">
        <ol>
          {lines.map((each) => (
            <li key={each.cursor} class={`level-${each.level.toLowerCase()}`}>
              <time dateTime={each.at}>{clock.format(new Date(each.at))}</time>
              <span>
                {each.level} #{each.attempt}
              </span>
              <span class="text">{each.message}</span>
            </li>
          ))}
        </ol>
        </div>
      ) : (
        <Empty title={running ? "Nothing was logged yet" : "Nothing was logged"}>
          <p>
            What a handler writes to <code>ctx.log</code> or to <code>logging</code> is kept here.
          </p>
        </Empty>
      )}
    </Panel>
  );
}

function Doctor(props: { job: JobDetail }): JSX.Element | null {
  const findings = useResource<Finding[]>(at`/queues/${props.job.queue}/jobs/${props.job.id}/doctor`, undefined, 5000);
  if (!findings.data) return null;
  return (
    <Panel title="What the doctor says" flush>
      <Findings of={findings.data} />
    </Panel>
  );
}

function Actions(props: { job: JobDetail; again: () => void }): JSX.Element {
  const { job, again } = props;
  const path = at`/queues/${job.queue}/jobs/${job.id}`;
  const final = FINAL.has(job.state);
  const commands = useMemo(
    () => ({
      again: `jobsctl enqueue ${job.queue} ${job.name} ${quoted(JSON.stringify(job.payload))}`,
      show: `jobsctl show ${job.queue} ${quoted(job.id)}`,
    }),
    [job],
  );
  const run = (verb: string, told: string): void => void act(() => post(`${path}/${verb}`), told).then(again);
  return (
    <div class="actions">
      {canOperate.value ? (
        <>
          {job.state === "failed" ? (
            <>
              <button type="button" class="button primary" onClick={() => run("retry", "It waits again")}>
                Retry
              </button>
              <button type="button" class="button" onClick={() => openReplay(job, again)}>
                Replay…
              </button>
            </>
          ) : null}
          {job.state === "delayed" ? (
            <button type="button" class="button primary" onClick={() => run("promote", "It may run now")}>
              Run now
            </button>
          ) : null}
          {job.state === "waiting" || job.state === "delayed" ? (
            <button type="button" class="button" onClick={() => openPriority(job, again)}>
              Priority…
            </button>
          ) : null}
          <button type="button" class="button" onClick={() => openAgain(job)}>
            Enqueue again…
          </button>
          {final ? null : (
            <button type="button" class="button danger" onClick={() => openCancel(job, again)}>
              Cancel
            </button>
          )}
          {job.state === "active" ? null : (
            <button type="button" class="button danger" onClick={() => openRemove(job)}>
              Remove
            </button>
          )}
        </>
      ) : null}
      <Copy text={final ? commands.again : commands.show} label="Copy as CLI" class="button" />
    </div>
  );
}

const openCancel = (job: JobDetail, again: () => void): void =>
  open(`Cancel ${job.id}`, (close) => (
    <Because
      verb="Cancel the job"
      text={job.state === "active" ? "Its handler is asked to stop; the worker settles it as cancelled." : "It will not run."}
      close={close}
      run={async (reason) => {
        const done = await post<{ outcome: string }>(at`/queues/${job.queue}/jobs/${job.id}/cancel`, { reason });
        again();
        return done.outcome === "requested" ? "Its worker was asked to stop it" : done.outcome === "cancelled" ? "It is cancelled" : "It had ended already";
      }}
    />
  ));

const openRemove = (job: JobDetail): void =>
  open(`Remove ${job.id}`, (close) => (
    <Because
      verb="Remove the job"
      text="The job and all that is kept of it are gone for good."
      close={close}
      run={async (reason) => {
        await remove(at`/queues/${job.queue}/jobs/${job.id}`, { reason });
        go(at`/queues/${job.queue}`);
        return "It is removed";
      }}
    />
  ));

const PRIORITIES = ["critical", "high", "normal", "low", "background"];

function openPriority(job: JobDetail, again: () => void): void {
  open(`Priority of ${job.id}`, (close) => <Priority job={job} close={close} again={again} />);
}

function Priority(props: { job: JobDetail; close: () => void; again: () => void }): JSX.Element {
  const [to, setTo] = useState(props.job.priority);
  const [reason, setReason] = useState("");
  return (
    <Form
      verb="Change"
      close={props.close}
      blocked={to === props.job.priority}
      submit={async () => {
        await post(at`/queues/${props.job.queue}/jobs/${props.job.id}/priority`, { to, reason });
        props.again();
        return `Its priority is ${to}`;
      }}
    >
      <label class="field">
        <span>Priority</span>
        <select value={to} onChange={(event) => setTo(event.currentTarget.value)}>
          {PRIORITIES.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </label>
      <Reason value={reason} onInput={setReason} />
    </Form>
  );
}

export interface Replayed {
  title: string;
  queue: string;
  name: string;
  payload: Json;
  path: string;
  verb: string;
  done: () => void;
}

const openReplay = (job: JobDetail, done: () => void): void =>
  openPayload({
    title: `Replay ${job.id}`,
    queue: job.queue,
    name: job.name,
    payload: job.payload,
    path: at`/queues/${job.queue}/jobs/${job.id}/replay`,
    verb: "Replay",
    done,
  });

export const openPayload = (replayed: Replayed): void =>
  open(replayed.title, (close) => <Replay of={replayed} close={close} />, true);

function Replay(props: { of: Replayed; close: () => void }): JSX.Element {
  const { of } = props;
  const [edited, setEdited] = useState(false);
  const [value, setValue] = useState<Json | undefined>(of.payload);
  const [priority, setPriority] = useState("");
  const [reason, setReason] = useState("");
  const type = useResource<JobTypeSchema>(at`/declared/${of.queue}/${of.name}`);
  return (
    <Form
      verb={of.verb}
      close={props.close}
      blocked={edited && value === undefined}
      submit={async () => {
        await post(of.path, { reason, priority: priority || null, ...(edited ? { payload: value } : {}) });
        of.done();
        return "It runs again";
      }}
    >
      <label class="field">
        <span>Priority</span>
        <select value={priority} onChange={(event) => setPriority(event.currentTarget.value)}>
          <option value="">as it was</option>
          {PRIORITIES.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </label>
      {isAdmin.value ? (
        <label class="check">
          <input type="checkbox" checked={edited} onChange={(event) => setEdited(event.currentTarget.checked)} />
          With another payload
        </label>
      ) : (
        <p class="hint">Another payload can be given by an admin.</p>
      )}
      {edited && (type.data || type.error) ? <PayloadEditor schema={type.data?.payload ?? null} value={of.payload} change={setValue} /> : null}
      {edited ? <p class="hint">*** stands for what is hidden, and keeps it as it is.</p> : null}
      <Reason value={reason} onInput={setReason} />
    </Form>
  );
}

function openAgain(job: JobDetail): void {
  open(`Enqueue ${job.name} again`, (close) => <Again job={job} close={close} />, true);
}

function Again(props: { job: JobDetail; close: () => void }): JSX.Element {
  const { job } = props;
  const [value, setValue] = useState<Json | undefined>(job.payload);
  const type = useResource<JobTypeSchema>(at`/declared/${job.queue}/${job.name}`);
  return (
    <Form
      verb="Enqueue"
      close={props.close}
      blocked={value === undefined || !type.data}
      submit={async () => {
        const made = await post<{ id: string }>(at`/queues/${job.queue}/jobs`, { name: job.name, payload: value, options: { priority: job.priority } });
        notify(`${made.id} was added`);
        go(at`/queues/${job.queue}/jobs/${made.id}`);
        return null;
      }}
    >
      <p>A new job with an id of its own, checked against the type of its payload.</p>
      {type.data ? <PayloadEditor schema={type.data.payload} value={job.payload} change={setValue} /> : null}
      {type.error ? (
        <p class="hint">
          This dashboard does not know the type of the payload, so it cannot check one: start it with the JOBS_FEATURES of your packages. <Badge>{job.name}</Badge>
        </p>
      ) : null}
    </Form>
  );
}
