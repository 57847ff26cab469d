// Jobs that wait for each other: how far each flow is.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { at } from "../lib/api";
import { count } from "../lib/format";
import { query } from "../lib/router";
import { useResource } from "../lib/resource";
import type { FlowPage, FlowRecord } from "../lib/schema";
import { Empty, Head, Link, Loaded, Panel, StateBadge, When } from "../ui/parts";
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
  const found = useResource<FlowPage>("/flows", { queue, cursor: from }, 5000);
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
                  { name: "State", cell: (each) => <StateBadge state={each.state} /> },
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
