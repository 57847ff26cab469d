// The address is the state: one signal for it, and links that change it without loading the page anew.

import { computed, signal } from "@preact/signals";
import { base } from "./api";

const here = signal(read());

function read(): { path: string; query: URLSearchParams } {
  const path = location.pathname.slice(base.length) || "/";
  return { path: path.length > 1 ? path.replace(/\/$/, "") : path, query: new URLSearchParams(location.search) };
}

export const path = computed(() => here.value.path);
export const query = computed(() => here.value.query);

export const href = (to: string): string => `${base}${to}`;

/** Called after each change of page, so that focus follows. */
export const afterMove: { call: () => void } = { call: () => undefined };

export function go(to: string, options: { replace?: boolean; keep?: boolean } = {}): void {
  if (options.replace) history.replaceState(null, "", href(to));
  else history.pushState(null, "", href(to));
  const before = here.peek().path;
  here.value = read();
  if (!options.keep && here.peek().path !== before) {
    scrollTo(0, 0);
    afterMove.call();
  }
}

/** Change parameters of the address and leave the others; null takes one away. */
export function set(changes: Record<string, string | string[] | null>, replace = false): void {
  const next = new URLSearchParams(here.peek().query);
  for (const [name, value] of Object.entries(changes)) {
    next.delete(name);
    if (Array.isArray(value)) for (const each of value) next.append(name, each);
    else if (value !== null && value !== "") next.set(name, value);
  }
  const text = next.toString();
  go(`${here.peek().path}${text ? `?${text}` : ""}`, { replace, keep: true });
}

export function start(): void {
  addEventListener("popstate", () => {
    here.value = read();
  });
  document.addEventListener("click", (event) => {
    if (event.defaultPrevented || event.button !== 0 || event.metaKey || event.ctrlKey || event.shiftKey) return;
    const link = (event.target as Element).closest("a");
    if (!link || link.target || link.hasAttribute("download") || link.origin !== location.origin) return;
    const inside = link.pathname === base || link.pathname.startsWith(`${base}/`);
    if (!inside || /^\/(api|sign-in)\//.test(link.pathname.slice(base.length)) || link.hash) return;
    event.preventDefault();
    go(link.pathname.slice(base.length) + link.search);
  });
}

/** Match `/queues/:queue/jobs/:id*` (the star takes slashes too) and return what it names. */
export function match(pattern: string, given: string): Record<string, string> | null {
  const names: string[] = [];
  const text = pattern.replace(/:(\w+)(\*?)/g, (_, name: string, star: string) => {
    names.push(name);
    return star ? "(.+)" : "([^/]+)";
  });
  const found = new RegExp(`^${text}$`).exec(given);
  if (!found) return null;
  try {
    return Object.fromEntries(names.map((name, i) => [name, decodeURIComponent(found[i + 1] ?? "")]));
  } catch {
    return null;
  }
}
