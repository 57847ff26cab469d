// What stands around every page: navigation, whether it is live, theme, help.

import { useSignal } from "@preact/signals";
import { useEffect } from "preact/hooks";
import type { ComponentChildren, JSX } from "preact";
import { moment } from "../lib/format";
import { enabled, listen } from "../lib/keys";
import type { Shortcut } from "../lib/keys";
import { connection, freeze, frozen, overview } from "../lib/live";
import { afterMove, go, href, path } from "../lib/router";
import { server, session, signOut } from "../lib/session";
import { choice, nextTheme } from "../lib/theme";
import { Dialogs, Notices, act, notify, open } from "./dialog";
import { Icon } from "./icons";
import { Badge } from "./parts";

const PLACES = [
  { to: "/", name: "Home", icon: "home", key: "h" },
  { to: "/queues", name: "Queues", icon: "queues", key: "q" },
  { to: "/jobs", name: "Jobs", icon: "jobs", key: "j" },
  { to: "/flows", name: "Flows", icon: "flows", key: "f" },
  { to: "/schedules", name: "Schedules", icon: "schedules", key: "s" },
  { to: "/workers", name: "Workers", icon: "workers", key: "w" },
  { to: "/dead-letters", name: "Dead letters", icon: "letters", key: "d" },
  { to: "/bulk", name: "Bulk actions", icon: "bulk", key: "b" },
  { to: "/alerts", name: "Alerts", icon: "alerts", key: "l" },
  { to: "/audit", name: "Audit", icon: "audit", key: "a" },
] as const;

const THEMES = { system: "as the system", light: "light", dark: "dark" };
const themeNow = (): void => notify(`Theme: ${THEMES[nextTheme()]}`);
const freezeNow = (): void => freeze(!frozen.peek());

export const shortcuts: Shortcut[] = [
  ...PLACES.map((each) => ({ keys: `g ${each.key}`, what: `Go to ${each.name}`, run: () => go(each.to) })),
  { keys: "/", what: "Search jobs", run: search },
  { keys: "f", what: "Freeze, or go on live", run: freezeNow },
  { keys: "t", what: "Light, dark, or as the system", run: themeNow },
  { keys: "?", what: "This help", run: help },
];

function search(): void {
  const box = document.querySelector<HTMLInputElement>("[data-search]");
  if (box) box.focus();
  else go("/jobs");
}

function help(): void {
  open("Shortcuts", (close) => (
    <>
      <dl class="facts">
        {shortcuts.map((each) => (
          <>
            <dt>
              {each.keys.split(" ").map((key) => (
                <kbd key={key}>{key}</kbd>
              ))}
            </dt>
            <dd>{each.what}</dd>
          </>
        ))}
      </dl>
      <label class="check">
        <input
          type="checkbox"
          checked={enabled.value}
          onChange={(event) => {
            enabled.value = event.currentTarget.checked;
          }}
        />
        Shortcuts of single keys are on
      </label>
      <div class="buttons">
        <button type="button" class="button primary" onClick={close}>
          Close
        </button>
      </div>
    </>
  ));
}

const CONNECTIONS = {
  connecting: { text: "Connecting", look: "" },
  live: { text: "Live", look: "live-on" },
  polling: { text: "Every 2 s", look: "live-on" },
  lost: { text: "No answer", look: "live-lost" },
};

function Bar(props: { menu: () => void; menuOpen: boolean }): JSX.Element {
  const state = CONNECTIONS[connection.value];
  const stopped = frozen.value;
  return (
    <header class="bar">
      <button
        type="button"
        class="button quiet menu-button"
        aria-expanded={props.menuOpen}
        aria-controls="side"
        aria-label="Menu"
        onClick={props.menu}
      >
        <Icon name="menu" />
      </button>
      <span class={`live ${stopped ? "live-frozen" : state.look}`} role="status">
        {stopped ? `Frozen at ${moment(overview.value?.at)}` : state.text}
      </span>
      <button type="button" class="button small" aria-pressed={stopped} onClick={freezeNow} title="f">
        <Icon name={stopped ? "play" : "pause"} />
        {stopped ? "Go on" : "Freeze"}
      </button>
      <span class="grow" />
      <button type="button" class="button quiet" onClick={themeNow} title="t" aria-label={`Theme: ${THEMES[choice.value]}`}>
        <Icon name="sun" />
      </button>
      <button type="button" class="button quiet" onClick={help} title="?" aria-label="Shortcuts">
        <Icon name="help" />
      </button>
    </header>
  );
}

function Side(props: { opened: boolean }): JSX.Element {
  const failing = overview.value?.queues.reduce((sum, each) => sum + each.retained_failed, 0) ?? 0;
  const who = session.value;
  return (
    <aside class={`side ${props.opened ? "open" : ""}`} id="side" aria-label="Navigation and session">
      <a class="brand" href={href("/")}>
        <svg viewBox="0 0 32 32" aria-hidden="true">
          <rect width="32" height="32" rx="8" fill="#2855c5" />
          <path d="M8 10h16M8 16h11M8 22h6" stroke="#fff" stroke-width="3" stroke-linecap="round" />
        </svg>
        Jobs
      </a>
      <nav class="nav" aria-label="Pages">
        <ul>
          {PLACES.map((each) => {
            const here = each.to === "/" ? path.value === "/" : path.value.startsWith(each.to);
            return (
              <li key={each.to}>
                <a href={href(each.to)} aria-current={here ? "page" : undefined}>
                  <Icon name={each.icon} />
                  {each.name}
                  {each.to === "/jobs" && failing ? (
                    <span class="count">
                      <Badge tone="bad" title={`${failing} failed jobs are kept`}>
                        {failing > 999 ? "999+" : failing}
                      </Badge>
                    </span>
                  ) : null}
                </a>
              </li>
            );
          })}
        </ul>
      </nav>
      <div class="foot">
        {who?.role ? (
          <div>
            <span class="break">{who.actor || "This machine"}</span> <Badge>{who.role}</Badge>
          </div>
        ) : null}
        {who?.expires_at ? (
          <button type="button" class="button small" onClick={() => void act(signOut, "Signed out")}>
            <Icon name="out" />
            Sign out
          </button>
        ) : null}
        {server.value ? (
          <span class="break">
            {server.value.server} {server.value.version}
            <br />
            {server.value.address}
            <br />
            jobs {server.value.dashboard_version}
          </span>
        ) : null}
      </div>
    </aside>
  );
}

let listening = false;

export function Shell(props: { children: ComponentChildren }): JSX.Element {
  const menu = useSignal(false);
  useEffect(() => {
    if (!listening) {
      listening = true;
      listen(shortcuts);
    }
    afterMove.call = () => {
      menu.value = false;
      // The page that was come to speaks first: its title takes the focus.
      requestAnimationFrame(() => document.querySelector<HTMLElement>("h1")?.focus());
    };
  }, []);
  return (
    <>
      <a class="skip button primary" href="#main" onClick={() => document.getElementById("main")?.focus()}>
        Skip to content
      </a>
      <div
        class="shell"
        onKeyDown={(event) => {
          if (event.key === "Escape") menu.value = false;
        }}
      >
        <Side opened={menu.value} />
        <div class="main">
          <Bar
            menuOpen={menu.value}
            menu={() => {
              menu.value = !menu.value;
            }}
          />
          <main id="main" class="page" tabIndex={-1}>
            {props.children}
          </main>
        </div>
      </div>
      <Dialogs />
      <Notices />
    </>
  );
}
