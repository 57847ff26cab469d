// The entry: finds out who asks, then shows the page that the address names.

import { render } from "preact";
import type { JSX } from "preact";
import { useEffect } from "preact/hooks";
import { match, path, start } from "./lib/router";
import { begin, failure, known, session } from "./lib/session";
import { Alerts } from "./pages/alerts";
import { Audit } from "./pages/audit";
import { Bulk } from "./pages/bulk";
import { DeadLetters } from "./pages/dead-letters";
import { Flow } from "./pages/flow";
import { Flows } from "./pages/flows";
import { Home } from "./pages/home";
import { JobPage } from "./pages/job/index";
import { Jobs } from "./pages/jobs";
import { NotFound } from "./pages/not-found";
import { QueuePage } from "./pages/queue/index";
import { Queues } from "./pages/queues";
import { Schedule, Schedules } from "./pages/schedules";
import { SignIn } from "./pages/sign-in";
import { Worker, Workers } from "./pages/workers";
import { Shell } from "./ui/shell";
import "./lib/theme";

type Names = Record<string, string>;
const ROUTES: [pattern: string, title: string, page: (names: Names) => JSX.Element][] = [
  ["/", "Home", () => <Home />],
  ["/queues", "Queues", () => <Queues />],
  ["/queues/:queue", "Queue", ({ queue = "" }) => <QueuePage key={queue} name={queue} />],
  ["/queues/:queue/jobs/:id*", "Job", ({ queue = "", id = "" }) => <JobPage key={`${queue} ${id}`} queue={queue} id={id} />],
  ["/jobs", "Jobs", () => <Jobs />],
  ["/flows", "Flows", () => <Flows />],
  ["/flows/:id*", "Flow", ({ id = "" }) => <Flow key={id} id={id} />],
  ["/schedules", "Schedules", () => <Schedules />],
  ["/schedules/:queue/:id*", "Schedule", ({ queue = "", id = "" }) => <Schedule key={`${queue} ${id}`} queue={queue} id={id} />],
  ["/workers", "Workers", () => <Workers />],
  ["/workers/:id*", "Worker", ({ id = "" }) => <Worker key={id} id={id} />],
  ["/dead-letters", "Dead letters", () => <DeadLetters />],
  ["/bulk", "Bulk actions", () => <Bulk />],
  ["/audit", "Audit", () => <Audit />],
  ["/alerts", "Alerts", () => <Alerts />],
];

function App(): JSX.Element | null {
  const here = path.value;
  const found = ROUTES.flatMap(([pattern, title, page]) => {
    const names = match(pattern, here);
    return names ? [{ title, page, names }] : [];
  })[0];
  const name = found ? (found.names.id ?? found.names.queue ?? found.title) : "No such page";
  useEffect(() => {
    document.title = `${name} · Jobs`;
  }, [name]);
  const who = session.value;
  if (!who && known.value && !failure.value) return <Shell>{null}</Shell>;
  if (!who?.role) return who || failure.value ? <SignIn /> : null;
  return <Shell>{found ? found.page(found.names) : <NotFound />}</Shell>;
}

start();
void begin();
const root = document.getElementById("app");
if (root) render(<App />, root);
