// The flow that a job is a part of, or the jobs around it.

import type { JSX } from "preact";
import { at } from "../../lib/api";
import { plural } from "../../lib/format";
import { useResource } from "../../lib/resource";
import type { FlowJobsPage, JobDetail } from "../../lib/schema";
import { FINAL } from "../../lib/terms";
import { Graph } from "../../ui/graph";
import { Link, Panel } from "../../ui/parts";

export function Around(props: { job: JobDetail }): JSX.Element | null {
  const { job } = props;
  const query = { queue: job.queue, beside: true, limit: 60 };
  const found = useResource<FlowJobsPage>(at`/flows/${job.id}/jobs`, query, FINAL.has(job.state) ? 0 : 5000);
  const { data } = found;
  if (!data || data.flow.total < 2) return null;
  return (
    <Panel title="Flow" actions={<Link to={at`/flows/${data.flow.id}`}>{`${data.flow.name || data.flow.id}, ${plural(data.flow.total, "job")}`}</Link>} flush>
      <Graph jobs={data.jobs} here={job.id} />
    </Panel>
  );
}
