// What is wrong, as far as the counts tell. The thresholds are those of `jobs health`.

import { duration, plural } from "./format";
import type { AlertRecord, Overview, QueueLive } from "./schema";

export const DEAD_LETTERS = "dead-letter";
const MOST_WAITING = 1000;
const MOST_FAILED = 100;
export const LATE_MS = 60_000;
const VERY_LATE_MS = 600_000;

export interface Trouble {
  text: string;
  to: string;
  bad: boolean;
}

/** Dead letters lie there until somebody looks: they are not late. */
export const works = (queue: QueueLive): boolean => queue.queue !== DEAD_LETTERS;
/** Of a queue of which a name or a key is paused the oldest job may be one of those, which is not late. */
export const isLate = (queue: QueueLive): boolean =>
  works(queue) && !paused(queue) && (queue.oldest_waiting_ms ?? 0) >= LATE_MS;
export const paused = (queue: QueueLive): string => (queue.paused ? "paused" : queue.pauses ? "paused in part" : "");

export function troubles(told: Overview, alerts: AlertRecord[] = []): Trouble[] {
  const found: Trouble[] = [];
  // What the counts tell of already, by alert and queue.
  const known = new Set<string>();
  const served = new Set(told.workers.filter((each) => !each.silent).flatMap((each) => each.queues));
  for (const each of told.queues) {
    const to = `/queues/${encodeURIComponent(each.queue)}`;
    const say = (alert: string, text: string, bad: boolean): void => {
      known.add(`${alert} ${each.queue}`);
      found.push({ text: `${each.queue}: ${text}`, to, bad });
    };
    if (works(each)) {
      const age = each.oldest_waiting_ms ?? 0;
      // A worker inside an application is on no list, but what it does is seen.
      const idle = !each.active && !each.completed_per_s;
      if (each.waiting && idle && !each.paused && !served.has(each.queue)) say("no_workers", `no worker serves it, ${plural(each.waiting, "job waits", "jobs wait")}`, true);
      else if (isLate(each)) say("oldest", `the oldest job waits for ${duration(age)}`, age >= VERY_LATE_MS);
      else if (each.waiting > MOST_WAITING && !each.paused) say("waiting", `${plural(each.waiting, "job waits", "jobs wait")}`, false);
    }
    if (each.unroutable) say("unroutable", `no worker knows what to do with ${plural(each.unroutable, "job")}`, false);
    if (each.retained_failed > MOST_FAILED) say("failed", `${plural(each.retained_failed, "failed job")} kept`, false);
    if (paused(each)) say("", `${paused(each)}${each.waiting ? `, ${plural(each.waiting, "job waits", "jobs wait")}` : ""}`, false);
  }
  for (const each of alerts)
    if (!known.has(`${each.alert} ${each.queue}`)) found.push({ text: each.message, to: "/alerts", bad: true });
  const silent = told.workers.filter((each) => each.silent);
  if (silent.length) found.push({ text: `${plural(silent.length, "worker is", "workers are")} silent`, to: "/workers", bad: false });
  return found.sort((a, b) => Number(b.bad) - Number(a.bad));
}
