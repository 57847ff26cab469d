// All queues, side by side.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { count, duration, rate } from "../lib/format";
import { isLate, paused, works } from "../lib/health";
import { overview, samples } from "../lib/live";
import { query, set } from "../lib/router";
import type { QueueLive } from "../lib/schema";
import { Spark } from "../ui/chart";
import { Badge, Empty, Head, Link, Panel } from "../ui/parts";
import { Table } from "../ui/table";
import type { Column } from "../ui/table";

interface Figure {
  key: string;
  name: string;
  of: (queue: QueueLive) => number;
  show: (queue: QueueLive) => string;
}
const COLUMNS: Figure[] = [
  { key: "waiting", name: "Waiting", of: (q) => q.waiting, show: (q) => count(q.waiting) },
  { key: "oldest", name: "Oldest", of: (q) => q.oldest_waiting_ms ?? 0, show: (q) => duration(q.oldest_waiting_ms) },
  { key: "active", name: "Running", of: (q) => q.active, show: (q) => count(q.active) },
  { key: "delayed", name: "Delayed", of: (q) => q.delayed, show: (q) => count(q.delayed) },
  { key: "rate", name: "Completed", of: (q) => q.completed_per_s ?? 0, show: (q) => rate(q.completed_per_s) },
  { key: "failed", name: "Failed, kept", of: (q) => q.retained_failed, show: (q) => count(q.retained_failed) },
];

export function Queues(): JSX.Element {
  const [text, setText] = useState("");
  const told = overview.value;
  const sort = query.value.get("sort") ?? "";
  const falling = query.value.get("order") !== "up";
  const column = COLUMNS.find((each) => each.key === sort);
  const queues = (told?.queues ?? []).filter((each) => each.queue.includes(text.trim()));
  queues.sort((a, b) =>
    column ? (column.of(b) - column.of(a)) * (falling ? 1 : -1) || a.queue.localeCompare(b.queue) : a.queue.localeCompare(b.queue),
  );
  const order = (key: string): void =>
    set({ sort: key || null, order: sort === key && falling && key ? "up" : null }, true);
  return (
    <>
      <Head title="Queues">
        <div class="actions">
          <label>
            <span class="hidden-visually">Queues whose name holds</span>
            <input type="search" data-search="" placeholder="Find a queue" value={text} onInput={(event) => setText(event.currentTarget.value)} />
          </label>
        </div>
      </Head>
      <Panel title={told ? `${count(queues.length)} of ${count(told.queues.length)}` : "Queues"} flush>
        {!told ? (
          <p class="empty fade">Loading…</p>
        ) : !told.queues.length ? (
          <Empty title="No queue has been used yet">
            <p>A queue is listed once a job was added to it or a worker serves it:</p>
            <pre>jobsctl worker</pre>
          </Empty>
        ) : !queues.length ? (
          <Empty title="No queue has such a name">
            <button type="button" class="button small" onClick={() => setText("")}>
              Show all
            </button>
          </Empty>
        ) : (
          <Table
            rows={queues}
            id={(each) => each.queue}
            columns={[
              {
                name: "Queue",
                as: "!",
                sort: column ? "none" : "ascending",
                head: (
                  <button type="button" class="sort" onClick={() => order("")}>
                    Queue
                  </button>
                ),
                cell: (each) => <Link to={`/queues/${encodeURIComponent(each.queue)}`}>{each.queue}</Link>,
              },
              ...COLUMNS.map(
                (each): Column<QueueLive> => ({
                  name: each.name,
                  as: "#",
                  sort: column === each ? (falling ? "descending" : "ascending") : "none",
                  head: (
                    <button type="button" class="sort" onClick={() => order(each.key)}>
                      {each.name}
                      {column === each ? (falling ? " ↓" : " ↑") : ""}
                    </button>
                  ),
                  cell: (queue) =>
                    each.key === "failed" && queue.retained_failed ? (
                      <Link to={`/jobs?queue=${encodeURIComponent(queue.queue)}&q=state%3Afailed`}>{each.show(queue)}</Link>
                    ) : (
                      each.show(queue)
                    ),
                }),
              ),
              {
                name: "Waiting, 2 min",
                cell: (each) => (
                  <Spark values={(samples.get(each.queue) ?? []).map((sample) => sample.waiting)} label={`${count(each.waiting)} wait now`} />
                ),
              },
              { name: "State", cell: (each) => <Doing queue={each} /> },
            ]}
          />
        )}
      </Panel>
    </>
  );
}

function Doing(props: { queue: QueueLive }): JSX.Element {
  const { queue } = props;
  const held = paused(queue);
  if (held) {
    return (
      <Badge tone="warn" title={queue.pause_reason}>
        {held}
      </Badge>
    );
  }
  if (!works(queue)) return <Badge>keeps</Badge>;
  if (isLate(queue)) return <Badge tone="bad">late</Badge>;
  return queue.active || queue.waiting ? <Badge tone="good">working</Badge> : <Badge>idle</Badge>;
}
