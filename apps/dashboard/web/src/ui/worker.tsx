// A worker's state and slots, as more than one page shows them.

import type { JSX } from "preact";
import { ago } from "../lib/format";
import { now } from "../lib/live";
import type { WorkerRecord } from "../lib/schema";
import { Badge, Empty } from "./parts";

export const WorkerState = (props: { worker: WorkerRecord }): JSX.Element =>
  props.worker.silent ? (
    <Badge tone="bad" title={`heard of ${ago(props.worker.seen_at, now.value)}`}>
      silent
    </Badge>
  ) : (
    <Badge tone={props.worker.state === "running" ? "good" : "warn"}>{props.worker.state}</Badge>
  );

export const Slots = (props: { of: WorkerRecord }): JSX.Element => {
  const { running, slots } = props.of;
  return (
    <span class="slots">
      <span class="small muted">
        {running} of {slots}
      </span>
      <progress class={`meter ${running >= slots ? "full" : ""}`} max={Math.max(1, slots)} value={running} aria-label={`${running} of ${slots} slots run`} />
    </span>
  );
};

export const NoWorker = (): JSX.Element => (
  <Empty title="No worker runs">
    <p>Start one where the code of your jobs is:</p>
    <pre>jobsctl worker</pre>
  </Empty>
);
