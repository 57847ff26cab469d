// A schedule in words.

import { duration, plural } from "./format";
import type { ScheduleRecord } from "./schema";

const DAYS = ["Sunday", "Monday", "Tuesday", "Wednesday", "Thursday", "Friday", "Saturday", "Sunday"];
const MONTHS = ["January", "February", "March", "April", "May", "June", "July", "August", "September", "October", "November", "December"];
const NAMES: Record<string, string> = {
  "@yearly": "0 0 1 1 *", "@annually": "0 0 1 1 *", "@monthly": "0 0 1 * *", "@weekly": "0 0 * * 0",
  "@daily": "0 0 * * *", "@midnight": "0 0 * * *", "@hourly": "0 * * * *",
};
const two = (text: string): string => text.padStart(2, "0");
const and = (parts: string[]): string => (parts.length < 2 ? parts.join("") : `${parts.slice(0, -1).join(", ")} and ${parts.at(-1)}`);

function list(field: string, name: (value: string) => string): string | null {
  const parts = field.split(",").map((part) => {
    const range = /^(\w+)-(\w+)$/.exec(part);
    if (range) return `${name(range[1] ?? "")} to ${name(range[2] ?? "")}`;
    return /^\w+$/.test(part) ? name(part) : null;
  });
  return parts.some((each) => each === null) ? null : and(parts as string[]);
}

const dayName = (value: string): string => DAYS[Number(value)] ?? DAYS.find((each) => each.toUpperCase().startsWith(value.toUpperCase())) ?? value;
const monthName = (value: string): string =>
  MONTHS[Number(value) - 1] ?? MONTHS.find((each) => each.toUpperCase().startsWith(value.toUpperCase())) ?? value;

/** `30 9 * * 1-5`: at 09:30 on Monday to Friday. Null where only the expression itself says it. */
export function explainCron(expression: string): string | null {
  const fields = (NAMES[expression.trim().toLowerCase()] ?? expression).trim().split(/\s+/);
  if (fields.length !== 5) return null;
  const [minute = "", hour = "", day = "", month = "", week = ""] = fields;
  const step = (field: string): string | null => /^\*\/(\d+)$/.exec(field)?.[1] ?? null;
  let when: string;
  if (minute === "*" && hour === "*") when = "every minute";
  else if (step(minute) && hour === "*") when = `every ${plural(Number(step(minute)), "minute")}`;
  else if (/^\d+$/.test(minute) && hour === "*") when = minute === "0" ? "every full hour" : `${minute} minutes past every hour`;
  else if (/^\d+$/.test(minute) && step(hour)) when = `at minute ${minute} of every ${plural(Number(step(hour)), "hour")}`;
  else if (/^\d+$/.test(minute) && /^\d+(,\d+)*$/.test(hour)) when = `at ${and(hour.split(",").map((each) => `${two(each)}:${two(minute)}`))}`;
  else return null;
  const parts = [when];
  const days = day === "*" || day === "?" ? "" : list(day, (each) => (each.toUpperCase() === "L" ? "the last day" : each));
  const weekdays = week === "*" || week === "?" ? "" : list(week, dayName);
  const months = month === "*" ? "" : list(month, monthName);
  if (days === null || weekdays === null || months === null) return null;
  if (days && weekdays) parts.push(`on day ${days} of the month, and on ${weekdays}`);
  else if (days) parts.push(days === "the last day" ? "on the last day of the month" : `on day ${days} of the month`);
  else if (weekdays) parts.push(`on ${weekdays}`);
  else if (when.startsWith("at ")) parts.push("every day");
  if (months) parts.push(`in ${months}`);
  return parts.join(" ");
}

export function explain(schedule: ScheduleRecord): string {
  const zone = schedule.cron ? `, ${schedule.timezone}` : "";
  if (schedule.cron) return `${explainCron(schedule.cron) ?? schedule.cron}${zone}`;
  if (schedule.every_ms !== null) return `every ${duration(schedule.every_ms)}`;
  if (schedule.after_completion_ms !== null) return `${duration(schedule.after_completion_ms)} after the run before has ended`;
  return `at ${plural(schedule.at.length, "given time")}`;
}
