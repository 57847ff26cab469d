// What is known of a job, in words.

import type { JSX } from "preact";
import { at } from "../../lib/api";
import { duration, plural, progressOf } from "../../lib/format";
import type { JobDetail, Progress } from "../../lib/schema";
import { server } from "../../lib/session";
import { Code, Link, When } from "../../ui/parts";
import { Facts } from "../../ui/table";

export function Known(props: { job: JobDetail }): JSX.Element {
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
        job.trace_id !== null && ["Trace", <Trace id={job.trace_id} />],
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

/** Where the trace is shown, if that was said to the dashboard. */
function Trace(props: { id: string }): JSX.Element {
  const where = server.value?.trace_url;
  return where ? (
    <a class="break" href={where.replaceAll("{trace_id}", props.id)} target="_blank" rel="noreferrer">
      {props.id}
    </a>
  ) : (
    <code class="break">{props.id}</code>
  );
}

export function ProgressBar(props: { of: number | Progress }): JSX.Element {
  const [percent, text] = progressOf(props.of);
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

export function Stacks(props: { job: JobDetail }): JSX.Element | null {
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
