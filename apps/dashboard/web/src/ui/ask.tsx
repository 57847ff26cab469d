// What is asked before something is changed: some fields, and why, for the audit.

import { useState } from "preact/hooks";
import type { ComponentChildren, JSX } from "preact";
import { Form, Reason, open } from "./dialog";

export interface Field<N extends string> {
  name: N;
  label: ComponentChildren;
  /** A line of text without it; a switch answers "1" or "". */
  as?: "number" | "choice" | "switch" | "datetime-local";
  value?: string;
  choices?: readonly (string | readonly [value: string, label: string])[];
  hint?: string;
  min?: number;
  max?: number;
  required?: boolean;
  /** Whether it is asked at all, by what is answered so far. */
  when?: (given: Record<N | "reason", string>) => boolean;
}

interface Asked<N extends string> {
  verb: string;
  text?: ComponentChildren;
  fields?: Field<N>[];
  danger?: boolean;
  /** Not where nothing is changed on the server. */
  audited?: boolean;
  blocked?: (given: Record<N | "reason", string>) => boolean;
  /** Returns what became of it. */
  run: (given: Record<N | "reason", string>) => Promise<string | null>;
}

/** Ask in a dialog, then do it. */
export function ask<N extends string = never>(title: string, asked: Asked<N>): void {
  open(title, (close) => <Ask asked={asked} close={close} />);
}

function Ask<N extends string>(props: { asked: Asked<N>; close: () => void }): JSX.Element {
  const { asked } = props;
  const fields = asked.fields ?? [];
  const [given, setGiven] = useState(
    () => Object.fromEntries([["reason", ""], ...fields.map((each) => [each.name, each.value ?? ""])]) as Record<N | "reason", string>,
  );
  const answer = (name: string, value: string): void => setGiven((before) => ({ ...before, [name]: value }));
  return (
    <Form verb={asked.verb} danger={asked.danger ?? false} close={props.close} blocked={asked.blocked?.(given) ?? false} submit={() => asked.run(given)}>
      {asked.text ? <p>{asked.text}</p> : null}
      {fields.map((each) => (each.when?.(given) === false ? null : <Line key={each.name} field={each} value={given[each.name]} answer={answer} />))}
      {asked.audited === false ? null : <Reason value={given.reason} onInput={(text) => answer("reason", text)} />}
    </Form>
  );
}

function Line<N extends string>(props: { field: Field<N>; value: string; answer: (name: string, value: string) => void }): JSX.Element {
  const { field, value, answer } = props;
  const take = (event: { currentTarget: { value: string } }): void => answer(field.name, event.currentTarget.value);
  if (field.as === "switch") {
    return (
      <label class="check">
        <input type="checkbox" checked={value !== ""} onChange={(event) => answer(field.name, event.currentTarget.checked ? "1" : "")} />
        {field.label}
      </label>
    );
  }
  return (
    <label class="field">
      <span>{field.label}</span>
      {field.as === "choice" ? (
        <select value={value} onChange={take}>
          {field.choices?.map((each) => {
            const [key, label] = typeof each === "string" ? [each, each] : each;
            return (
              <option key={key} value={key}>
                {label}
              </option>
            );
          })}
        </select>
      ) : (
        <input
          type={(field.as ?? "text") as "text"}
          step={field.as === "number" ? "any" : undefined}
          min={field.min}
          max={field.max}
          maxLength={200}
          autocomplete="off"
          required={field.required}
          value={value}
          onInput={take}
        />
      )}
      {field.hint ? <span class="hint">{field.hint}</span> : null}
    </label>
  );
}
