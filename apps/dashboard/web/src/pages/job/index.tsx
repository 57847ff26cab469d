// One job: where it is and how it came there, its attempts, its log as it grows, and what can be done with it.

import type { JSX } from "preact";
import { at } from "../../lib/api";
import { useJobEvents } from "../../lib/follow";
import { useResource } from "../../lib/resource";
import type { Finding, JobDetail, Json } from "../../lib/schema";
import { FINAL } from "../../lib/terms";
import { Diagram } from "../../ui/diagram";
import { Findings } from "../../ui/findings";
import { Code, Copy, Empty, Head, Link, Panel, StateBadge, Trouble } from "../../ui/parts";
import { Waterfall } from "../../ui/waterfall";
import { Actions } from "./actions";
import { Around } from "./around";
import { Known, ProgressBar, Stacks } from "./known";
import { Log } from "./log";

// Events tell of changes; this is for where they are turned off.
const LOOK_MS = 10_000;
const pretty = (value: Json): string => JSON.stringify(value, null, 2);

export function JobPage(props: { queue: string; id: string }): JSX.Element {
  const { queue, id } = props;
  const job = useResource<JobDetail>(at`/queues/${queue}/jobs/${id}`, undefined, LOOK_MS);
  useJobEvents(queue, id, job.refresh);
  const data = job.data;
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
      {data.progress !== null ? <ProgressBar of={data.progress} /> : null}
      <div class="halves wide-first">
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
      <Log key={data.id} job={data} />
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
      <Around job={data} />
      {FINAL.has(data.state) ? null : <Doctor job={data} />}
    </>
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
