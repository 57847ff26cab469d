// Numbers, durations and times as people read them, in the reader's own zone.

import type { Progress } from "./schema";

const whole = new Intl.NumberFormat("en", { maximumFractionDigits: 0 });
const one = new Intl.NumberFormat("en", { maximumFractionDigits: 1 });
const compact = new Intl.NumberFormat("en", { notation: "compact", maximumFractionDigits: 1 });
const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit" });
const day = new Intl.DateTimeFormat("en-GB", { day: "numeric", month: "short" });
const full = new Intl.DateTimeFormat("en-GB", {
  weekday: "short", day: "numeric", month: "short", year: "numeric",
  hour: "2-digit", minute: "2-digit", second: "2-digit", timeZoneName: "short",
});
export const zone: string = Intl.DateTimeFormat().resolvedOptions().timeZone;

export const count = (value: number): string =>
  Math.abs(value) < 100_000 ? whole.format(value) : compact.format(value);
export const rate = (value: number | null): string =>
  value === null ? "–" : value > 0 && value < 0.1 ? `${one.format(value * 60)}/min` : `${value < 10 ? one.format(value) : count(value)}/s`;
export const percent = (value: number | null): string =>
  value === null ? "–" : `${one.format(Math.floor(value * 1000) / 10)}\u00a0%`;

/** 940 µs, 12.3 ms, 4.2 s, 3 min 5 s, 2 h 10 min, 3 d 4 h. */
export function duration(ms: number | null | undefined): string {
  if (ms === null || ms === undefined) return "–";
  if (ms <= 0) return "0 s";
  if (ms < 1) return `${whole.format(ms * 1000)} µs`;
  if (ms < 1000) return `${ms < 100 ? one.format(ms) : whole.format(ms)} ms`;
  if (ms < 59_950) return `${one.format(ms / 1000)} s`;
  const seconds = Math.round(ms / 1000);
  const units: [number, string][] = [[86_400, "d"], [3600, "h"], [60, "min"], [1, "s"]];
  const first = units.findIndex(([size]) => seconds >= size);
  const [big, bigName] = units[first] ?? [1, "s"];
  const head = `${whole.format(Math.floor(seconds / big))} ${bigName}`;
  const next = units[first + 1];
  if (!next) return head;
  const rest = Math.floor((seconds % big) / next[0]);
  return rest ? `${head} ${rest} ${next[1]}` : head;
}

/** 12.3 MiB. */
export function bytes(value: number): string {
  const mebi = value / 2 ** 20;
  return !value ? "–" : mebi < 1024 ? `${(mebi < 10 ? one : whole).format(mebi)} MiB` : `${one.format(mebi / 1024)} GiB`;
}

export const ms = (time: string): number => Date.parse(time);

/** The clock today, with the day before it on another one. */
export function moment(time: string | null | undefined): string {
  if (!time) return "–";
  const date = new Date(time);
  const today = new Date().toDateString() === date.toDateString();
  return today ? clock.format(date) : `${day.format(date)} ${clock.format(date)}`;
}
export const exact = (time: string | null | undefined): string => (time ? full.format(new Date(time)) : "–");

export function ago(time: string, now: number): string {
  const passed = now - ms(time);
  if (Math.abs(passed) < 1000) return "now";
  return passed > 0 ? `${short(passed)} ago` : `in ${short(-passed)}`;
}

/** One unit only: 4 s, 3 min, 2 h, 5 d. */
export function short(value: number): string {
  if (value < 1000) return `${whole.format(value)} ms`;
  const seconds = value / 1000;
  if (seconds < 60) return `${Math.floor(seconds)} s`;
  if (seconds < 3600) return `${Math.floor(seconds / 60)} min`;
  if (seconds < 86_400) return `${Math.floor(seconds / 3600)} h`;
  return `${Math.floor(seconds / 86_400)} d`;
}

export const plural = (n: number, word: string, many = `${word}s`): string => `${count(n)} ${n === 1 ? word : many}`;

/** How far a job is in percent, if that is known, and all that it told, in words. */
export function progressOf(of: number | Progress): [number | null, string] {
  const { percent, current, total, message }: Progress = typeof of === "number" ? { percent: of } : of;
  const known = percent ?? (current != null && total ? (current / total) * 100 : null);
  const steps = current == null ? "" : total == null ? current : `${current} of ${total}`;
  return [known, [known === null ? "" : `${Math.round(known)} %`, steps, message].filter((each) => each || each === 0).join(", ")];
}
