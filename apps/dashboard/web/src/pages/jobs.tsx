// Jobs by one search box. The address is the state, so a search can be sent to somebody and kept.

import { useEffect, useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import { at, post, remove } from "../lib/api";
import { count, duration, plural } from "../lib/format";
import { useListing } from "../lib/listing";
import { overview } from "../lib/live";
import { go, query, set } from "../lib/router";
import type { JobRecord } from "../lib/schema";
import { canOperate } from "../lib/session";
import { stored } from "../lib/stored";
import { PRIORITIES, STATES, splitQueue, term, withTerm } from "../lib/terms";
import { openBulk } from "../ui/bulk";
import { ask } from "../ui/ask";
import { notify } from "../ui/dialog";
import { SearchBox } from "../ui/search";
import { Badge, Empty, Head, Link, Panel, StateBadge, Trouble, When } from "../ui/parts";
import { QueueChoice, Table } from "../ui/table";

interface View {
  name: string;
  search: string;
}
const views = stored<View[]>("views", [
  { name: "Failed in the last hour", search: "q=state%3Afailed+age%3C1h" },
  { name: "Running", search: "q=state%3Aactive" },
]);

export function Jobs(): JSX.Element {
  const queue = query.value.get("queue") ?? "";
  const q = query.value.get("q") ?? "";
  const all = (overview.value?.queues ?? []).map((each) => each.queue).join(" ");
  const queues = useMemo(() => (queue ? [queue] : all ? all.split(" ") : []), [queue, all]);
  const [chosen, setChosen] = useState<ReadonlySet<string>>(new Set());
  const found = useListing(queues, q, chosen.size > 0);
  const names = useMemo(() => [...new Set(found.jobs.map((each) => each.name))].sort(), [found.jobs]);
  useEffect(() => setChosen(new Set()), [queue, q]);
  const search = (text: string): void => {
    const [named, rest] = splitQueue(text);
    set({ q: rest || null, ...(named ? { queue: named } : {}) });
  };
  const picked = found.jobs.filter((each) => chosen.has(key(each)));
  const toggle = (jobs: JobRecord[], on: boolean): void => {
    const next = new Set(chosen);
    for (const each of jobs) on ? next.add(key(each)) : next.delete(key(each));
    setChosen(next);
  };
  const wholly = found.jobs.length > 0 && picked.length === found.jobs.length;
  return (
    <>
      <Head title="Jobs">
        <Views />
      </Head>
      <div class="finder">
        <QueueChoice />
        <SearchBox value={q} names={names} search={search} />
      </div>
      <States q={q} queue={queue} />
      {found.error ? <Trouble error={found.error} again={found.again} /> : null}
      <Panel
        title={picked.length ? `${plural(picked.length, "job")} chosen` : found.jobs.length ? `${count(found.jobs.length)}${found.more ? " and more" : ""}` : "Jobs"}
        actions={canOperate.value ? picked.length ? <OnChosen jobs={picked} done={() => { setChosen(new Set()); found.again(); }} /> : <OnAll queue={queue} q={q} done={found.again} /> : null}
        flush
      >
        {found.jobs.length ? (
          <Table
            rows={found.jobs}
            id={key}
            look={(each) => (chosen.has(key(each)) ? "chosen" : "")}
            columns={[
              canOperate.value && {
                name: "Choose",
                as: ".",
                head: <input type="checkbox" aria-label="Choose all that are shown" checked={wholly} onChange={() => toggle(found.jobs, !wholly)} />,
                cell: (each) => (
                  <input
                    type="checkbox"
                    aria-label={`Choose ${each.id}`}
                    checked={chosen.has(key(each))}
                    onChange={(event) => toggle([each], event.currentTarget.checked)}
                  />
                ),
              },
              { name: "Job", as: "!", cell: (each) => <Named job={each} /> },
              !queue && { name: "Queue", cell: (each) => <Link to={at`/queues/${each.queue}`}>{each.queue}</Link> },
              { name: "State", cell: (each) => <StateBadge state={each.state} /> },
              { name: "Priority", cell: (each) => each.priority },
              { name: "Added", cell: (each) => <When at={each.created_at} /> },
              { name: "Attempts", as: "#", cell: (each) => `${each.attempts_made} of ${each.attempts}` },
              { name: "Ran", as: "#", cell: (each) => duration(each.run_ms) },
              { name: "Why", as: "_", cell: (each) => <Why job={each} /> },
            ]}
          />
        ) : found.loading && queues.length ? (
          <p class="empty fade">Looking…</p>
        ) : found.error ? null : found.more ? (
          <Empty title="None so far">
            <p>Some 2,000 jobs were looked at in each step, and there are more.</p>
          </Empty>
        ) : (
          <Empty title={q ? "No job is meant by this" : "No jobs here"}>
            {q ? (
              <button type="button" class="button small" onClick={() => set({ q: null })}>
                Show all jobs
              </button>
            ) : (
              <pre>jobsctl enqueue {queue || "QUEUE"} NAME '{"{…}"}'</pre>
            )}
          </Empty>
        )}
        {found.more ? (
          <p class="row body">
            <button type="button" class="button" disabled={found.loading} onClick={found.next}>
              {found.loading ? "Looking…" : "Show more"}
            </button>
            <span class="hint">
              {queue ? "The search goes on where it stopped." : `${count(found.queues)} of ${plural(queues.length, "queue")} looked through.`}
            </span>
          </p>
        ) : null}
      </Panel>
    </>
  );
}

const key = (job: JobRecord): string => `${job.queue} ${job.id}`;

const Named = ({ job }: { job: JobRecord }): JSX.Element => (
  <>
    <Link class="id" to={at`/queues/${job.queue}/jobs/${job.id}`}>{job.id}</Link>
    <span class="small muted">{job.name}</span>
    {job.tags.slice(0, 3).map((each) => (
      <Badge key={each}>{each.length > 20 ? `${each.slice(0, 20)}…` : each}</Badge>
    ))}
  </>
);

const Why = ({ job }: { job: JobRecord }): JSX.Element =>
  job.failed_reason ? (
    <span class="reason">{job.failed_reason}</span>
  ) : job.state === "delayed" && job.run_at ? (
    <>
      due <When at={job.run_at} relative />
    </>
  ) : (
    <>–</>
  );

function States(props: { q: string; queue: string }): JSX.Element {
  const now = term(props.q, "state");
  const queues = (overview.value?.queues ?? []).filter((each) => !props.queue || each.queue === props.queue);
  const number = (state: (typeof STATES)[number]): number =>
    queues.reduce((sum, each) => sum + (state === "completed" || state === "failed" || state === "cancelled" || state === "expired" ? each[`retained_${state}`] : each[state]), 0);
  return (
    <div class="segments" role="group" aria-label="State">
      {["", ...STATES].map((each) => (
        <button
          key={each}
          type="button"
          class="button small"
          aria-pressed={now === each}
          onClick={() => set({ q: withTerm(props.q, "state", each) || null })}
        >
          {each || "all"}
          {each && queues.length ? <span class="muted">{count(number(each as (typeof STATES)[number]))}</span> : null}
        </button>
      ))}
    </div>
  );
}

const VERBS = [
  { verb: "retry", name: "Retry", danger: false },
  { verb: "promote", name: "Run now", danger: false },
  { verb: "cancel", name: "Cancel", danger: true },
  { verb: "remove", name: "Remove", danger: true },
] as const;

function OnChosen(props: { jobs: JobRecord[]; done: () => void }): JSX.Element {
  const run = async (verb: (typeof VERBS)[number]["verb"]): Promise<void> => {
    const outcomes = await Promise.allSettled(
      props.jobs.map((each) =>
        verb === "remove" ? remove(at`/queues/${each.queue}/jobs/${each.id}`) : post(at`/queues/${each.queue}/jobs/${each.id}/${verb}`),
      ),
    );
    const failed = outcomes.filter((each) => each.status === "rejected");
    const why = failed[0]?.status === "rejected" ? ` ${String((failed[0].reason as Error).message)}` : "";
    notify(`${verb}: ${plural(outcomes.length - failed.length, "job")} done${failed.length ? `, ${count(failed.length)} not.${why}` : ""}`, failed.length > 0);
    props.done();
  };
  return (
    <>
      {VERBS.map((each) => (
        <button key={each.verb} type="button" class={`button small ${each.danger ? "danger" : ""}`} onClick={() => void run(each.verb)}>
          {each.name}
        </button>
      ))}
    </>
  );
}

function OnAll(props: { queue: string; q: string; done: () => void }): JSX.Element | null {
  const { queue, q } = props;
  if (!queue || !q) return <span class="hint">To change all that match, choose a queue and a search.</span>;
  return (
    <>
      <span class="small muted">All that match:</span>
      {VERBS.map((each) => (
        <button
          key={each.verb}
          type="button"
          class={`button small ${each.danger ? "danger" : ""}`}
          onClick={() =>
            openBulk({
              title: `${each.name} all of ${queue} that match ${q}`,
              verb: each.name,
              danger: each.danger,
              path: "/bulk",
              body: { verb: each.verb, queue, q },
              done: props.done,
            })
          }
        >
          {each.name}…
        </button>
      ))}
      <button
        type="button"
        class="button small"
        onClick={() =>
          openBulk({
            title: `Another priority for all of ${queue} that match ${q}`,
            verb: "Change",
            path: "/bulk",
            body: { verb: "priority", queue, q, to: "high" },
            done: props.done,
            choices: (change, body) => (
              <label class="field">
                <span>Priority</span>
                <select value={String(body.to)} onChange={(event) => change({ to: event.currentTarget.value })}>
                  {PRIORITIES.map((name) => (
                    <option key={name} value={name}>
                      {name}
                    </option>
                  ))}
                </select>
              </label>
            ),
          })
        }
      >
        Priority…
      </button>
    </>
  );
}

function Views(): JSX.Element {
  const now = query.value.toString();
  const saved = views.value.find((each) => each.search === now);
  return (
    <div class="actions">
      {views.value.map((each) => (
        <button
          key={each.name}
          type="button"
          class="button small"
          aria-pressed={each.search === now}
          onClick={() => go(`/jobs?${each.search}`, { keep: true })}
        >
          {each.name}
        </button>
      ))}
      {saved ? (
        <button
          type="button"
          class="button small quiet"
          onClick={() => {
            views.value = views.value.filter((each) => each !== saved);
          }}
        >
          Forget this view
        </button>
      ) : now ? (
        <button type="button" class="button small quiet" onClick={() => save(now)}>
          Save this view
        </button>
      ) : null}
    </div>
  );
}

const save = (search: string): void =>
  ask("Save this view", {
    verb: "Save",
    audited: false,
    fields: [{ name: "name", label: "Name", required: true }],
    run: async ({ name }) => {
      views.value = [...views.value.filter((each) => each.name !== name.trim()), { name: name.trim(), search }];
      return Promise.resolve("Saved in this browser");
    },
  });
