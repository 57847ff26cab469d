import type { JSX } from "preact";
import { path } from "../lib/router";
import { Empty, Head, Link, Panel } from "../ui/parts";

export const NotFound = (): JSX.Element => (
  <>
    <Head title="No such page" />
    <Panel title="Nothing is here">
      <Empty title={path.value}>
        <p>
          The address may be mistyped. <Link to="/">Home</Link> leads everywhere.
        </p>
      </Empty>
    </Panel>
  </>
);
