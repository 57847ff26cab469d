// One connection for everything that is live. Freezing stops what is shown, not what is heard.

import { computed, effect, signal } from "@preact/signals";
import { address, get } from "./api";
import type { Overview, QueueLive, Stats } from "./schema";

export type Connection = "connecting" | "live" | "polling" | "lost";
export interface Sample {
  at: number;
  waiting: number;
  active: number;
}

const KEPT = 120;
const POLL_MS = 2000;
const AGAIN_MS = 15_000;

const heard = signal<Overview | null>(null);
const held = signal<Overview | null>(null);
export const connection = signal<Connection>("connecting");
export const frozen = signal(false);
/** What is shown: the newest, or that of the moment when it was frozen. */
export const overview = computed(() => (frozen.value ? held.value : heard.value));
/** The instant that the pages speak of. */
export const now = signal(Date.now());
/** The last two minutes of each queue, a sample a second. */
export const samples = new Map<string, Sample[]>();

/** When each version that works now began to, in Unix seconds: the first of its workers. */
export const versions = (): Map<string, number> => {
  const found = new Map<string, number>();
  for (const each of overview.peek()?.workers ?? []) {
    const at = Date.parse(each.started_at) / 1000;
    found.set(each.version, Math.min(at, found.get(each.version) ?? at));
  }
  return found;
};

export const queueNamed = (name: string): QueueLive | undefined =>
  overview.value?.queues.find((each) => each.queue === name);

export function freeze(on: boolean): void {
  held.value = heard.peek();
  frozen.value = on;
}

function take(told: Overview): void {
  heard.value = told;
  const at = Date.parse(told.at);
  for (const each of told.queues) {
    const kept = samples.get(each.queue) ?? [];
    kept.push({ at, waiting: each.waiting, active: each.active });
    if (kept.length > KEPT) kept.shift();
    samples.set(each.queue, kept);
  }
}

/** Take what was asked for, unless something newer was heard meanwhile: what changed since then is not told again. */
function takeNewer(told: Overview): void {
  const before = heard.peek();
  if (!before || Date.parse(told.at) > Date.parse(before.at)) take(told);
}

/** The first is told in full, then only what changed. */
function merged(told: Stats): Overview {
  const before = told.full ? null : heard.peek();
  if (!before) return told;
  const join = <T>(old: T[], changed: T[], gone: string[], name: (each: T) => string): T[] => {
    const all = new Map([...old, ...changed].map((each) => [name(each), each]));
    for (const each of gone) all.delete(each);
    return [...all.values()].sort((a, b) => (name(a) < name(b) ? -1 : 1));
  };
  return {
    at: told.at,
    queues: join(before.queues, told.queues, told.gone_queues, (each) => each.queue),
    workers: join(before.workers, told.workers, told.gone_workers, (each) => each.id),
  };
}

let source: EventSource | null = null;
let timer = 0;
let wanted = false;

function open(): void {
  if (source) return;
  source = new EventSource(address("/events", { events: "false" }));
  source.addEventListener("stats", (event) => {
    connection.value = "live";
    clearTimeout(timer);
    take(merged(JSON.parse((event as MessageEvent<string>).data) as Stats));
  });
  source.addEventListener("away", () => {
    connection.value = "lost";
  });
  source.onerror = () => {
    if (!source || source.readyState !== EventSource.CLOSED) {
      if (connection.peek() === "live") connection.value = "lost";
    } else {
      // It is refused for good: ask now and then instead, and try it again later.
      source = null;
    }
    clearTimeout(timer);
    timer = setTimeout(poll, POLL_MS);
  };
}

let tried = 0;
async function poll(): Promise<void> {
  if (!wanted) return;
  try {
    takeNewer(await get<Overview>("/overview"));
    if (connection.peek() !== "live") connection.value = "polling";
  } catch {
    connection.value = "lost";
  }
  if (!source && Date.now() - tried > AGAIN_MS) {
    tried = Date.now();
    open();
  }
  clearTimeout(timer);
  timer = setTimeout(poll, POLL_MS);
}

export function connect(): void {
  if (wanted) return;
  wanted = true;
  tried = Date.now();
  void get<Overview>("/overview").then(takeNewer, () => {
    connection.value = "lost";
  });
  open();
}

export function disconnect(): void {
  wanted = false;
  source?.close();
  source = null;
  clearTimeout(timer);
}

setInterval(() => {
  if (!frozen.peek()) now.value = Date.now();
}, 1000);

// A page that nobody sees asks for nothing.
document.addEventListener("visibilitychange", () => {
  if (!wanted) return;
  if (document.hidden) {
    source?.close();
    source = null;
    clearTimeout(timer);
  } else {
    now.value = Date.now();
    open();
  }
});

effect(() => {
  const paused = frozen.value;
  document.documentElement.classList.toggle("frozen", paused);
});
