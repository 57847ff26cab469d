// What failed for good, by kind of error, and how to run it again.

import { useEffect, useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import { Failure, at, get, remove } from "../lib/api";
import { count, plural } from "../lib/format";
import { useResource } from "../lib/resource";
import { query, set } from "../lib/router";
import type { ErrorGroups, Letter, LetterCount, LetterPage } from "../lib/schema";
import { canOperate } from "../lib/session";
import { openBulk } from "../ui/bulk";
import { Trend } from "../ui/chart";
import { act } from "../ui/dialog";
import { Badge, Code, Empty, Head, Link, Loaded, Panel, Trouble, When } from "../ui/parts";
import { openPayload } from "../ui/replay";
import { Table } from "../ui/table";

const DAY = 1440;

export function DeadLetters(): JSX.Element {
  const given = query.value;
  const chosen = { queue: given.get("queue") ?? "", name: given.get("name") ?? "", group: given.get("group") ?? "" };
  // A queue is asked for by a link; where one of its kinds of errors is chosen, the others stay in sight.
  const queue = chosen.group ? null : chosen.queue || null;
  const groups = useResource<LetterCount[]>("/dead-letters/groups", { queue }, 10_000);
  const errors = useResource<ErrorGroups>("/errors", { minutes: DAY, queue: chosen.queue || null }, 60_000);
  const some = Boolean(chosen.queue || chosen.name || chosen.group);
  const [turn, setTurn] = useState(0);
  return (
    <>
      <Head title="Dead letters">
        {canOperate.value ? (
          <div class="actions">
            <button
              type="button"
              class="button primary"
              onClick={() => openReplayAll(chosen, () => setTurn((n) => n + 1))}
            >
              {some ? "Replay this group…" : "Replay all…"}
            </button>
          </div>
        ) : null}
      </Head>
      <Panel title="By error" actions={<span class="hint">Counts of all there ever were</span>} flush>
        <Loaded of={groups}>{(data) => <Groups groups={data} chosen={chosen} errors={errors.data} />}</Loaded>
      </Panel>
      <Letters chosen={chosen} some={some} turn={turn} />
    </>
  );
}

interface Chosen {
  queue: string;
  name: string;
  group: string;
}

const openReplayAll = (chosen: Chosen, done: () => void): void =>
  openBulk({
    title: chosen.group || chosen.name || chosen.queue ? `Replay ${[chosen.group, chosen.name, chosen.queue].filter(Boolean).join(", ")}` : "Replay all dead letters",
    verb: "Replay",
    path: "/dead-letters/replay",
    body: { queue: chosen.queue || null, name: chosen.name || null, group: chosen.group || null, rate: null },
    done,
    choices: (change, body) => (
      <>
        <p>Each job runs again with all its attempts. What fails once more comes back here.</p>
        <label class="field">
          <span>At most so many a second</span>
          <input
            type="number"
            min={0.1}
            step="any"
            value={body.rate === null ? "" : String(body.rate)}
            onInput={(event) => change({ rate: event.currentTarget.value ? Number(event.currentTarget.value) : null })}
          />
          <span class="hint">Empty: as fast as it goes.</span>
        </label>
      </>
    ),
  });

function Groups(props: { groups: LetterCount[]; chosen: Chosen; errors: ErrorGroups | undefined }): JSX.Element {
  const { groups, chosen } = props;
  if (!groups.length) {
    return (
      <Empty title="No job has failed for good">
        <p>Jobs that used up their attempts come here, of queues with a dead-letter policy.</p>
      </Empty>
    );
  }
  const known = (text: string): string => (text === "*" ? "" : text);
  const name = (each: LetterCount): string => known(each.name).split("@")[0] ?? "";
  const here = (each: LetterCount): boolean =>
    chosen.queue === each.queue && chosen.name === name(each) && chosen.group === known(each.group);
  const lately = new Map(props.errors?.groups.map((each) => [each.error, each]));
  return (
    <Table
      rows={groups.slice(0, 100)}
      id={(each) => `${each.queue} ${each.name} ${each.group}`}
      look={(each) => (here(each) ? "chosen" : "")}
      columns={[
        {
          name: "Error",
          as: "!",
          cell: (each) => (
            <button
              type="button"
              class="link break"
              aria-pressed={here(each)}
              onClick={() =>
                here(each) ? set({ queue: null, name: null, group: null }) : set({ queue: each.queue, name: name(each), group: known(each.group) })
              }
            >
              {each.group === "*" ? "other errors" : each.group || "without a reason"}
            </button>
          ),
        },
        { name: "Queue", cell: (each) => each.queue },
        { name: "Job", cell: (each) => (each.name === "*" ? "other jobs" : each.name) },
        {
          name: "Last 24 h",
          cell: (each) => {
            const found = !chosen.queue || chosen.queue === each.queue ? lately.get(each.group) : undefined;
            const where = chosen.queue ? `in ${chosen.queue}` : "in all queues";
            return found ? <Trend counts={found.trend} label={`${plural(found.count, "failure")} in 24 hours, ${where}`} /> : "–";
          },
        },
        { name: "Count", as: "#", cell: (each) => <Badge tone="bad">{count(each.count)}</Badge> },
      ]}
    />
  );
}

function Letters(props: { chosen: Chosen; some: boolean; turn: number }): JSX.Element {
  const { chosen } = props;
  const asked = useMemo(() => ({ ...chosen }), [chosen.queue, chosen.name, chosen.group]);
  const [letters, setLetters] = useState<Letter[] | null>(null);
  const [cursor, setCursor] = useState<string | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [again, setAgain] = useState(0);
  const look = async (from: string | null, before: Letter[], signal?: AbortSignal): Promise<void> => {
    try {
      const page = await get<LetterPage>("/dead-letters", { ...asked, limit: 25, cursor: from }, signal);
      setLetters([...before, ...page.letters]);
      setCursor(page.cursor);
      setError(null);
    } catch (problem) {
      if (signal?.aborted) return;
      if (!(problem instanceof Failure)) throw problem;
      setError(problem);
    }
  };
  useEffect(() => {
    const control = new AbortController();
    void look(null, [], control.signal);
    return () => control.abort();
  }, [asked, props.turn, again]);
  const afresh = (): void => setAgain((n) => n + 1);
  return (
    <Panel
      title={props.some ? "Letters of this group" : "Letters"}
      actions={
        props.some ? (
          <button type="button" class="button small" onClick={() => set({ queue: null, name: null, group: null })}>
            Show all
          </button>
        ) : null
      }
      flush
    >
      {error ? <Trouble error={error} again={afresh} /> : null}
      {letters?.length ? (
        <ul class="letters">
          {letters.map((each) => (
            <li key={each.id}>
              <OneLetter letter={each} done={afresh} />
            </li>
          ))}
        </ul>
      ) : letters ? (
        <Empty title={cursor ? "None so far" : "No letter is kept"}>
          <p>{props.some ? "Those of this group were replayed or removed, or are too old." : "What fails for good is kept here for 30 days."}</p>
        </Empty>
      ) : error ? null : (
        <p class="empty fade">Loading…</p>
      )}
      {cursor ? (
        <p class="body">
          <button type="button" class="button" onClick={() => void look(cursor, letters ?? [])}>
            Show more
          </button>
        </p>
      ) : null}
    </Panel>
  );
}

function OneLetter(props: { letter: Letter; done: () => void }): JSX.Element {
  const { letter, done } = props;
  const path = at`/dead-letters/${letter.id}`;
  const last = letter.attempts.at(-1);
  return (
    <details>
      <summary>
        <span class="main-part break">
          <strong>{letter.reason}</strong>
          <span class="small muted">
            {letter.queue}, {letter.name}, <When at={letter.failed_at} />
          </span>
        </span>
        {letter.state === "waiting" ? null : <Badge title="by the processor of dead letters">{letter.state === "completed" ? "processed" : letter.state}</Badge>}
      </summary>
      <div class="stack body">
        <div class="row">
          <Link to={at`/queues/${letter.queue}/jobs/${letter.job}`}>The job</Link>
          {canOperate.value ? (
            <>
              <button
                type="button"
                class="button small primary"
                onClick={() =>
                  openPayload({
                    title: `Replay ${letter.job}`,
                    queue: letter.queue,
                    name: letter.name,
                    payload: letter.payload,
                    path: `${path}/replay`,
                    verb: "Replay",
                    done,
                  })
                }
              >
                Replay…
              </button>
              <button type="button" class="button small danger" onClick={() => void act(() => remove(path), "The letter is removed").then(done)}>
                Remove
              </button>
            </>
          ) : null}
        </div>
        {letter.payload_known ? <Code label="Payload">{JSON.stringify(letter.payload, null, 2)}</Code> : <p class="hint">Its payload is encrypted, or too large to be shown.</p>}
        {last?.stack ? <Code label="Stack">{last.stack}</Code> : null}
        <p class="hint">{plural(letter.attempts.length, "attempt")} failed{last?.worker ? `, the last on ${last.worker}` : ""}.</p>
      </div>
    </details>
  );
}
