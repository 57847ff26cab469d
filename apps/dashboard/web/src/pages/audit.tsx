// Who changed what, and why.

import { useEffect, useState } from "preact/hooks";
import type { JSX } from "preact";
import { at, get } from "../lib/api";
import { count } from "../lib/format";
import { useResource } from "../lib/resource";
import { query } from "../lib/router";
import type { AuditPage, AuditRecord } from "../lib/schema";
import { act } from "../ui/dialog";
import { Empty, Head, Link, Loaded, Panel, When } from "../ui/parts";
import { QueueChoice, Table } from "../ui/table";

export function Audit(): JSX.Element {
  const queue = query.value.get("queue") ?? "";
  const found = useResource<AuditPage>("/audit", { queue, limit: 50 }, 5000);
  const [older, setOlder] = useState<AuditPage | null>(null);
  useEffect(() => setOlder(null), [queue]);
  const cursor = older ? older.cursor : (found.data?.cursor ?? null);
  return (
    <>
      <Head title="Audit">
        <div class="actions">
          <QueueChoice />
        </div>
      </Head>
      <Panel title="Changes" actions={<span class="hint">The last 10,000 are kept</span>} flush>
        <Loaded of={found}>
          {(data) => {
            const rows = [...data.changes, ...(older?.changes ?? [])];
            return rows.length ? (
              <Rows rows={rows} />
            ) : (
              <Empty title="Nobody has changed anything yet">
                <p>Every change by a person is told here: by these pages, the API, the command line, or Python.</p>
              </Empty>
            );
          }}
        </Loaded>
        {cursor ? (
          <p class="body">
            <button
              type="button"
              class="button"
              onClick={() =>
                void act(async () => {
                  const page = await get<AuditPage>("/audit", { queue, limit: 100, cursor });
                  setOlder({ changes: [...(older?.changes ?? []), ...page.changes], cursor: page.cursor });
                }, "Older ones are shown")
              }
            >
              Show older
            </button>
          </p>
        ) : null}
      </Panel>
    </>
  );
}

const Rows = (props: { rows: AuditRecord[] }): JSX.Element => (
  <Table
    rows={props.rows}
    id={(each) => each.id}
    columns={[
      { name: "When", cell: (each) => <When at={each.at} /> },
      { name: "Who", cell: (each) => each.actor },
      { name: "What", as: "!", cell: (each) => each.verb },
      { name: "Queue", cell: (each) => (each.queue ? <Link to={at`/queues/${each.queue}`}>{each.queue}</Link> : "") },
      { name: "Which", cell: (each) => `${each.filter} ${each.detail}` },
      { name: "Changed", as: "#", cell: (each) => count(each.count) },
      { name: "Why", as: "_", cell: (each) => each.reason },
    ]}
  />
);
