// The qualifiers of the query language that CLI and API share, as far as a search box suggests them.

export const STATES = [
  "waiting", "active", "delayed", "blocked", "failed", "completed", "cancelled", "expired", "unroutable",
] as const;
export const PRIORITIES = ["critical", "high", "normal", "low", "background"] as const;

/** Where a job goes on from no more. */
export const FINAL: ReadonlySet<string> = new Set(["completed", "failed", "cancelled", "expired"]);

export interface Suggestion {
  text: string;
  what: string;
}

const QUALIFIERS: Suggestion[] = [
  { text: "state:", what: "in one of these states" },
  { text: "name:", what: "of this name, or name@version" },
  { text: "error:", what: "whose reason of failure holds a text" },
  { text: "tag:", what: "with a tag" },
  { text: "id:", what: "of an id, or of several" },
  { text: "priority:", what: "of a priority" },
  { text: "age>", what: "that ended so long ago, such as age>1h" },
  { text: "age<", what: "that ended since, such as age<10m" },
  { text: "attempts>=", what: "that failed so often" },
  { text: "stalled>", what: "that lost their worker so often" },
  { text: "payload.", what: "with a value at a path, such as payload.user_id=7" },
  { text: "metadata.", what: "likewise in the metadata" },
];

const words = (text: string): string[] => text.match(/(?:[^\s"]|"(?:[^"\\]|\\.)*"?)+/g) ?? [];

/** What the word that is typed now may become. */
export function suggest(text: string, names: string[]): Suggestion[] {
  const last = /\s$/.test(text) ? "" : (words(text).at(-1) ?? "");
  const minus = last.startsWith("-") ? "-" : "";
  const word = last.slice(minus.length);
  const values = (field: string, all: readonly string[], what: string): Suggestion[] => {
    const typed = word.slice(field.length);
    const before = typed.includes(",") ? typed.slice(0, typed.lastIndexOf(",") + 1) : "";
    const rest = typed.slice(before.length);
    return all.filter((each) => each.startsWith(rest) && each !== rest).map((each) => ({ text: `${minus}${field}${before}${each}`, what }));
  };
  if (word.startsWith("state:")) return values("state:", STATES, "state");
  if (word.startsWith("priority:")) return values("priority:", PRIORITIES, "priority");
  if (word.startsWith("name:")) return values("name:", names, "job");
  return QUALIFIERS.filter((each) => each.text.startsWith(word) && each.text !== word).map((each) => ({
    ...each,
    text: minus + each.text,
  }));
}

/** Put a suggestion in place of the word that is typed. */
export function accept(text: string, suggestion: string): string {
  const last = /\s$/.test(text) ? "" : (words(text).at(-1) ?? "");
  const whole = text.slice(0, text.length - last.length) + suggestion;
  return /[:>=<.]$/.test(whole) ? whole : `${whole} `;
}

/** Put another term of a field in place of those that are there; "" takes them away. */
export function withTerm(text: string, field: string, value: string): string {
  const others = words(text).filter((each) => !each.startsWith(`${field}:`));
  return [...(value ? [`${field}:${value}`] : []), ...others].join(" ");
}
export const term = (text: string, field: string): string =>
  words(text).find((each) => each.startsWith(`${field}:`))?.slice(field.length + 1) ?? "";

/** Read `queue:email` out of a query: the API has a route for each queue. */
export function splitQueue(text: string): [queue: string | null, rest: string] {
  const queue = term(text, "queue");
  return queue ? [queue, withTerm(text, "queue", "")] : [null, text];
}
