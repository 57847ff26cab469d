// Recurring jobs: when they fire next, what became of their fires, and what can be done.

import type { JSX } from "preact";
import { at, post, remove } from "../lib/api";
import { count, duration, exact, plural, zone } from "../lib/format";
import { go, query } from "../lib/router";
import { useResource } from "../lib/resource";
import type { HistoryPage, NextTimes, SchedulePage, ScheduleRecord } from "../lib/schema";
import { canOperate } from "../lib/session";
import { ask } from "../ui/ask";
import { act } from "../ui/dialog";
import { History } from "../ui/history";
import { Badge, Code, Empty, Head, Link, Loaded, Panel, Tile, When } from "../ui/parts";
import { Facts, QueueChoice, Table } from "../ui/table";

const TONES = { active: "good", paused: "warn", ended: "" } as const;
const LIMIT = 100;

export function Schedules(): JSX.Element {
  const queue = query.value.get("queue") ?? "";
  const page = useResource<SchedulePage>("/schedules", { queue, limit: LIMIT }, 10_000);
  return (
    <>
      <Head title="Schedules">
        <div class="actions">
          <QueueChoice />
        </div>
      </Head>
      <Panel title={page.data ? plural(page.data.total, "schedule") : "Schedules"} actions={<span class="hint">Times are of {zone}</span>} flush>
        <Loaded of={page}>{(data) => <Listed page={data} again={page.again} />}</Loaded>
      </Panel>
    </>
  );
}

function Listed(props: { page: SchedulePage; again: () => void }): JSX.Element {
  const { schedules, total } = props.page;
  if (!schedules.length) {
    return (
      <Empty title="No schedule yet">
        <p>Write one in code, or from a terminal:</p>
        <pre>jobsctl schedules --help</pre>
      </Empty>
    );
  }
  return (
    <>
      <Table
        rows={schedules}
        id={(each) => `${each.queue} ${each.id}`}
        columns={[
          { name: "Schedule", as: "!", cell: (each) => <Link to={at`/schedules/${each.queue}/${each.id}`}>{each.id}</Link> },
          {
            name: "Job",
            cell: (each) => (
              <>
                <Link to={at`/queues/${each.queue}`}>{each.queue}</Link>
                <span class="mend">{each.name}</span>
              </>
            ),
          },
          {
            name: "When",
            cell: (each) => (
              <>
                {each.explained}
                {each.cron ? <code class="mend">{each.cron}</code> : null}
              </>
            ),
          },
          { name: "Next", cell: (each) => (each.state === "active" && each.next_at ? (
              <>
                <When at={each.next_at} />
                <span class="mend">
                  <When at={each.next_at} relative />
                </span>
              </>
            ) : "–") },
          { name: "Last", cell: (each) => <Last schedule={each} /> },
          { name: "Fired", as: "#", cell: (each) => count(each.fired) },
          {
            name: "State",
            cell: (each) => (
              <Badge tone={TONES[each.state]} title={each.note}>
                {each.state}
              </Badge>
            ),
          },
          canOperate.value && { name: "Actions", as: ".", cell: (each) => <Actions schedule={each} again={props.again} small /> },
        ]}
      />
      {total > schedules.length ? <p class="hint body">The {count(schedules.length)} that fire next are shown. Choose a queue to see its own.</p> : null}
    </>
  );
}

const Last = ({ schedule }: { schedule: ScheduleRecord }): JSX.Element =>
  schedule.last_job ? (
    <Link to={at`/queues/${schedule.queue}/jobs/${schedule.last_job}`}>
      <When at={schedule.last_at} />
    </Link>
  ) : (
    <When at={schedule.last_at} />
  );

function Actions(props: { schedule: ScheduleRecord; again: () => void; small?: boolean }): JSX.Element {
  const { schedule, again } = props;
  const path = at`/schedules/${schedule.queue}/${schedule.id}`;
  const look = `button ${props.small ? "small" : ""}`;
  return (
    <span class="row">
      {schedule.state === "active" ? (
        <button type="button" class={look} onClick={() => void act(() => post(`${path}/pause`), `${schedule.id} is paused`).then(again)}>
          Pause
        </button>
      ) : schedule.state === "paused" ? (
        <button type="button" class={look} onClick={() => void act(() => post(`${path}/resume`), `${schedule.id} goes on`).then(again)}>
          Resume
        </button>
      ) : null}
      <button type="button" class={look} onClick={() => void act(() => post(`${path}/trigger`), "Its job was enqueued").then(again)}>
        Run now
      </button>
    </span>
  );
}

