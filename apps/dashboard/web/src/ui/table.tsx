// Tables: rows become cards on a phone, where each value tells its name.

import type { ComponentChildren, JSX } from "preact";
import { overview } from "../lib/live";
import { query, set } from "../lib/router";

export interface Column<T> {
  name: string;
  /** What stands in the head in place of the name. */
  head?: ComponentChildren;
  cell: (row: T) => ComponentChildren;
  /** `#` is for numbers, `!` for what names the row, `_` for what wants the whole width of a card, `.` for what has no name. */
  as?: "#" | "!" | "_" | ".";
  sort?: "ascending" | "descending" | "none" | undefined;
}

const LOOKS = { "#": "number", "!": "", _: "whole", ".": "tight" };

export function Table<T>(props: {
  columns: (Column<T> | null | false)[];
  rows: T[];
  id: (row: T) => string;
  look?: (row: T) => string;
}): JSX.Element {
  const columns = props.columns.filter((each) => each !== null && each !== false);
  return (
    <div class="table-box">
      <table class="cards">
        <thead>
          <tr>
            {columns.map((each) => (
              <th key={each.name} scope="col" class={each.as && LOOKS[each.as]} aria-sort={each.sort}>
                {each.head ?? (each.as === "." ? <span class="hidden-visually">{each.name}</span> : each.name)}
              </th>
            ))}
          </tr>
        </thead>
        <tbody>
          {props.rows.map((row) => (
            <tr key={props.id(row)} class={props.look?.(row)}>
              {columns.map((each) =>
                each.as === "!" ? (
                  <th key={each.name} scope="row">
                    {each.cell(row)}
                  </th>
                ) : (
                  <td key={each.name} class={each.as && LOOKS[each.as]} data-name={each.as === "." ? undefined : each.name}>
                    {each.cell(row)}
                  </td>
                ),
              )}
            </tr>
          ))}
        </tbody>
      </table>
    </div>
  );
}

/** Names and values; what is null is left out. */
export const Facts = (props: { of: ([name: string, value: ComponentChildren] | null | false)[] }): JSX.Element => (
  <dl class="facts">
    {props.of.map((each) =>
      each ? (
        <>
          <dt class="break">{each[0]}</dt>
          <dd>{each[1]}</dd>
        </>
      ) : null,
    )}
  </dl>
);

/** Chooses the queue that the address names. */
export function QueueChoice(): JSX.Element {
  const queue = query.value.get("queue") ?? "";
  const names = new Set([...(queue ? [queue] : []), ...(overview.value?.queues ?? []).map((each) => each.queue)]);
  return (
    <label>
      <span class="hidden-visually">Queue</span>
      <select value={queue} onChange={(event) => set({ queue: event.currentTarget.value || null })}>
        <option value="">All queues</option>
        {[...names].map((each) => (
          <option key={each} value={each}>
            {each}
          </option>
        ))}
      </select>
    </label>
  );
}
