// Jobs that ended, also those that are not kept.

import type { JSX } from "preact";
import { at } from "../lib/api";
import { duration } from "../lib/format";
import type { HistoryPage } from "../lib/schema";
import { Empty, Link, StateBadge, When } from "./parts";
import { Table } from "./table";

export function History(props: { page: HistoryPage }): JSX.Element {
  const { rows } = props.page;
  if (!rows.length) {
    return (
      <Empty title="No job has ended yet">
        <p>The last 10,000 that ended are listed, also those that are not kept.</p>
      </Empty>
    );
  }
  return (
    <Table
      rows={rows}
      id={(each) => `${each.id} ${each.finished_at}`}
      columns={[
        {
          name: "Job",
          as: "!",
          cell: (each) => (
            <>
              <Link class="id" to={at`/queues/${each.queue}/jobs/${each.id}`}>{each.id}</Link>
              <span class="small muted">{each.name}</span>
            </>
          ),
        },
        { name: "Outcome", cell: (each) => <StateBadge state={each.outcome} /> },
        { name: "Ended", cell: (each) => <When at={each.finished_at} /> },
        { name: "Waited", as: "#", cell: (each) => duration(each.wait_ms) },
        { name: "Ran", as: "#", cell: (each) => duration(each.run_ms) },
        { name: "Attempts", as: "#", cell: (each) => each.attempts_made },
        { name: "Error", as: "_", cell: (each) => each.error },
      ]}
    />
  );
}
