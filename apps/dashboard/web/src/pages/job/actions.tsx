// What can be done with a job.

import type { JSX } from "preact";
import { at, post, remove } from "../../lib/api";
import { go } from "../../lib/router";
import type { JobDetail } from "../../lib/schema";
import { canOperate } from "../../lib/session";
import { FINAL, PRIORITIES } from "../../lib/terms";
import { ask } from "../../ui/ask";
import { act } from "../../ui/dialog";
import { Copy } from "../../ui/parts";
import { openAgain, openPayload } from "../../ui/replay";
import { asCommand, asTest } from "./copies";

export function Actions(props: { job: JobDetail; again: () => void }): JSX.Element {
  const { job, again } = props;
  const path = at`/queues/${job.queue}/jobs/${job.id}`;
  const final = FINAL.has(job.state);
  const run = (verb: string, told: string): void => void act(() => post(`${path}/${verb}`), told).then(again);
  return (
    <div class="actions">
      {canOperate.value ? (
        <>
          {job.state === "failed" ? (
            <>
              <button type="button" class="button primary" onClick={() => run("retry", "It waits again")}>
                Retry
              </button>
              <button type="button" class="button" onClick={() => openReplay(job, again)}>
                Replay…
              </button>
            </>
          ) : null}
          {job.state === "delayed" ? (
            <button type="button" class="button primary" onClick={() => run("promote", "It may run now")}>
              Run now
            </button>
          ) : null}
          {job.state === "waiting" || job.state === "delayed" ? (
            <button type="button" class="button" onClick={() => openPriority(job, again)}>
              Priority…
            </button>
          ) : null}
          <button type="button" class="button" onClick={() => openAgain(job)}>
            Enqueue again…
          </button>
          {final ? null : (
            <button type="button" class="button danger" onClick={() => openCancel(job, again)}>
              Cancel
            </button>
          )}
          {job.state === "active" ? null : (
            <button type="button" class="button danger" onClick={() => openRemove(job)}>
              Remove
            </button>
          )}
        </>
      ) : null}
      <Copy text={asCommand(job)} label="Copy as CLI" class="button" />
      <Copy text={asTest(job)} label="Copy as test" class="button" />
    </div>
  );
}

const openReplay = (job: JobDetail, done: () => void): void =>
  openPayload({
    title: `Replay ${job.id}`,
    queue: job.queue,
    name: job.name,
    payload: job.payload,
    path: at`/queues/${job.queue}/jobs/${job.id}/replay`,
    verb: "Replay",
    done,
  });

const CANCELS: Readonly<Record<string, string>> = {
  active: "Its handler is asked to stop; the worker settles it as cancelled.",
  blocked: "It will not run, and children that it waits for are cancelled with it.",
};

const openCancel = (job: JobDetail, again: () => void): void =>
  ask(`Cancel ${job.id}`, {
    verb: "Cancel the job",
    danger: true,
    text: CANCELS[job.state] ?? "It will not run.",
    run: async ({ reason }) => {
      const done = await post<{ outcome: string }>(at`/queues/${job.queue}/jobs/${job.id}/cancel`, { reason });
      again();
      return done.outcome === "requested" ? "Its worker was asked to stop it" : done.outcome === "cancelled" ? "It is cancelled" : "It had ended already";
    },
  });

const openRemove = (job: JobDetail): void =>
  ask(`Remove ${job.id}`, {
    verb: "Remove the job",
    danger: true,
    text: "The job and all that is kept of it are gone for good.",
    run: async ({ reason }) => {
      await remove(at`/queues/${job.queue}/jobs/${job.id}`, { reason });
      go(at`/queues/${job.queue}`);
      return "It is removed";
    },
  });

const openPriority = (job: JobDetail, again: () => void): void =>
  ask(`Priority of ${job.id}`, {
    verb: "Change",
    fields: [{ name: "to", label: "Priority", as: "choice", value: job.priority, choices: PRIORITIES }],
    blocked: ({ to }) => to === job.priority,
    run: async ({ to, reason }) => {
      await post(at`/queues/${job.queue}/jobs/${job.id}/priority`, { to, reason });
      again();
      return `Its priority is ${to}`;
    },
  });