export function Schedule(props: { queue: string; id: string }): JSX.Element {
  const path = at`/schedules/${props.queue}/${props.id}`;
  const found = useResource<ScheduleRecord>(path, undefined, 5000);
  const next = useResource<NextTimes>(`${path}/next`, { n: 5 }, 30_000);
  const history = useResource<HistoryPage>(at`/queues/${props.queue}/history`, { schedule: props.id, limit: 20 }, 10_000);
  const schedule = found.data;
  return (
    <>
      <Head title={<span class="break">{props.id}</span>} crumbs={<Link to="/schedules">Schedules</Link>}>
        {schedule ? <Badge tone={TONES[schedule.state]}>{schedule.state}</Badge> : null}
        {schedule && canOperate.value ? (
          <div class="actions">
            <Actions schedule={schedule} again={found.again} />
            <button type="button" class="button" onClick={() => backfill(schedule, found.again)}>
              Backfill…
            </button>
            <button type="button" class="button danger" onClick={() => takeAway(schedule)}>
              Remove…
            </button>
          </div>
        ) : null}
      </Head>
      <Loaded of={found}>
        {(data) => (
          <>
            {data.note ? (
              <div class="verdict warn" role="status">
                <span class="break">{data.note}</span>
              </div>
            ) : null}
            <div class="tiles">
              <Tile name="Fired" figure={count(data.fired)} note={data.limit === null ? "without a limit" : `of ${count(data.limit)}`} />
              <Tile name="Late" figure={count(data.late)} note="sent over 10 s late" />
              <Tile name="Skipped" figure={count(data.skipped)} note={`misfire: ${data.misfire}`} />
              <Tile name="Missed" figure={count(data.missed)} note="older than was made up for" />
              <Tile name="Overlapped" figure={count(data.overlapped)} note={`overlap: ${data.overlap}`} />
            </div>
            <div class="halves">
              <Panel title="Next fires" actions={<span class="hint">Times are of {zone}</span>} flush>
                <Loaded of={next}>
                  {(times) =>
                    times.times.length ? (
                      <ol class="list">
                        {times.times.map((each) => (
                          <li key={each}>
                            <span class="main-part">{exact(each)}</span>
                            <span class="muted">
                              <When at={each} relative />
                            </span>
                          </li>
                        ))}
                      </ol>
                    ) : (
                      <Empty title={data.after_completion_ms === null ? "It fires no more" : "It waits for the end of a run"} />
                    )
                  }
                </Loaded>
                {data.state === "paused" && next.data?.times.length ? <p class="hint body">It is paused: these would come if it went on now.</p> : null}
              </Panel>
              <Panel title="What it does">
                <Facts
                  of={[
                    ["When", data.explained],
                    data.cron !== null && ["Expression", <code>{data.cron}</code>],
                    [
                      "Job",
                      <>
                        <Link to={at`/queues/${data.queue}`}>{data.queue}</Link> {data.name}, priority {data.priority}
                      </>,
                    ],
                    ["Last", <Last schedule={data} />],
                    ["Written", data.from_code ? "in code" : "by a call"],
                    data.jitter_ms > 0 && ["Jitter", `up to ${duration(data.jitter_ms)}`],
                    (data.start ?? data.end) !== null && [
                      "Between",
                      <>
                        <When at={data.start} /> and <When at={data.end} />
                      </>,
                    ],
                    data.paused_at !== null && [
                      "Paused",
                      <>
                        <When at={data.paused_at} /> {data.paused_by ? `by ${data.paused_by}` : ""}
                      </>,
                    ],
                  ]}
                />
              </Panel>
            </div>
            <Panel title="What it sent" actions={<span class="hint">Of the last 10,000 that ended in {data.queue}</span>} flush>
              <Loaded of={history}>{(page) => <History page={page} />}</Loaded>
            </Panel>
            <Panel title="Payload" flush>
              <Code label="Payload">{JSON.stringify(data.payload, null, 2)}</Code>
            </Panel>
          </>
        )}
      </Loaded>
    </>
  );
}

const local = (ms: number): string => {
  const date = new Date(ms);
  return new Date(ms - date.getTimezoneOffset() * 60_000).toISOString().slice(0, 16);
};

const backfill = (schedule: ScheduleRecord, again: () => void): void =>
  ask(`Backfill ${schedule.id}`, {
    verb: "Backfill",
    text: `A job is enqueued for every time that it has in a range of the past. A time whose job is there is passed over. Times are of ${zone}.`,
    fields: [
      { name: "start", label: "From", as: "datetime-local", required: true, value: local(Date.now() - 86_400_000) },
      { name: "end", label: "To", as: "datetime-local", required: true, value: local(Date.now() - 60_000) },
    ],
    run: async ({ start, end, reason }) => {
      const body = { start: new Date(start).toISOString(), end: new Date(end).toISOString(), reason };
      const done = await post<{ count: number }>(at`/schedules/${schedule.queue}/${schedule.id}/backfill`, body);
      again();
      return `${plural(done.count, "job was", "jobs were")} enqueued`;
    },
  });

const takeAway = (schedule: ScheduleRecord): void =>
  ask(`Remove ${schedule.id}`, {
    verb: "Remove it",
    danger: true,
    text: schedule.from_code ? "Code writes it: it comes back when a worker starts." : "It fires no more.",
    fields: [{ name: "keep", label: "Leave the job that it sent last, where that has not started", as: "switch" }],
    run: async ({ keep, reason }) => {
      await remove(at`/schedules/${schedule.queue}/${schedule.id}`, { keep_job: keep !== "", reason });
      go("/schedules");
      return `${schedule.id} is removed`;
    },
  });
