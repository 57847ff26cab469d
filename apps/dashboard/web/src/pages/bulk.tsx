// Changes of many jobs that go on, or went on, by themselves.

import type { JSX } from "preact";
import { at } from "../lib/api";
import { useResource } from "../lib/resource";
import type { BulkAction } from "../lib/schema";
import { Bar, Stop } from "../ui/bulk";
import { Badge, Empty, Head, Link, Loaded, Panel, When } from "../ui/parts";
import { Table } from "../ui/table";

const TONES = {
  pending: "", running: "accent", completed: "good", undone: "warn", cancelled: "warn", failed: "bad", interrupted: "bad",
} as const;

export function Bulk(): JSX.Element {
  const found = useResource<BulkAction[]>("/bulk", undefined, 1500);
  return (
    <>
      <Head title="Bulk actions" />
      <Panel title="The last 200" flush>
        <Loaded of={found}>
          {(data) =>
            data.length ? (
              <Table
                rows={data}
                id={(each) => each.id}
                columns={[
                  {
                    name: "What",
                    as: "!",
                    cell: (each) => (
                      <>
                        {each.verb} <Link to={at`/queues/${each.queue}`}>{each.queue}</Link>
                        <code class="mend">
                          {each.query} {each.detail}
                        </code>
                      </>
                    ),
                  },
                  {
                    name: "State",
                    cell: (each) => (
                      <>
                        <Badge tone={TONES[each.state]}>{each.state}</Badge> <span class="small">{each.error || (each.cancelled_by && `by ${each.cancelled_by}`)}</span>
                      </>
                    ),
                  },
                  { name: "Done", cell: (each) => <Bar action={each} /> },
                  {
                    name: "Who",
                    cell: (each) => (
                      <>
                        {each.actor}
                        <span class="mend">{each.reason}</span>
                      </>
                    ),
                  },
                  { name: "Asked", cell: (each) => <When at={each.started_at} /> },
                  {
                    name: "Actions",
                    as: ".",
                    cell: (each) => <Stop action={each} again={found.again} />,
                  },
                ]}
              />
            ) : (
              <Empty title="None yet">
                <p>
                  On <Link to="/jobs">Jobs</Link>, choose a queue and a search, and what to do with all that match. It goes on here when the page is closed.
                </p>
              </Empty>
            )
          }
        </Loaded>
      </Panel>
    </>
  );
}
