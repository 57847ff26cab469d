// A payload to edit: fields as its JSON Schema says, or the JSON itself.

import { useMemo, useState } from "preact/hooks";
import type { JSX } from "preact";
import type { Json } from "../lib/schema";

type Shape = { [key: string]: Json };

interface Field {
  name: string;
  kind: "text" | "number" | "boolean" | "choice" | "json";
  choices: Json[];
  nullable: boolean;
  required: boolean;
  what: string;
}

const isObject = (value: Json | undefined): value is Shape => typeof value === "object" && value !== null && !Array.isArray(value);

/** The fields of an object's schema; null where it is none, and its JSON is edited as a whole. */
export function fieldsOf(schema: Json): Field[] | null {
  if (!isObject(schema)) return null;
  const defs = isObject(schema.$defs) ? schema.$defs : {};
  const resolve = (node: Json | undefined): Shape => {
    if (!isObject(node)) return {};
    if (typeof node.$ref === "string") return resolve(defs[node.$ref.split("/").at(-1) ?? ""]);
    return node;
  };
  const root = resolve(schema);
  if (!isObject(root.properties)) return null;
  const required = Array.isArray(root.required) ? root.required : [];
  return Object.entries(root.properties).map(([name, given]) => {
    let shape = resolve(given);
    let nullable = false;
    if (Array.isArray(shape.anyOf)) {
      const others = shape.anyOf.map(resolve).filter((each) => each.type !== "null");
      nullable = others.length < shape.anyOf.length;
      shape = others.length === 1 && others[0] ? { ...others[0], description: shape.description ?? null } : {};
    }
    const choices = Array.isArray(shape.enum) ? shape.enum : [];
    const kind = choices.length
      ? "choice"
      : shape.type === "string"
        ? "text"
        : shape.type === "integer" || shape.type === "number"
          ? "number"
          : shape.type === "boolean"
            ? "boolean"
            : "json";
    const what = typeof shape.description === "string" ? shape.description : "";
    return { name, kind, choices, nullable, required: required.includes(name), what };
  });
}

export function PayloadEditor(props: { schema: Json; value: Json; change: (value: Json | undefined) => void }): JSX.Element {
  const fields = useMemo(() => fieldsOf(props.schema), [props.schema]);
  const [raw, setRaw] = useState(fields === null);
  const [text, setText] = useState(() => JSON.stringify(props.value, null, 2));
  const [wrong, setWrong] = useState("");
  const parsed = parse(text);
  const now = parsed.ok && isObject(parsed.value) ? parsed.value : null;
  const edit = (next: string): void => {
    setText(next);
    const found = parse(next);
    setWrong(found.ok ? "" : found.why);
    props.change(found.ok ? found.value : undefined);
  };
  return (
    <div class="stack">
      {fields ? (
        <div class="segments" role="group" aria-label="Edit as">
          <button type="button" class="button small" aria-pressed={!raw} disabled={!now} onClick={() => setRaw(false)}>
            Fields
          </button>
          <button type="button" class="button small" aria-pressed={raw} onClick={() => setRaw(true)}>
            JSON
          </button>
        </div>
      ) : null}
      {raw || !fields || !now ? (
        <label class="field">
          <span>Payload</span>
          <textarea spellcheck={false} aria-invalid={wrong !== ""} value={text} onInput={(event) => edit(event.currentTarget.value)} />
          {wrong ? (
            <span class="hint" role="alert">
              {wrong}
            </span>
          ) : null}
        </label>
      ) : (
        fields.map((each) => (
          <Input
            key={each.name}
            field={each}
            value={now[each.name]}
            change={(value) => {
              const next = { ...now };
              if (value === undefined) delete next[each.name];
              else next[each.name] = value;
              edit(JSON.stringify(next, null, 2));
            }}
          />
        ))
      )}
    </div>
  );
}

function Input(props: { field: Field; value: Json | undefined; change: (value: Json | undefined) => void }): JSX.Element {
  const { field, value, change } = props;
  const [text, setText] = useState(() => (value === undefined ? "" : JSON.stringify(value)));
  const name = (
    <span>
      <code>{field.name}</code> {field.required ? "" : <span class="hint">optional</span>}
    </span>
  );
  const what = field.what ? <span class="hint">{field.what}</span> : null;
  const empty = field.nullable ? null : field.required ? "" : undefined;
  if (field.kind === "boolean") {
    return (
      <label class="check">
        <input type="checkbox" checked={value === true} onChange={(event) => change(event.currentTarget.checked)} />
        {name}
        {what}
      </label>
    );
  }
  if (field.kind === "choice") {
    return (
      <label class="field">
        {name}
        <select
          value={JSON.stringify(value ?? null)}
          onChange={(event) => change(JSON.parse(event.currentTarget.value) as Json)}
        >
          {[...(field.nullable || value === undefined ? [null] : []), ...field.choices].map((each) => (
            <option key={JSON.stringify(each)} value={JSON.stringify(each)}>
              {each === null ? "–" : String(each)}
            </option>
          ))}
        </select>
        {what}
      </label>
    );
  }
  if (field.kind === "json") {
    return (
      <label class="field">
        {name}
        <textarea
          class="low"
          spellcheck={false}
          value={text}
          aria-invalid={text !== "" && !parse(text).ok}
          onInput={(event) => {
            setText(event.currentTarget.value);
            const found = parse(event.currentTarget.value);
            if (found.ok) change(found.value);
            else if (!event.currentTarget.value) change(empty === "" ? null : empty);
          }}
        />
        {what}
      </label>
    );
  }
  const shown = value === null || value === undefined ? "" : String(value);
  return (
    <label class="field">
      {name}
      {field.kind === "number" ? (
        <input
          type="number"
          step="any"
          required={field.required}
          value={shown}
          onInput={(event) => change(event.currentTarget.value === "" ? empty || null : Number(event.currentTarget.value))}
        />
      ) : (
        <input type="text" value={shown} onInput={(event) => change(event.currentTarget.value || empty)} />
      )}
      {what}
    </label>
  );
}

function parse(text: string): { ok: true; value: Json } | { ok: false; why: string } {
  try {
    return { ok: true, value: JSON.parse(text) as Json };
  } catch (error) {
    return { ok: false, why: `No JSON: ${(error as Error).message}` };
  }
}
