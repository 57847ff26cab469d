// A change of many jobs: counted first, said why, then followed while it goes on by itself.

import { useEffect, useState } from "preact/hooks";
import type { ComponentChildren, JSX } from "preact";
import { get, post } from "../lib/api";
import { count, plural } from "../lib/format";
import type { BulkAction, Preview } from "../lib/schema";
import { Form, Reason, act, open } from "./dialog";
import { Link, Trouble } from "./parts";

interface Asked {
  title: string;
  verb: string;
  path: string;
  body: Record<string, unknown>;
  danger?: boolean;
  done?: () => void;
  /** More to choose; what it changes goes into the body. */
  choices?: (change: (more: Record<string, unknown>) => void, body: Record<string, unknown>) => ComponentChildren;
  blocked?: (body: Record<string, unknown>) => boolean;
}

export const openBulk = (asked: Asked): void => open(asked.title, (close) => <Bulk asked={asked} close={close} />);

function Bulk(props: { asked: Asked; close: () => void }): JSX.Element {
  const { asked, close } = props;
  const [body, setBody] = useState(asked.body);
  const [reason, setReason] = useState("");
  const [counted, setCounted] = useState<{ key: string; preview: Preview } | null>(null);
  const [error, setError] = useState<unknown>(null);
  const [running, setRunning] = useState<BulkAction | null>(null);
  const key = JSON.stringify(body);
  // What was counted for other choices is not shown, and nothing can be begun on it.
  const found = counted?.key === key ? counted.preview : null;
  useEffect(() => {
    let gone = false;
    const timer = setTimeout(() => {
      setError(null);
      post<Preview>(asked.path, { ...body, dry_run: true }).then(
        (preview) => {
          if (!gone) setCounted({ key, preview });
        },
        (problem: unknown) => {
          if (!gone) setError(problem);
        },
      );
    }, body === asked.body ? 0 : 300);
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [key]);
  if (running) return <Follow action={running} close={close} {...(asked.done ? { done: asked.done } : {})} />;
  return (
    <Form
      verb={asked.verb}
      danger={asked.danger ?? false}
      close={close}
      blocked={!found || found.count === 0 || (asked.blocked?.(body) ?? false)}
      submit={async () => {
        setRunning(await post<BulkAction>(asked.path, { ...body, reason }));
        // The dialog stays and follows it.
        return new Promise(() => undefined);
      }}
    >
      {asked.choices?.((more) => setBody((before) => ({ ...before, ...more })), body)}
      {error ? <Trouble error={error} /> : null}
      <p role="status">
        {found ? (
          <>
            <strong>
              {found.exact ? "" : "At least "}
              {plural(found.count, "job")}
            </strong>{" "}
            {found.count === 0 ? "is what this means now: there is nothing to do." : "will be changed, in the background."}
          </>
        ) : error ? null : (
          "Counting…"
        )}
      </p>
      <Reason value={reason} onInput={setReason} />
    </Form>
  );
}

function Follow(props: { action: BulkAction; close: () => void; done?: () => void }): JSX.Element {
  const action = useAction(props.action);
  useEffect(() => {
    if (action.state !== "running") props.done?.();
  }, [action.state]);
  return (
    <>
      <Bar action={action} />
      {action.error ? <Trouble error={action.error} /> : null}
      <p class="hint">
        It goes on when this is closed; <Link to="/bulk">Bulk actions</Link> tells of all.
      </p>
      <div class="buttons">
        {action.state === "running" ? (
          <button type="button" class="button danger" onClick={() => void cancel(action)}>
            Cancel it
          </button>
        ) : null}
        <button type="button" class="button primary" onClick={props.close} autofocus>
          Close
        </button>
      </div>
    </>
  );
}

export const cancel = (action: BulkAction): Promise<boolean> =>
  act(() => post(`/bulk/${encodeURIComponent(action.id)}/cancel`), "It ends within some seconds; what it did stays");

/** Follow an action while it runs. */
function useAction(first: BulkAction): BulkAction {
  const [action, setAction] = useState(first);
  useEffect(() => {
    if (action.state !== "running") return undefined;
    const timer = setTimeout(() => {
      get<BulkAction>(`/bulk/${encodeURIComponent(action.id)}`).then(setAction, () => setAction({ ...action }));
    }, 700);
    return () => clearTimeout(timer);
  }, [action]);
  return action;
}

export function Bar(props: { action: BulkAction }): JSX.Element {
  const { action } = props;
  const total = action.total ?? (action.state === "completed" ? action.done : null);
  const told = `${count(action.done)}${total === null ? "" : ` of ${count(total)}`}`;
  return (
    <div class="stack">
      <span role="status">
        {action.state === "running" ? "Running" : action.state}: {told}
      </span>
      {total === null && action.state !== "running" ? null : (
        <progress class="meter" aria-label={`${told} done`} {...(total === null ? {} : { max: Math.max(1, total), value: total ? action.done : 1 })} />
      )}
    </div>
  );
}
