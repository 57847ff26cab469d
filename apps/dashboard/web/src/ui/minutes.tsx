// The kept minutes as a chart, and the scrubber that goes back through them.

import { useMemo } from "preact/hooks";
import type { JSX } from "preact";
import { duration, exact, ms } from "../lib/format";
import { frozen } from "../lib/live";
import type { MinuteRecord } from "../lib/schema";
import { Chart, pointed } from "./chart";
import type { Line } from "./chart";

export function Minutes(props: { data: MinuteRecord[]; low?: boolean }): JSX.Element {
  const [times, lines] = useMemo((): [number[], Line[]] => {
    const { data } = props;
    return [
      data.map((each) => ms(each.at) / 1000),
      [
        { name: "added", colour: 1, values: data.map((each) => each.added) },
        { name: "completed", colour: 2, values: data.map((each) => each.completed) },
        { name: "failed", colour: 3, values: data.map((each) => each.failed) },
        { name: "retried", colour: 4, values: data.map((each) => each.retried) },
      ],
    ];
  }, [props.data]);
  return <Chart label="Jobs added, completed, failed and retried in each minute" times={times} lines={lines} low={props.low ?? false} />;
}

export function Durations(props: { data: MinuteRecord[]; low?: boolean }): JSX.Element {
  const [times, lines] = useMemo((): [number[], Line[]] => {
    const { data } = props;
    return [
      data.map((each) => ms(each.at) / 1000),
      [
        { name: "run", colour: 1, values: data.map((each) => each.avg_processing_ms) },
        { name: "wait", colour: 4, values: data.map((each) => each.avg_wait_ms) },
      ],
    ];
  }, [props.data]);
  return (
    <Chart
      label="Average time that attempts ran and waited in each minute"
      times={times}
      lines={lines}
      low={props.low ?? false}
      unit={(value) => duration(value)}
    />
  );
}

/** Shown while frozen: goes back through the minutes, and every chart and figure goes along. */
export function Scrubber(props: { series: MinuteRecord[] | undefined }): JSX.Element | null {
  const { series } = props;
  if (!frozen.value || !series?.length) return null;
  const times = series.map((each) => ms(each.at) / 1000);
  const at = pointed.value;
  const found = at === null ? -1 : times.indexOf(at);
  const index = found < 0 ? times.length - 1 : found;
  return (
    <div class="scrubber">
      <label for="scrubber">
        <strong>Minute</strong>
      </label>
      <input
        id="scrubber"
        type="range"
        min={0}
        max={times.length - 1}
        value={index}
        aria-valuetext={exact(series[index]?.at)}
        onInput={(event) => {
          pointed.value = times[Number(event.currentTarget.value)] ?? null;
        }}
      />
      <output for="scrubber">{exact(series[index]?.at)}</output>
    </div>
  );
}

/** The minute that the scrubber stands on; undefined while live. */
export function minuteAt(series: MinuteRecord[] | undefined): MinuteRecord | undefined {
  const at = pointed.value;
  if (!frozen.value || at === null) return undefined;
  return series?.find((each) => ms(each.at) / 1000 === at);
}
