// What a browser remembers, as signals. It works without storage too, until the page is closed.

import { effect, signal } from "@preact/signals";
import type { Signal } from "@preact/signals";

export function stored<T>(name: string, otherwise: T): Signal<T> {
  const key = `jobs.${name}`;
  let first = otherwise;
  try {
    const text = localStorage.getItem(key);
    if (text !== null) first = JSON.parse(text) as T;
  } catch {
    // Nothing can be remembered here, or what was is no JSON.
  }
  const value = signal(first);
  effect(() => {
    const text = JSON.stringify(value.value);
    try {
      localStorage.setItem(key, text);
    } catch {
      // As above.
    }
  });
  return value;
}
