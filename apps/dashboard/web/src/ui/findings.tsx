// What the doctor saw, and what mends it.

import type { JSX } from "preact";
import type { Finding } from "../lib/schema";
import { Badge, Empty } from "./parts";

const TONES = { error: "bad", warning: "warn", info: "", ok: "good" } as const;

export function Findings(props: { of: Finding[] }): JSX.Element {
  if (!props.of.length) {
    return (
      <Empty title="Nothing to say">
        <p>Nothing keeps jobs from running.</p>
      </Empty>
    );
  }
  return (
    <ul class="list">
      {props.of.map((each) => (
        <li key={each.code + each.text}>
          <Badge tone={TONES[each.severity]}>{each.severity}</Badge>
          <span class="main-part break">
            {each.text}
            {each.mend ? <code class="mend">{each.mend}</code> : null}
          </span>
        </li>
      ))}
    </ul>
  );
}
