// Dialogs and notices, opened from anywhere. The browser's own dialog keeps focus inside and gives it back.

import { signal } from "@preact/signals";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import type { ComponentChildren, JSX } from "preact";
import { Failure } from "../lib/api";
import { Trouble } from "./parts";

interface Open {
  title: string;
  wide: boolean;
  body: (close: () => void) => ComponentChildren;
}
const opened = signal<Open | null>(null);

export function open(title: string, body: (close: () => void) => ComponentChildren, wide = false): void {
  opened.value = { title, body, wide };
}
export const isOpen = (): boolean => opened.peek() !== null;

export function Dialogs(): JSX.Element | null {
  const shown = opened.value;
  const box = useRef<HTMLDialogElement>(null);
  const name = useId();
  useEffect(() => {
    if (shown && box.current && !box.current.open) box.current.showModal();
  }, [shown]);
  if (!shown) return null;
  const close = (): void => {
    box.current?.close();
  };
  return (
    <dialog
      ref={box}
      class={shown.wide ? "wide" : ""}
      aria-labelledby={name}
      onClose={() => {
        opened.value = null;
      }}
      onClick={(event) => {
        if (event.target === box.current) close();
      }}
    >
      <div class="stack">
        <h2 id={name}>{shown.title}</h2>
        {shown.body(close)}
      </div>
    </dialog>
  );
}

/** A form in a dialog: says what failed and stays, or closes and tells what was done. */
export function Form(props: {
  verb: string;
  danger?: boolean;
  close: () => void;
  submit: () => Promise<string | null>;
  children: ComponentChildren;
  blocked?: boolean;
}): JSX.Element {
  const [error, setError] = useState<unknown>(null);
  const [busy, setBusy] = useState(false);
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        setBusy(true);
        setError(null);
        props.submit().then(
          (told) => {
            props.close();
            if (told) notify(told);
          },
          (problem: unknown) => {
            setError(problem);
            setBusy(false);
          },
        );
      }}
    >
      {props.children}
      {error ? <Trouble error={error} /> : null}
      <div class="buttons">
        <button type="button" class="button" onClick={props.close}>
          Cancel
        </button>
        <button type="submit" class={`button ${props.danger ? "danger" : "primary"}`} disabled={busy || props.blocked}>
          {busy ? "Working…" : props.verb}
        </button>
      </div>
    </form>
  );
}

export const Reason = (props: { value: string; onInput: (text: string) => void }): JSX.Element => (
  <label class="field">
    <span>Reason, for the audit</span>
    <input type="text" maxLength={1000} value={props.value} onInput={(event) => props.onInput(event.currentTarget.value)} />
  </label>
);

interface Notice {
  id: number;
  text: ComponentChildren;
  bad: boolean;
}
const notices = signal<Notice[]>([]);
let last = 0;

export function notify(text: ComponentChildren, bad = false, forMs = bad ? 12_000 : 5000): void {
  const id = ++last;
  notices.value = [...notices.peek().slice(-3), { id, text, bad }];
  setTimeout(() => drop(id), forMs);
}
const drop = (id: number): void => {
  notices.value = notices.peek().filter((each) => each.id !== id);
};

/** Do something at once, and tell what became of it. */
export async function act<T>(doing: () => Promise<T>, told: string | ((answer: T) => string)): Promise<boolean> {
  try {
    const answer = await doing();
    notify(typeof told === "string" ? told : told(answer));
    return true;
  } catch (error) {
    notify(error instanceof Failure ? `${error.problem.title}. ${error.problem.detail}` : String(error), true);
    return false;
  }
}

export const Notices = (): JSX.Element => (
  <div class="toasts" role="status" aria-live="polite">
    {notices.value.map((each) => (
      <div key={each.id} class={`toast ${each.bad ? "bad" : ""}`}>
        <span>{each.text}</span>
        <button type="button" class="button quiet small" onClick={() => drop(each.id)}>
          Dismiss
        </button>
      </div>
    ))}
  </div>
);
