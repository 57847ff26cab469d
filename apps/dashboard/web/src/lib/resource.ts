// Something that is fetched: what was there stays shown while it is fetched again, and when that fails.

import { useEffect, useRef, useState } from "preact/hooks";
import { Failure, get } from "./api";
import type { Query } from "./api";
import { frozen } from "./live";

export interface Resource<T> {
  data: T | undefined;
  error: Failure | undefined;
  loading: boolean;
  again: () => void;
  /** Fetch it again without a word: what is there stays until it has come. */
  refresh: () => void;
}

/** Fetch a path (null: nothing yet), and again each `every` ms while the page is seen and not frozen. */
export function useResource<T>(path: string | null, query?: Query, every = 0): Resource<T> {
  const key = path === null ? "" : `${path} ${JSON.stringify(query ?? {})}`;
  const [state, setState] = useState<{ key: string; data?: T; error?: Failure; loading: boolean }>({ key, loading: true });
  const [turn, setTurn] = useState(0);
  const shown = useRef("");
  useEffect(() => {
    if (path === null) return undefined;
    const control = new AbortController();
    let timer = 0;
    const fetchIt = async (): Promise<void> => {
      try {
        const data = await get<T>(path, query, control.signal);
        shown.current = key;
        setState({ key, data, loading: false });
      } catch (error) {
        if (control.signal.aborted) return;
        if (!(error instanceof Failure)) throw error;
        setState((before) => ({
          key,
          ...(before.key === key && before.data !== undefined ? { data: before.data } : {}),
          error,
          loading: false,
        }));
      }
      if (every && !control.signal.aborted) timer = setTimeout(tick, every);
    };
    const tick = (): void => {
      if (document.hidden || frozen.peek()) timer = setTimeout(tick, 1000);
      else void fetchIt();
    };
    void fetchIt();
    return () => {
      control.abort();
      clearTimeout(timer);
    };
  }, [key, turn, every]);
  const current = state.key === key;
  return {
    data: current ? state.data : undefined,
    error: current ? state.error : undefined,
    loading: !current || state.loading,
    refresh: () => setTurn((n) => n + 1),
    again: () => {
      setState((before) => ({ key, loading: true, ...(before.data === undefined ? {} : { data: before.data }) }));
      setTurn((n) => n + 1);
    },
  };
}
