// What a handler wrote, as it writes it.

import { useEffect, useRef, useState } from "preact/hooks";
import type { JSX } from "preact";
import { Failure, at, get } from "../../lib/api";
import { frozen } from "../../lib/live";
import type { JobDetail, JobLogs, LogRecord } from "../../lib/schema";
import { FINAL } from "../../lib/terms";
import { Copy, Empty, Panel, Trouble } from "../../ui/parts";

const clock = new Intl.DateTimeFormat("en-GB", { hour: "2-digit", minute: "2-digit", second: "2-digit", fractionalSecondDigits: 3 });

/** Lines have no events: they are asked for each second while the job runs, from the last one on, and at each change. */
export function Log(props: { job: JobDetail }): JSX.Element {
  const { job } = props;
  const [lines, setLines] = useState<LogRecord[]>([]);
  const [cut, setCut] = useState(false);
  const [error, setError] = useState<unknown>(null);
  const [turn, setTurn] = useState(0);
  const box = useRef<HTMLDivElement>(null);
  const after = useRef("");
  const running = job.state === "active";
  useEffect(() => {
    let gone = false;
    let timer = 0;
    // What was written last comes after the end has been told.
    let looks = running ? Infinity : 3;
    const look = async (): Promise<void> => {
      try {
        const found = await get<JobLogs>(at`/queues/${job.queue}/jobs/${job.id}/logs`, { after: after.current, limit: 500 });
        if (gone) return;
        setError(null);
        setCut(found.truncated);
        const last = found.lines.at(-1);
        if (last) {
          after.current = last.cursor;
          const end = box.current ? box.current.scrollHeight - box.current.scrollTop - box.current.clientHeight < 40 : true;
          setLines((before) => [...before, ...found.lines]);
          if (end) requestAnimationFrame(() => box.current?.scrollTo(0, box.current.scrollHeight));
        }
        if (found.cursor) return await look();
      } catch (problem) {
        if (!gone) setError(problem);
        if (!(problem instanceof Failure)) throw problem;
      }
      looks -= 1;
      if (!gone && looks > 0) timer = setTimeout(tick, 1000);
    };
    const tick = (): void => {
      if (document.hidden || frozen.peek()) timer = setTimeout(tick, 1000);
      else void look();
    };
    void look();
    return () => {
      gone = true;
      clearTimeout(timer);
    };
  }, [running, job.attempts_made, job.finished_at, turn]);
  return (
    <Panel title="Log" actions={lines.length ? <Copy text={lines.map((each) => `${each.at} ${each.level} ${each.message}`).join("\n")} label="Copy" /> : null} flush>
      {error ? <Trouble error={error} again={() => setTurn((n) => n + 1)} /> : null}
      {cut ? <p class="hint body">Older lines were dropped: a job keeps the last ones.</p> : null}
      {lines.length ? (
        <div class="log" ref={box} tabIndex={0} aria-label="Log" role="log">
          <ol>
            {lines.map((each) => (
              <li key={each.cursor} class={`level-${each.level.toLowerCase()}`}>
                <time dateTime={each.at}>{clock.format(new Date(each.at))}</time>
                <span>
                  {each.level} #{each.attempt}
                </span>
                <span class="text">{each.message}</span>
              </li>
            ))}
          </ol>
        </div>
      ) : (
        <Empty title={FINAL.has(job.state) ? "Nothing was logged" : "Nothing was logged yet"}>
          <p>
            What a handler writes to <code>ctx.log</code> or to <code>logging</code> is kept here.
          </p>
        </Empty>
      )}
    </Panel>
  );
}
