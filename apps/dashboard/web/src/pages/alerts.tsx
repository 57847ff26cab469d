// What fires, and from where on it would.

import type { JSX } from "preact";
import { at, put } from "../lib/api";
import { count, duration, percent } from "../lib/format";
import { useResource } from "../lib/resource";
import type { AlertRecord } from "../lib/schema";
import { isAdmin } from "../lib/session";
import { ask } from "../ui/ask";
import { Badge, Empty, Head, Link, Loaded, Panel, When } from "../ui/parts";
import { Table } from "../ui/table";

const WHAT: Record<string, string> = {
  waiting: "Too many jobs wait",
  failed: "Too many failed jobs are kept",
  growing: "The backlog grows, minute by minute",
  oldest: "A job waits for too long",
  failure_rate: "Too large a share fails",
  no_workers: "Jobs wait and nobody serves the queue",
  unroutable: "No worker knows the job",
};

function show(alert: string, value: number | null): string {
  if (value === null) return "–";
  if (alert === "oldest") return duration(value * 1000);
  if (alert === "failure_rate") return percent(value);
  if (alert === "growing" || alert === "no_workers") return `${count(value)} min`;
  return count(value);
}

export function Alerts(): JSX.Element {
  const found = useResource<AlertRecord[]>("/alerts", undefined, 10_000);
  return (
    <>
      <Head title="Alerts" />
      <Loaded of={found}>
        {(data) => {
          const firing = data.filter((each) => each.active);
          return (
            <>
              <Panel title={firing.length ? `${firing.length} firing` : "Firing"} flush>
                {firing.length ? (
                  <Listed alerts={firing} again={found.again} />
                ) : (
                  <Empty title="Nothing fires">
                    <p>Alerts are judged once a minute, for all queues.</p>
                  </Empty>
                )}
              </Panel>
              <Panel title="All" flush>
                {data.length ? (
                  <Listed alerts={data} again={found.again} />
                ) : (
                  <Empty title="No queue has been used yet">
                    <p>Each queue has its alerts as soon as it is used.</p>
                  </Empty>
                )}
              </Panel>
            </>
          );
        }}
      </Loaded>
    </>
  );
}

const Listed = (props: { alerts: AlertRecord[]; again: () => void }): JSX.Element => (
  <Table
    rows={props.alerts}
    id={(each) => `${each.queue} ${each.alert}`}
    columns={[
      {
        name: "Alert",
        as: "!",
        cell: (each) => (
          <>
            {each.alert}
            <span class="mend">{each.active && each.message ? each.message : (WHAT[each.alert] ?? "")}</span>
          </>
        ),
      },
      { name: "Queue", cell: (each) => <Link to={at`/queues/${each.queue}`}>{each.queue}</Link> },
      {
        name: "State",
        cell: (each) =>
          each.active ? <Badge tone="bad">fires</Badge> : each.threshold === null ? <Badge>off</Badge> : <Badge tone="good">quiet</Badge>,
      },
      { name: "Now", as: "#", cell: (each) => show(each.alert, each.value) },
      { name: "Fires above", as: "#", cell: (each) => show(each.alert, each.threshold) },
      { name: "Since", cell: (each) => <When at={each.since} /> },
      isAdmin.value && {
        name: "Actions",
        as: ".",
        cell: (each) => (
          <button type="button" class="button small" onClick={() => change(each, props.again)}>
            Change
          </button>
        ),
      },
    ]}
  />
);

function change(alert: AlertRecord, again: () => void): void {
  ask(`${alert.alert} of ${alert.queue}`, {
    verb: "Set",
    fields: [
      { name: "how", label: "It fires", as: "choice", value: "value", choices: [["value", "above a threshold"], ["off", "never"], ["declared", "as code says"]] },
      {
        name: "value",
        label: `Threshold${alert.alert === "oldest" ? ", seconds" : ""}`,
        as: "number",
        min: 0,
        required: true,
        value: String(alert.threshold ?? alert.default),
        when: (given) => given.how === "value",
      },
    ],
    run: async ({ how, value, reason }) => {
      const threshold = how === "value" ? Number(value) : how === "off" ? null : "declared";
      await put(at`/queues/${alert.queue}/alerts`, { alert: alert.alert, threshold, reason });
      again();
      return "It is judged by it from the next minute on";
    },
  });
}
