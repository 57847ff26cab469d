// A job run once more: as it was, or with a payload that is edited as its schema says.

import { useState } from "preact/hooks";
import type { JSX } from "preact";
import { at, post } from "../lib/api";
import { useResource } from "../lib/resource";
import { go } from "../lib/router";
import type { JobDetail, JobTypeSchema, Json } from "../lib/schema";
import { isAdmin } from "../lib/session";
import { PRIORITIES } from "../lib/terms";
import { Form, Reason, notify, open } from "./dialog";
import { Badge } from "./parts";
import { PayloadEditor } from "./payload";

interface Replayed {
  title: string;
  queue: string;
  name: string;
  payload: Json;
  path: string;
  verb: string;
  done: () => void;
}

export const openPayload = (replayed: Replayed): void =>
  open(replayed.title, (close) => <Replay of={replayed} close={close} />, true);

function Replay(props: { of: Replayed; close: () => void }): JSX.Element {
  const { of } = props;
  const [edited, setEdited] = useState(false);
  const [value, setValue] = useState<Json | undefined>(of.payload);
  const [priority, setPriority] = useState("");
  const [reason, setReason] = useState("");
  const type = useResource<JobTypeSchema>(at`/declared/${of.queue}/${of.name}`);
  return (
    <Form
      verb={of.verb}
      close={props.close}
      blocked={edited && value === undefined}
      submit={async () => {
        await post(of.path, { reason, priority: priority || null, ...(edited ? { payload: value } : {}) });
        of.done();
        return "It runs again";
      }}
    >
      <label class="field">
        <span>Priority</span>
        <select value={priority} onChange={(event) => setPriority(event.currentTarget.value)}>
          <option value="">as it was</option>
          {PRIORITIES.map((each) => (
            <option key={each} value={each}>
              {each}
            </option>
          ))}
        </select>
      </label>
      {isAdmin.value ? (
        <label class="check">
          <input type="checkbox" checked={edited} onChange={(event) => setEdited(event.currentTarget.checked)} />
          With another payload
        </label>
      ) : (
        <p class="hint">Another payload can be given by an admin.</p>
      )}
      {edited && (type.data || type.error) ? <PayloadEditor schema={type.data?.payload ?? null} value={of.payload} change={setValue} /> : null}
      {edited ? <p class="hint">*** stands for what is hidden, and keeps it as it is.</p> : null}
      <Reason value={reason} onInput={setReason} />
    </Form>
  );
}

export function openAgain(job: JobDetail): void {
  open(`Enqueue ${job.name} again`, (close) => <Again job={job} close={close} />, true);
}

function Again(props: { job: JobDetail; close: () => void }): JSX.Element {
  const { job } = props;
  const [value, setValue] = useState<Json | undefined>(job.payload);
  const type = useResource<JobTypeSchema>(at`/declared/${job.queue}/${job.name}`);
  return (
    <Form
      verb="Enqueue"
      close={props.close}
      blocked={value === undefined || !type.data}
      submit={async () => {
        const made = await post<{ id: string }>(at`/queues/${job.queue}/jobs`, { name: job.name, payload: value, options: { priority: job.priority } });
        notify(`${made.id} was added`);
        go(at`/queues/${job.queue}/jobs/${made.id}`);
        return null;
      }}
    >
      <p>A new job with an id of its own, checked against the type of its payload.</p>
      {type.data ? <PayloadEditor schema={type.data.payload} value={job.payload} change={setValue} /> : null}
      {type.error ? (
        <p class="hint">
          This dashboard does not know the type of the payload, so it cannot check one: start it with the JOBS_FEATURES of your packages. <Badge>{job.name}</Badge>
        </p>
      ) : null}
    </Form>
  );
}
