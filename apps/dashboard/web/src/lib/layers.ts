// Places the jobs of a flow: each in a column behind all that it waits for, and many that are alike as one.

import type { FlowJobRecord } from "./schema";

export interface Spot {
  key: string;
  jobs: FlowJobRecord[];
  column: number;
  /** From the top, in heights of one; columns are centred. */
  row: number;
  /** The keys of those that it waits for. */
  after: string[];
}

export interface Layers {
  spots: Spot[];
  columns: number;
  rows: number;
  /** How many edges lead to jobs that are not among these. */
  outside: number;
}

/** So many of one name, which wait for the same and are waited for by the same, stand as one. */
const ALIKE = 5;

/** Work takes time in proportion to jobs and edges; `opened` are keys of spots whose jobs are to stand alone. */
export function layers(jobs: readonly FlowJobRecord[], opened: ReadonlySet<string>): Layers {
  const here = new Map(jobs.map((each) => [each.number, each]));
  const followers = new Map<number, number[]>();
  let outside = 0;
  for (const job of jobs) {
    // Of thousands that it waits for some are named, those that are here before others.
    outside += job.after_total - job.after.length;
    for (const { number } of job.after) {
      if (!here.has(number)) outside += 1;
      else followers.set(number, [...(followers.get(number) ?? []), job.number]);
    }
  }
  const alike = new Map<string, FlowJobRecord[]>();
  for (const job of jobs) {
    const key = `${job.queue} ${job.name} | ${job.after.map((each) => each.number).join()} | ${followers.get(job.number)?.join() ?? ""}`;
    alike.set(key, [...(alike.get(key) ?? []), job]);
  }
  const spots = [...alike].flatMap(([key, all]): Spot[] =>
    all.length < ALIKE || opened.has(key)
      ? all.map((job) => ({ key: String(job.number), jobs: [job], column: 0, row: 0, after: [] }))
      : [{ key, jobs: all, column: 0, row: 0, after: [] }],
  );
  const of = new Map(spots.flatMap((spot) => spot.jobs.map((job) => [job.number, spot] as const)));
  for (const spot of spots) {
    const waited = (spot.jobs[0]?.after ?? []).flatMap((each) => of.get(each.number) ?? []);
    spot.after = [...new Set(waited.map((each) => each.key))];
  }
  const columns = place(spots);
  return { spots, columns: columns.length, rows: Math.max(1, ...columns.map((each) => each.length)), outside };
}

/** Give each spot its column and row, and return the columns. */
function place(spots: Spot[]): Spot[][] {
  const named = new Map(spots.map((each) => [each.key, each]));
  const followers = new Map<string, Spot[]>();
  const open = new Map<string, number>();
  for (const spot of spots) {
    open.set(spot.key, spot.after.length);
    for (const each of spot.after) followers.set(each, [...(followers.get(each) ?? []), spot]);
  }
  // One after the other, without recursion: a chain may be long.
  const ready = spots.filter((each) => !each.after.length);
  for (let i = 0; i < ready.length; i++) {
    const spot = ready[i];
    for (const next of (spot && followers.get(spot.key)) ?? []) {
      next.column = Math.max(next.column, (spot?.column ?? 0) + 1);
      const left = (open.get(next.key) ?? 0) - 1;
      open.set(next.key, left);
      if (!left) ready.push(next);
    }
  }
  const columns: Spot[][] = [];
  for (const spot of spots) (columns[spot.column] ??= []).push(spot);
  const found = columns.filter(() => true);
  const tallest = Math.max(1, ...found.map((each) => each.length));
  for (const column of found) {
    const mean = (spot: Spot): number => spot.after.reduce((sum, each) => sum + (named.get(each)?.row ?? 0), 0) / (spot.after.length || 1);
    const middle = new Map(column.map((spot, i) => [spot, spot.after.length ? mean(spot) : i]));
    column.sort((a, b) => (middle.get(a) ?? 0) - (middle.get(b) ?? 0));
    column.forEach((spot, i) => {
      spot.row = i + (tallest - column.length) / 2;
    });
  }
  return found;
}
