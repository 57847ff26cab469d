// What happens to one job, as it happens.

import { effect } from "@preact/signals";
import { useEffect, useRef } from "preact/hooks";
import { address } from "./api";
import { frozen } from "./live";

const GATHER_MS = 150;

/** Call `heard` when something happened to a job, and when it may have. Nothing is said while the page is frozen or not seen. */
export function useJobEvents(queue: string, job: string, heard: () => void): void {
  const call = useRef(heard);
  call.current = heard;
  useEffect(() => {
    let source: EventSource | null = null;
    let timer = 0;
    let missed = false;
    const say = (): void => {
      if (frozen.peek()) missed = true;
      else if (!timer) {
        timer = setTimeout(() => {
          timer = 0;
          call.current();
        }, GATHER_MS);
      }
    };
    const listen = (): void => {
      source?.close();
      source = null;
      if (document.hidden) return;
      source = new EventSource(address("/events", { queue, job, stats: "false" }));
      // What happened before it listened, or while the connection was away, is looked up.
      source.onopen = say;
      for (const kind of ["event", "reset"]) source.addEventListener(kind, say);
    };
    listen();
    document.addEventListener("visibilitychange", listen);
    const thaw = effect(() => {
      if (frozen.value || !missed) return;
      missed = false;
      say();
    });
    return () => {
      thaw();
      document.removeEventListener("visibilitychange", listen);
      source?.close();
      clearTimeout(timer);
    };
  }, [queue, job]);
}
