// A change of many jobs: counted first, said why, then followed while it goes on by itself.

import { useEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren, JSX } from "preact";
import { at, get, post } from "../lib/api";
import { count, plural } from "../lib/format";
import type { BulkAction, Preview } from "../lib/schema";
import { canOperate } from "../lib/session";
import { stored } from "../lib/stored";
import { Form, Reason, act, notify, open } from "./dialog";
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

/** For how many seconds one can be undone before it begins. */
const undoWindow = stored("undo", 10);

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
        setRunning(await post<BulkAction>(asked.path, { ...body, reason, undo_window_ms: Math.round(undoWindow.value * 1000) }));
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
      <label class="field">
        <span>Undo window, in seconds</span>
        <input
          type="number"
          max={300}
          min={0}
          step="any"
          value={undoWindow.value}
          onInput={(event) => {
            undoWindow.value = Number(event.currentTarget.value);
          }}
        />
      </label>
    </Form>
  );
}

const isOver = (action: BulkAction): boolean => action.state !== "pending" && action.state !== "running";

function Follow(props: { action: BulkAction; close: () => void; done?: () => void }): JSX.Element {
  const action = useAction(props.action);
  const over = isOver(action);
  const closing = useRef<HTMLButtonElement>(null);
  const last = useRef(action);
  last.current = action;
  useEffect(() => {
    closing.current?.focus();
    if (over) props.done?.();
  }, [over]);
  useEffect(
    () => () => {
      if (last.current.state === "pending") notify(<Pending action={last.current} />, false, last.current.starts_in_ms ?? 0);
    },
    [],
  );
  return (
    <>
      <Bar action={action} />
      {action.error ? <Trouble error={action.error} /> : null}
      <p class="hint">
        It goes on when this is closed; <Link to="/bulk">Bulk actions</Link> tells of all.
      </p>
      <div class="buttons">
        <Stop action={action} />
        <button type="button" class="button primary" onClick={props.close} ref={closing}>
          Close
        </button>
      </div>
    </>
  );
}

/** What is left of the dialog where it is closed while there is a way back. */
function Pending(props: { action: BulkAction }): JSX.Element {
  const action = useAction(props.action);
  return (
    <>
      {action.verb} {action.queue}: {action.state} <Stop action={action} />
    </>
  );
}

/** The way back before it begins, and the way out while it runs. */
export const Stop = (props: { action: BulkAction; again?: () => void }): JSX.Element | null => {
  const { action, again } = props;
  if (isOver(action) || !canOperate.value) return null;
  return (
    <button
      type="button"
      class={`button ${action.state === "running" ? "danger" : ""}`}
      onClick={(event) => {
        // It goes away, and the focus must not with it.
        event.currentTarget.closest("div")?.querySelector<HTMLElement>(":scope > button:last-of-type")?.focus();
        void act(
          () => post<BulkAction>(at`/bulk/${action.id}/cancel`),
          ({ state }) =>
            state === "undone"
              ? "Undone: nothing was changed"
              : state === "running"
                ? "It ends within some seconds; what it did stays"
                : `It is ${state} already`,
        ).then(again);
      }}
    >
      {action.state === "running" ? (
        "Cancel it"
      ) : (
        <>
          Undo<span aria-hidden="true">({Math.ceil((action.starts_in_ms ?? 0) / 1000)} s)</span>
        </>
      )}
    </button>
  );
};

/** Follow an action until it is over. */
function useAction(first: BulkAction): BulkAction {
  const [action, setAction] = useState(first);
  useEffect(() => {
    if (isOver(action)) return undefined;
    const timer = setTimeout(() => {
      get<BulkAction>(at`/bulk/${action.id}`).then(setAction, () => setAction({ ...action }));
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
        {action.state === "pending" ? "Nothing is changed yet" : `${action.state}: ${told}`}
      </span>
      {total === null && action.state !== "running" ? null : (
        <progress class="meter" aria-label={`${told} done`} {...(total === null ? {} : { max: Math.max(1, total), value: total ? action.done : 1 })} />
      )}
    </div>
  );
}
