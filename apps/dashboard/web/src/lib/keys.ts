// Shortcuts of one key, or of g and a second one. They never take a key from a field.

import { isOpen } from "../ui/dialog";
import { stored } from "./stored";

export interface Shortcut {
  keys: string;
  what: string;
  run: () => void;
}
/** Somebody who types by voice may want none. */
export const enabled = stored("shortcuts", true);

export function listen(shortcuts: Shortcut[]): void {
  let before = "";
  let timer = 0;
  document.addEventListener("keydown", (event) => {
    if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented || isOpen()) return;
    const target = event.target as HTMLElement;
    if (target.closest("input:not([type=checkbox],[type=radio],[type=range]), textarea, select, [contenteditable]")) return;
    if (!enabled.peek()) return;
    const typed = before ? `${before} ${event.key}` : event.key;
    const found = shortcuts.find((each) => each.keys === typed);
    clearTimeout(timer);
    before = "";
    if (found) {
      event.preventDefault();
      found.run();
    } else if (event.key === "g") {
      before = "g";
      timer = setTimeout(() => {
        before = "";
      }, 1500);
    }
  });
}
