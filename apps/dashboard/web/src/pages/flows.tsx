// Jobs that wait for each other: how far each flow is, and what each of its jobs waits for.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { at, post } from "../lib/api";
import { count } from "../lib/format";
import { query } from "../lib/router";
import { useResource } from "../lib/resource";
import type { FlowJobsPage, FlowPage, FlowRecord, State } from "../lib/schema";
import { canOperate } from "../lib/session";
import { Because, act, open } from "../ui/dialog";
import { Empty, Head, Link, Loaded, Panel, StateBadge, Tile, When } from "../ui/parts";
import { QueueChoice, Table } from "../ui/table";

const Share = ({ flow }: { flow: FlowRecord }): JSX.Element => (
  <span class="slots">
    <span class="small muted">
      {count(flow.total - flow.pending)} of {count(flow.total)}
    </span>
    <progress class="meter" max={Math.max(1, flow.total)} value={flow.total - flow.pending} aria-label={`${flow.total - flow.pending} of ${flow.total} jobs ended`} />
  </span>
);

export function Flows(): JSX.Element {
  const queue = query.value.get("queue") ?? "";
  const [from, setFrom] = useState<string | null>(null);
  const found = useResource<FlowPage>("/flows", { queue, cursor: from }, 3000);
  return (
    <>
      <Head title="Flows">
        <div class="actions">
          <QueueChoice />
        </div>
      </Head>
      <Panel title="Those that go on first" flush>
        <Loaded of={found}>
          {(data) =>
            data.flows.length ? (
              <Table
                rows={data.flows}
                id={(each) => `${each.queue} ${each.id}`}
                columns={[
                  { name: "Flow", as: "!", cell: (each) => <Link to={at`/flows/${each.id}`}>{each.name || each.id}</Link> },
                  { name: "Kind", cell: (each) => each.kind },
                  { name: "Queue", cell: (each) => <Link to={at`/queues/${each.queue}`}>{each.queue}</Link> },
                  { name: "State", cell: (each) => <StateBadge state={each.state as State} /> },
                  { name: "Ended", cell: (each) => <Share flow={each} /> },
                  { name: "Failed", as: "#", cell: (each) => count(each.failed) },
                  { name: "Began", cell: (each) => <When at={each.created_at} /> },
                ]}
              />
            ) : (
              <Empty title="No flow here">
                <p>Workflows, trees, batches and map-reduces are listed while they go on, and for a time after.</p>
              </Empty>
            )
          }
        </Loaded>
        {from || found.data?.cursor ? (
          <p class="row body">
            <button type="button" class="button" onClick={() => setFrom(found.data?.cursor ?? null)}>
              {found.data?.cursor ? "Next page" : "First page"}
            </button>
          </p>
        ) : null}
      </Panel>
    </>
  );
}

export function Flow(props: { id: string }): JSX.Element {
  const path = at`/flows/${props.id}`;
  const [start, setStart] = useState(0);
  const found = useResource<FlowJobsPage>(`${path}/jobs`, { start }, 2000);
  const flow = found.data?.flow;
  return (
    <>
      <Head title={<span class="break">{flow?.name || props.id}</span>} crumbs={<Link to="/flows">Flows</Link>}>
        {flow ? <StateBadge state={flow.state as State} /> : null}
        {flow && flow.state === "failed" && canOperate.value ? (
          <div class="actions">
            <button type="button" class="button primary" onClick={() => void act(() => post(`${path}/retry`), "It goes on from what failed").then(found.again)}>
              Retry
            </button>
          </div>
        ) : null}
        {flow && !flow.ended_at && canOperate.value ? (
          <div class="actions">
            <button
              type="button"
              class="button danger"
              onClick={() =>
                open(`Cancel ${flow.name || flow.id}`, (close) => (
                  <Because
                    verb="Cancel the flow"
                    text="All its jobs are cancelled; those that run are asked to stop."
                    close={close}
                    run={async (reason) => {
                      await post(`${path}/cancel`, { reason });
                      found.again();
                      return "It is cancelled";
                    }}
                  />
                ))
              }
            >
              Cancel
            </button>
          </div>
        ) : null}
      </Head>
      <Loaded of={found}>
        {({ flow, jobs, next }) => (
          <>
            <div class="tiles">
              <Tile name="Jobs" figure={count(flow.total)} note={flow.kind} />
              <Tile name="Pending" figure={count(flow.pending)} />
              <Tile name="Completed" figure={count(flow.completed)} />
              <Tile name="Failed" figure={count(flow.failed)} tone={flow.failed ? "bad" : ""} />
            </div>
            <Panel title="Jobs" flush>
              <Table
                rows={jobs}
                id={(each) => String(each.number)}
                columns={[
                  { name: "Job", as: "!", cell: (each) => <Link to={at`/queues/${each.queue}/jobs/${each.id}`}>{each.label || each.id}</Link> },
                  { name: "Name", cell: (each) => `${each.queue} ${each.name}` },
                  { name: "State", cell: (each) => <StateBadge state={each.state as State} /> },
                  { name: "After", cell: (each) => each.after.map((other) => other.label || other.number).join(", ") },
                  { name: "Why", as: "_", cell: (each) => each.error },
                ]}
              />
              {start || next !== null ? (
                <p class="row body">
                  <button type="button" class="button" onClick={() => setStart(next ?? 0)}>
                    {next === null ? "First page" : "Next page"}
                  </button>
                </p>
              ) : null}
            </Panel>
          </>
        )}
      </Loaded>
    </>
  );
}
