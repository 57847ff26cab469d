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
import type { Column } from "../ui/table";

/** What a column of the thresholds is called, and what it means that one fires. */
const KINDS: Record<string, [name: string, what: string]> = {
  waiting: ["Waiting", "Too many jobs wait"],
  failed: ["Failed", "Too many failed jobs are kept"],
  growing: ["Growing", "The backlog grows, minute by minute"],
  oldest: ["Oldest", "A job waits for too long"],
  failure_rate: ["Failure rate", "Too large a share fails"],
  no_workers: ["No workers", "Jobs wait and nobody serves the queue"],
  unroutable: ["Unroutable", "No worker knows the job"],
};

const UNITS: Record<string, string> = { growing: ", minutes", oldest: ", seconds", failure_rate: ", 0 to 1", no_workers: ", minutes" };

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
                  <Firing alerts={firing} />
                ) : (
                  <Empty title="Nothing fires">
                    <p>Alerts are judged once a minute, for all queues.</p>
                  </Empty>
                )}
              </Panel>
              <Panel title="Thresholds" actions={<span class="hint">Now, and from where on it fires</span>} flush>
                {data.length ? (
                  <Thresholds alerts={data} again={found.again} />
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

const Firing = (props: { alerts: AlertRecord[] }): JSX.Element => (
  <ul class="list">
    {props.alerts.map((each) => (
      <li key={`${each.queue} ${each.alert}`}>
        <Badge tone="bad">{each.alert}</Badge>
        <span class="main-part break">
          <Link to={at`/queues/${each.queue}`}>{each.message || each.queue}</Link>
          <span class="mend small">
            since <When at={each.since} />
          </span>
        </span>
      </li>
    ))}
  </ul>
);

/** A row for each queue, a column for each kind. */
function Thresholds(props: { alerts: AlertRecord[]; again: () => void }): JSX.Element {
  const found = new Map(props.alerts.map((each) => [`${each.alert} ${each.queue}`, each]));
  return (
    <Table
      rows={[...new Set(props.alerts.map((each) => each.queue))]}
      id={(each) => each}
      columns={[
        { name: "Queue", as: "!", cell: (each) => <Link to={at`/queues/${each}`}>{each}</Link> },
        ...Object.entries(KINDS).map(([alert, [name, what]]): Column<string> => ({
          name,
          as: "#",
          cell: (queue) => {
            const one = found.get(`${alert} ${queue}`);
            if (!one) return "–";
            const text = (
              <>
                {one.active ? <Badge tone="bad">{show(alert, one.value)}</Badge> : show(alert, one.value)}
                <span class="small muted limit">{one.threshold === null ? "off" : show(alert, one.threshold)}</span>
              </>
            );
            return isAdmin.value ? (
              <button type="button" class="sort" title={`${what}: change`} onClick={() => change(one, props.again)}>
                <span class="hidden-visually">
                  Change {alert} of {queue}:
                </span>
                {text}
              </button>
            ) : (
              text
            );
          },
        })),
      ]}
    />
  );
}

function change(alert: AlertRecord, again: () => void): void {
  ask(`Alert ${alert.alert} of ${alert.queue}`, {
    verb: "Set",
    fields: [
      { name: "how", label: "It fires", as: "choice", value: "value", choices: [["value", "above a threshold"], ["off", "never"], ["declared", "as code says"]] },
      {
        name: "value",
        label: `Threshold${UNITS[alert.alert] ?? ""}`,
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
