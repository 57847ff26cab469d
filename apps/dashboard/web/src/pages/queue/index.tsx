// One queue: depth, age, throughput, times, limits, what is wrong, and everything that can be done to it.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { at, post } from "../../lib/api";
import { isLate, paused } from "../../lib/health";
import { queueNamed } from "../../lib/live";
import { useResource } from "../../lib/resource";
import type { Finding, HistoryPage, MetricsRecord, MinuteRecord, QueueLive, QueueRecord } from "../../lib/schema";
import { canOperate } from "../../lib/session";
import { act } from "../../ui/dialog";
import { Findings } from "../../ui/findings";
import { History } from "../../ui/history";
import { Icon } from "../../ui/icons";
import { Durations, Minutes, Scrubber } from "../../ui/minutes";
import { Badge, Head, Link, Loaded, Panel, Trouble, When } from "../../ui/parts";
import { Actions } from "./actions";
import { Figures, Percentiles, Priorities } from "./figures";
import { Limits } from "./limits";
import { WhatIf } from "./what-if";

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
        {paused(shown) ? <Badge tone="warn">{paused(shown)}</Badge> : isLate(shown) ? <Badge tone="bad">late</Badge> : null}
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
        <Panel title="Wait and run of all attempts" flush>
          <Loaded of={metrics}>{(data) => <Percentiles metrics={data} />}</Loaded>
        </Panel>
        <Panel title="By priority">
          <Priorities name={name} waiting={shown.waiting} />
        </Panel>
        <Panel title="Limits" flush>
          <Limits name={name} active={shown.active} />
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
