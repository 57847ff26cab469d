// One flow: its jobs as a graph, or one below the other, page by page.

import { useEffect, useState } from "preact/hooks";
import type { JSX } from "preact";
import { at, post } from "../lib/api";
import { count } from "../lib/format";
import { query, set } from "../lib/router";
import { useResource } from "../lib/resource";
import type { FlowJobRecord, FlowJobsPage, FlowRecord } from "../lib/schema";
import { canOperate } from "../lib/session";
import { ask } from "../ui/ask";
import { act } from "../ui/dialog";
import { Graph } from "../ui/graph";
import { Empty, Head, Link, Loaded, Panel, StateBadge, Tile } from "../ui/parts";
import { Table } from "../ui/table";

/** A graph of more says nothing, and a page of it stays quick. */
const LIMIT = 200;
/** A job may wait for all others, and says for which: so much is not asked for every other second. */
const MANY = 1000;
const STATES = ["pending", "active", "failed", "completed"];

export function Flow(props: { id: string }): JSX.Element {
  const path = at`/flows/${props.id}`;
  const state = query.value.get("state") ?? "";
  const listed = query.value.get("view") === "list";
  const [start, setStart] = useState(0);
  const [every, setEvery] = useState(2000);
  const found = useResource<FlowJobsPage>(`${path}/jobs`, { start, state, limit: LIMIT }, every);
  const flow = found.data?.flow;
  const many = (flow?.total ?? 0) > MANY;
  useEffect(() => setEvery(many ? 10_000 : 2000), [many]);
  const choice = (name: string, value: string, now: string, text = value): JSX.Element => (
    <button
      key={text}
      type="button"
      class="button small"
      aria-pressed={now === value}
      onClick={() => {
        setStart(0);
        set({ [name]: value });
      }}
    >
      {text}
    </button>
  );
  return (
    <>
      <Head title={<span class="break">{flow?.name || props.id}</span>} crumbs={<Link to="/flows">Flows</Link>}>
        {flow ? <StateBadge state={flow.state} /> : null}
        {flow && canOperate.value ? <Actions flow={flow} path={path} again={found.again} /> : null}
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
            <Panel
              title="Jobs"
              actions={
                <>
                  <div class="segments" role="group" aria-label="State">
                    {choice("state", "", state, "all")}
                    {STATES.map((each) => choice("state", each, state))}
                  </div>
                  <div class="segments" role="group" aria-label="As">
                    {choice("view", "", listed ? "list" : "", "Graph")}
                    {choice("view", "list", listed ? "list" : "", "List")}
                  </div>
                </>
              }
              flush
            >
              {!jobs.length ? <Empty title="No job is in this state" /> : listed ? <List jobs={jobs} /> : <Graph jobs={jobs} />}
              {start || next !== null ? (
                <p class="row body">
                  <button type="button" class="button" onClick={() => setStart(next ?? 0)}>
                    {next === null ? "First page" : "Next page"}
                  </button>
                  <span class="hint">
                    {jobs.length ? `Numbers ${count(jobs[0]?.number ?? 0)} to ${count(jobs.at(-1)?.number ?? 0)} of ${count(flow.total)}` : ""}
                  </span>
                </p>
              ) : null}
            </Panel>
          </>
        )}
      </Loaded>
    </>
  );
}

const List = (props: { jobs: FlowJobRecord[] }): JSX.Element => (
  <Table
    rows={props.jobs}
    id={(each) => String(each.number)}
    columns={[
      { name: "Job", as: "!", cell: (each) => <Link to={at`/queues/${each.queue}/jobs/${each.id}`}>{each.label || each.id}</Link> },
      { name: "Name", cell: (each) => `${each.queue} ${each.name}` },
      { name: "State", cell: (each) => <StateBadge state={each.state} /> },
      {
        name: "After",
        cell: (each) => `${each.after.slice(0, 5).map((other) => other.label || other.number).join(", ")}${each.after_total > 5 ? ` and ${count(each.after_total - 5)} more` : ""}`,
      },
      { name: "Why", as: "_", cell: (each) => each.error },
    ]}
  />
);

function Actions(props: { flow: FlowRecord; path: string; again: () => void }): JSX.Element {
  const { flow, path, again } = props;
  return (
    <div class="actions">
      {flow.state === "failed" ? (
        <button type="button" class="button primary" onClick={() => void act(() => post(`${path}/retry`), "It goes on from what failed").then(again)}>
          Retry
        </button>
      ) : null}
      {flow.ended_at ? null : (
        <button
          type="button"
          class="button danger"
          onClick={() =>
            ask(`Cancel ${flow.name || flow.id}`, {
              verb: "Cancel the flow",
              danger: true,
              text: "All its jobs are cancelled; those that run are asked to stop.",
              run: async ({ reason }) => {
                await post(`${path}/cancel`, { reason });
                again();
                return "It is cancelled";
              },
            })
          }
        >
          Cancel
        </button>
      )}
    </div>
  );
}
