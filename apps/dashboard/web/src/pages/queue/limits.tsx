// What holds a queue back on purpose: as code says, and as it was set over that.

import type { JSX } from "preact";
import { at, put } from "../../lib/api";
import { count, duration } from "../../lib/format";
import { useResource } from "../../lib/resource";
import type { LimitRecord, RateRecord } from "../../lib/schema";
import { isAdmin } from "../../lib/session";
import { ask } from "../../ui/ask";
import { Badge, Loaded } from "../../ui/parts";

const NAMES: Record<LimitRecord["limit"], string> = {
  max_active: "Jobs at once",
  rate_limit: "Starts",
  key_concurrency: "Jobs at once, by key",
  key_rate: "Starts, by key",
};

const told = (value: number | RateRecord | null): string =>
  value === null ? "no limit" : typeof value === "number" ? count(value) : `${count(value.max)} in ${duration(value.per_ms)}${value.burst ? `, ${count(value.burst)} at once` : ""}`;

export function Limits(props: { name: string; active: number }): JSX.Element {
  const limits = useResource<LimitRecord[]>(at`/queues/${props.name}/limits`, undefined, 5000);
  return (
    <Loaded of={limits}>
      {(data) => (
        <ul class="list">
          {data.map((each) => {
            const holds = each.lifted ? null : (each.live ?? each.declared);
            return (
              <li key={each.limit}>
                <span class="main-part">
                  {NAMES[each.limit]}
                  <span class="clip small muted">code says {told(each.declared)}</span>
                </span>
                {each.limit === "max_active" && typeof holds === "number" ? (
                  <span class="slots">
                    <span class="small muted">{count(props.active)} run</span>
                    <progress class={`meter ${props.active >= holds ? "full" : ""}`} max={holds} value={props.active} aria-label={`${props.active} of ${holds} run`} />
                  </span>
                ) : null}
                <strong>{told(holds)}</strong>
                {each.live !== null || each.lifted ? <Badge tone="accent">set live</Badge> : null}
                {isAdmin.value ? (
                  <button type="button" class="button small" aria-label={`Change: ${NAMES[each.limit]}`} onClick={() => change(props.name, each, limits.again)}>
                    Change
                  </button>
                ) : null}
              </li>
            );
          })}
        </ul>
      )}
    </Loaded>
  );
}

function change(queue: string, limit: LimitRecord, again: () => void): void {
  const rated = limit.limit === "rate_limit" || limit.limit === "key_rate";
  const now = limit.live ?? limit.declared;
  ask(`${NAMES[limit.limit]} of ${queue}`, {
    verb: "Set",
    fields: [
      { name: "how", label: "It holds", as: "choice", value: "value", choices: [["value", "a limit"], ["none", "no limit"], ["declared", `what code says: ${told(limit.declared)}`]] },
      { name: "most", label: "At most", as: "number", min: 1, required: true, value: String(typeof now === "number" ? now : (now?.max ?? 10)), when: (given) => given.how === "value" },
      { name: "seconds", label: "In so many seconds", as: "number", min: 0.001, required: true, value: String(typeof now === "object" && now ? now.per_ms / 1000 : 1), when: (given) => rated && given.how === "value" },
    ],
    run: async ({ how, most, seconds, reason }) => {
      const value = rated ? { max: Number(most), per_ms: Math.round(Number(seconds) * 1000) } : Number(most);
      await put(at`/queues/${queue}/limits`, { [limit.limit]: how === "value" ? value : how === "none" ? null : "declared", reason });
      again();
      return "The limit holds from now on";
    },
  });
}
