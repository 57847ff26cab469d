// The small things that every page is made of.

import { useEffect, useRef, useState } from "preact/hooks";
import type { ComponentChildren, JSX } from "preact";
import { Failure } from "../lib/api";
import { ago, exact, moment } from "../lib/format";
import { now } from "../lib/live";
import { href } from "../lib/router";
import type { Resource } from "../lib/resource";
import { Icon } from "./icons";

export function Link(props: { to: string; children: ComponentChildren; class?: string; title?: string }): JSX.Element {
  return (
    <a href={href(props.to)} class={props.class} title={props.title}>
      {props.children}
    </a>
  );
}

export function Panel(props: {
  title: ComponentChildren;
  actions?: ComponentChildren;
  children: ComponentChildren;
  flush?: boolean;
  id?: string;
}): JSX.Element {
  return (
    <section class="panel" id={props.id}>
      <header>
        <h2>{props.title}</h2>
        {props.actions ? <div class="actions">{props.actions}</div> : null}
      </header>
      <div class={props.flush ? "body flush" : "body"}>{props.children}</div>
    </section>
  );
}

export function Head(props: { title: ComponentChildren; crumbs?: ComponentChildren; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="head">
      {props.crumbs ? <nav class="crumbs" aria-label="Breadcrumb">{props.crumbs}</nav> : null}
      <h1 tabIndex={-1}>{props.title}</h1>
      {props.children}
    </div>
  );
}

export function Tile(props: {
  name: string;
  figure: ComponentChildren;
  note?: ComponentChildren;
  tone?: "bad" | "warn" | "";
  to?: string;
}): JSX.Element {
  const inside = (
    <>
      <span class="name">{props.name}</span>
      <span class="figure">{props.figure}</span>
      <span class="note">{props.note}</span>
    </>
  );
  const look = `tile ${props.tone ?? ""}`;
  return props.to ? (
    <a class={look} href={href(props.to)}>
      {inside}
    </a>
  ) : (
    <div class={look}>{inside}</div>
  );
}

export type Tone = "" | "good" | "warn" | "bad" | "accent" | "calm";
/** Of jobs, and of flows. */
export const TONES: Record<string, Tone> = {
  waiting: "accent", active: "calm", completed: "good", failed: "bad", delayed: "", blocked: "",
  cancelled: "", expired: "warn", unroutable: "warn", running: "accent",
};
export const Badge = (props: { tone?: Tone; children: ComponentChildren; title?: string }): JSX.Element => (
  <span class={`badge ${props.tone ?? ""}`} title={props.title}>
    {props.children}
  </span>
);
export const StateBadge = (props: { state: string }): JSX.Element => (
  <Badge tone={TONES[props.state] ?? ""}>{props.state}</Badge>
);

/** A time as the clock says it, and in full where one points at it. */
export const When = (props: { at: string | null | undefined; relative?: boolean }): JSX.Element =>
  props.at ? (
    <time dateTime={props.at} title={exact(props.at)}>
      {props.relative ? ago(props.at, now.value) : moment(props.at)}
    </time>
  ) : (
    <span class="muted">–</span>
  );

export function Empty(props: { title: string; children?: ComponentChildren }): JSX.Element {
  return (
    <div class="empty">
      <strong>{props.title}</strong>
      {props.children}
    </div>
  );
}

export function Trouble(props: { error: unknown; again?: () => void }): JSX.Element {
  const told = props.error instanceof Failure ? props.error.problem : null;
  return (
    <div class="trouble" role="alert">
      <span>
        <strong>{told?.title ?? "Failed"}.</strong> {told?.detail ?? String(props.error)}
        {told?.nearest?.length ? ` Did you mean ${told.nearest.join(" or ")}?` : ""}
      </span>
      {props.again ? (
        <button type="button" class="button small" onClick={props.again}>
          Try again
        </button>
      ) : null}
    </div>
  );
}

/** Shows what was fetched. Only a wait that one notices shows that it is waited for. */
export function Loaded<T>(props: { of: Resource<T>; children: (data: T) => ComponentChildren }): JSX.Element {
  const { data, error, again } = props.of;
  return (
    <>
      {error ? <Trouble error={error} again={again} /> : null}
      {data !== undefined ? props.children(data) : error ? null : <p class="empty fade" role="status">Loading…</p>}
    </>
  );
}

export function Copy(props: { text: string; label: string; class?: string }): JSX.Element {
  const [done, setDone] = useState(false);
  const timer = useRef(0);
  useEffect(() => () => clearTimeout(timer.current), []);
  return (
    <button
      type="button"
      class={props.class ?? "button small"}
      onClick={() => {
        void navigator.clipboard.writeText(props.text).then(() => {
          setDone(true);
          timer.current = setTimeout(() => setDone(false), 1500);
        });
      }}
    >
      <Icon name={done ? "check" : "copy"} />
      <span aria-live="polite">{done ? "Copied" : props.label}</span>
    </button>
  );
}

export const Code = (props: { children: string; label: string }): JSX.Element => (
  <pre class="code" tabIndex={0} role="region" aria-label={props.label}>
    {props.children}
  </pre>
);
