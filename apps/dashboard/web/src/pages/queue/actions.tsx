// All that can be done to a queue.

import type { JSX } from "preact";
import { at, post } from "../../lib/api";
import type { QueueLive } from "../../lib/schema";
import { canOperate, isAdmin } from "../../lib/session";
import { ask } from "../../ui/ask";
import { openBulk } from "../../ui/bulk";
import { act } from "../../ui/dialog";
import { Icon } from "../../ui/icons";

export function Actions(props: { queue: QueueLive; again: () => void }): JSX.Element | null {
  const { queue, again } = props;
  const name = queue.queue;
  if (!canOperate.value) return null;
  return (
    <div class="actions">
      {queue.paused ? (
        <button type="button" class="button primary" onClick={() => void act(() => post(at`/queues/${name}/resume`), `${name} goes on`).then(again)}>
          <Icon name="play" />
          Resume
        </button>
      ) : (
        <button type="button" class="button" onClick={() => openPause(name, again)}>
          <Icon name="pause" />
          Pause
        </button>
      )}
      <button
        type="button"
        class="button"
        disabled={!queue.retained_failed}
        onClick={() =>
          openBulk({
            title: `Retry what failed in ${name}`,
            verb: "Retry",
            path: at`/queues/${name}/retry-failed`,
            body: {},
            done: again,
          })
        }
      >
        Retry failed
      </button>
      <button type="button" class="button" onClick={() => openClean(name, again)}>
        Clean
      </button>
      <button type="button" class="button danger" onClick={() => openDrain(name, again)}>
        Drain
      </button>
      {isAdmin.value ? (
        <button type="button" class="button danger" onClick={() => openObliterate(name, again)}>
          Obliterate
        </button>
      ) : null}
    </div>
  );
}

const openPause = (name: string, again: () => void): void =>
  ask(`Pause ${name}`, {
    verb: "Pause",
    text: "Workers take no more of its jobs. Those that run go on.",
    fields: [
      { name: "minutes", label: "For how many minutes", as: "number", min: 0.1, hint: "Empty: until it is resumed." },
      { name: "job", label: "Only jobs of the name", hint: "Empty: the whole queue." },
    ],
    run: async ({ minutes, job, reason }) => {
      const only = job.trim();
      await post(at`/queues/${name}/pause`, { reason, for_ms: minutes ? Math.round(Number(minutes) * 60_000) : null, job: only || null });
      again();
      return `${only || name} is paused`;
    },
  });

const openDrain = (name: string, done: () => void): void =>
  openBulk({
    title: `Drain ${name}`,
    verb: "Remove them",
    danger: true,
    path: at`/queues/${name}/drain`,
    body: { delayed: false },
    done,
    choices: (change, body) => (
      <>
        <p>Jobs that wait are removed for good. One that runs is never touched.</p>
        <label class="check">
          <input type="checkbox" checked={body.delayed === true} onChange={(event) => change({ delayed: event.currentTarget.checked })} />
          Also those that are not yet due
        </label>
      </>
    ),
  });

const ENDED = ["completed", "failed", "cancelled", "expired"] as const;

const openClean = (name: string, done: () => void): void =>
  openBulk({
    title: `Clean ${name}`,
    verb: "Remove them",
    danger: true,
    path: at`/queues/${name}/clean`,
    body: { state: ["completed"], older_than_ms: 3_600_000 },
    done,
    choices: (change, body) => {
      const chosen = body.state as string[];
      return (
        <>
          <fieldset class="row plain">
            <legend class="label">Jobs that</legend>
            {ENDED.map((each) => (
              <label key={each} class="check">
                <input
                  type="checkbox"
                  checked={chosen.includes(each)}
                  disabled={chosen.length === 1 && chosen[0] === each}
                  onChange={(event) =>
                    change({ state: event.currentTarget.checked ? [...chosen, each] : chosen.filter((other) => other !== each) })
                  }
                />
                {each}
              </label>
            ))}
          </fieldset>
          <label class="field">
            <span>Ended at least so many hours ago</span>
            <input
              type="number"
              min={0}
              step="any"
              value={Number(body.older_than_ms) / 3_600_000}
              onInput={(event) => change({ older_than_ms: Math.max(0, Math.round(Number(event.currentTarget.value) * 3_600_000)) })}
            />
          </label>
        </>
      );
    },
  });

const openObliterate = (name: string, done: () => void): void =>
  openBulk({
    title: `Obliterate ${name}`,
    verb: "Obliterate",
    danger: true,
    path: at`/queues/${name}/obliterate`,
    body: { confirm: "", force: false },
    done,
    blocked: (body) => body.confirm !== name,
    choices: (change, body) => (
      <>
        <p>Everything that the queue has is taken away: jobs of all states, totals, remembered ids. There is no way back.</p>
        <label class="check">
          <input type="checkbox" checked={body.force === true} onChange={(event) => change({ force: event.currentTarget.checked })} />
          Also while jobs run: they are cancelled
        </label>
        <label class="field">
          <span>
            Type <code>{name}</code>
          </span>
          <input type="text" autocomplete="off" value={String(body.confirm)} onInput={(event) => change({ confirm: event.currentTarget.value })} />
        </label>
      </>
    ),
  });
