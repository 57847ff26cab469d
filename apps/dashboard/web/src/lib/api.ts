// Requests to the REST API. Every failure becomes a Failure that says what happened and what to do.

/** Where the dashboard is mounted, without a slash at the end: the entry script lies in `<base>/assets/`. */
export const base: string = (() => {
  const script = document.querySelector<HTMLScriptElement>('script[type="module"][src]');
  return script ? new URL("..", script.src).pathname.replace(/\/$/, "") : "";
})();

/** What the API answers in place of what was asked for (RFC 9457). */
export interface Problem {
  type: string;
  title: string;
  status: number;
  detail: string;
  parameter?: string;
  path?: string;
  nearest?: string[];
}

export class Failure extends Error {
  constructor(readonly problem: Problem) {
    super(problem.detail);
  }
  get status(): number {
    return this.problem.status;
  }
}

export type Query = Record<string, string | number | boolean | readonly string[] | null | undefined>;

/** Called once somebody has to sign in. */
export const onSignedOut: { call: () => void } = { call: () => undefined };

export function address(path: string, query: Query = {}): string {
  const given = new URLSearchParams();
  for (const [name, value] of Object.entries(query)) {
    if (value === null || value === undefined || value === "") continue;
    if (Array.isArray(value)) for (const each of value) given.append(name, String(each));
    else given.append(name, String(value));
  }
  const text = given.toString();
  return `${base}/api${path}${text ? `?${text}` : ""}`;
}

/** Percent-encode what a path names: an id may hold slashes. */
export function at(parts: TemplateStringsArray, ...values: (string | number)[]): string {
  return parts.reduce((all, part, i) => all + part + (i < values.length ? encodeURIComponent(String(values[i])) : ""), "");
}

async function ask<T>(method: string, url: string, body?: unknown, signal?: AbortSignal): Promise<T> {
  let response: Response;
  try {
    response = await fetch(url, {
      method,
      credentials: "same-origin",
      headers: body === undefined ? {} : { "Content-Type": "application/json" },
      ...(body === undefined ? {} : { body: JSON.stringify(body) }),
      ...(signal ? { signal } : {}),
    });
  } catch (error) {
    if (error instanceof DOMException && error.name === "AbortError") throw error;
    throw new Failure({
      type: "unreachable",
      title: "No answer",
      status: 0,
      detail: "The dashboard does not answer. Look whether it runs, and try again.",
    });
  }
  if (response.ok) return (response.status === 204 ? undefined : await response.json()) as T;
  const failure = new Failure(await problemOf(response));
  if (failure.status === 401) onSignedOut.call();
  throw failure;
}

async function problemOf(response: Response): Promise<Problem> {
  try {
    const told = (await response.json()) as Problem;
    if (typeof told.detail === "string") return told;
  } catch {
    // A proxy in between answers as it likes.
  }
  const detail = `The answer was ${response.status} ${response.statusText}, and said no more.`;
  return { type: "http_error", title: "Failed", status: response.status, detail };
}

export const get = <T>(path: string, query?: Query, signal?: AbortSignal): Promise<T> =>
  ask<T>("GET", address(path, query), undefined, signal);
export const post = <T>(path: string, body: unknown = {}, query?: Query): Promise<T> =>
  ask<T>("POST", address(path, query), body);
export const put = <T>(path: string, body: unknown): Promise<T> => ask<T>("PUT", address(path), body);
export const remove = <T>(path: string, query?: Query): Promise<T> => ask<T>("DELETE", address(path, query));
