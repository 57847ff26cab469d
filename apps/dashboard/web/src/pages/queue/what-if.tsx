// How many slots a queue would need.

import { useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import { duration, plural, rate } from "../../lib/format";
import { works } from "../../lib/health";
import { overview } from "../../lib/live";
import type { MetricsRecord, QueueLive } from "../../lib/schema";
import { Panel } from "../../ui/parts";

/** Little's law: what runs at once is arrivals times how long one takes. */
export function WhatIf(props: { queue: QueueLive; metrics: MetricsRecord | undefined }): JSX.Element | null {
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

