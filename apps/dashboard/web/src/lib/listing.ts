// Jobs of one queue, or of all one after the other, page by page in bounded requests.

import { useEffect, useRef, useState } from "preact/hooks";
import { Failure, at, get } from "./api";
import { frozen } from "./live";
import type { JobRecord, Page } from "./schema";

const LIMIT = 50;
const LOOKS = 12;

interface Place {
  queue: number;
  cursor: string | null;
}
export interface Listing {
  jobs: JobRecord[];
  /** Whether there may be more. */
  more: boolean;
  /** How many queues were looked at to their end. */
  queues: number;
  error: Failure | null;
  loading: boolean;
  next: () => void;
  again: () => void;
}
interface Found {
  jobs: JobRecord[];
  place: Place | null;
}

async function look(queues: string[], q: string, from: Place, signal: AbortSignal): Promise<Found> {
  const jobs: JobRecord[] = [];
  let place: Place | null = from;
  for (let n = 0; n < LOOKS && place && jobs.length < LIMIT; n++) {
    const queue: string | undefined = queues[place.queue];
    if (queue === undefined) return { jobs, place: null };
    const page: Page = await get<Page>(at`/queues/${queue}/jobs`, { q, limit: LIMIT, cursor: place.cursor }, signal);
    jobs.push(...page.jobs);
    place = page.cursor ? { queue: place.queue, cursor: page.cursor } : { queue: place.queue + 1, cursor: null };
    if (place.queue >= queues.length) place = null;
  }
  return { jobs, place };
}

/** List jobs; the first page is looked at again every 5 s as long as it is the only one and `still` is not set. */
export function useListing(queues: string[], q: string, still: boolean): Listing {
  const key = `${queues.join(" ")}\n${q}`;
  const [state, setState] = useState<Found & { key: string; error: Failure | null; loading: boolean; pages: number }>({
    key, jobs: [], place: null, error: null, loading: true, pages: 0,
  });
  const [turn, setTurn] = useState(0);
  const stop = useRef(still);
  stop.current = still;
  const current = useRef(state);
  current.current = state;

  useEffect(() => {
    if (!queues.length) return undefined;
    const control = new AbortController();
    let timer = 0;
    const load = async (): Promise<void> => {
      try {
        const found = await look(queues, q, { queue: 0, cursor: null }, control.signal);
        setState({ ...found, key, error: null, loading: false, pages: 1 });
      } catch (error) {
        if (control.signal.aborted) return;
        if (!(error instanceof Failure)) throw error;
        setState((before) => ({ ...before, jobs: before.key === key ? before.jobs : [], place: null, key, error, loading: false }));
      }
      if (!control.signal.aborted) timer = setTimeout(tick, 5000);
    };
    const tick = (): void => {
      if (document.hidden || frozen.peek() || stop.current || current.current.pages > 1) timer = setTimeout(tick, 1000);
      else void load();
    };
    void load();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [key, turn]);

  const here = state.key === key;
  return {
    jobs: here ? state.jobs : [],
    more: here && state.place !== null,
    queues: here ? (state.place?.queue ?? queues.length) : 0,
    error: here ? state.error : null,
    loading: !here || state.loading,
    next: () => {
      const from = state.place;
      if (!from || state.loading) return;
      setState((before) => ({ ...before, loading: true }));
      look(queues, q, from, new AbortController().signal).then(
        (found) =>
          setState((before) =>
            before.key === key ? { ...before, jobs: [...before.jobs, ...found.jobs], place: found.place, pages: before.pages + 1, loading: false } : before,
          ),
        (error: unknown) => setState((before) => ({ ...before, error: error as Failure, loading: false })),
      );
    },
    again: () => setTurn((n) => n + 1),
  };
}
