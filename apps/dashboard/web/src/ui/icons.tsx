// Line icons of 24 by 24.

import type { JSX } from "preact";

const PATHS = {
  home: "M4 11l8-7 8 7v9h-5v-6H9v6H4z",
  queues: "M4 6h16M4 12h16M4 18h10",
  jobs: "M4 5h16v14H4zM4 10h16M10 10v9",
  schedules: "M12 3a9 9 0 100 18 9 9 0 000-18zM12 7v5l3 3",
  workers: "M4 5h16v6H4zM4 13h16v6H4zM8 8h.01M8 16h.01",
  letters: "M12 4l9 16H3zM12 10v4M12 17h.01",
  bulk: "M9 4h11v11M4 9h11v11H4z",
  audit: "M6 3h9l4 4v14H6zM9 12h7M9 16h7",
  alerts: "M6 16V11a6 6 0 0112 0v5l2 2H4zM10 21h4",
  flows: "M4 4h6v5H4zM14 15h6v5h-6zM7 9v4h10v2",
  menu: "M4 6h16M4 12h16M4 18h16",
  pause: "M9 5v14M15 5v14",
  play: "M8 5l11 7-11 7z",
  sun: "M12 8a4 4 0 100 8 4 4 0 000-8zM12 2v2M12 20v2M2 12h2M20 12h2M5 5l1.4 1.4M17.6 17.6L19 19M5 19l1.4-1.4M17.6 6.4L19 5",
  help: "M9 9a3 3 0 115 2c-1.5 1-2 1.500-2 3M12 18h.01M12 2a10 10 0 100 20 10 10 0 000-20z",
  check: "M5 13l4 4L19 7",
  copy: "M9 9h11v11H9zM15 9V4H4v11h5",
  out: "M10 4H4v16h6M15 8l4 4-4 4M19 12H9",
} as const;

export const Icon = (props: { name: keyof typeof PATHS }): JSX.Element => (
  <svg
    viewBox="0 0 24 24"
    width="17"
    height="17"
    fill="none"
    stroke="currentColor"
    stroke-width="1.8"
    stroke-linecap="round"
    stroke-linejoin="round"
    aria-hidden="true"
  >
    <path d={PATHS[props.name]} />
  </svg>
);
