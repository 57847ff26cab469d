// Light or dark: as the system says, until somebody chooses.

import { effect, signal } from "@preact/signals";
import { stored } from "./stored";

export type Choice = "system" | "light" | "dark";
const dark = matchMedia("(prefers-color-scheme: dark)");

export const choice = stored<Choice>("theme", "system");
export const theme = signal<"light" | "dark">("light");

function apply(): void {
  const chosen = choice.value;
  theme.value = chosen === "system" ? (dark.matches ? "dark" : "light") : chosen;
  if (chosen === "system") delete document.documentElement.dataset.theme;
  else document.documentElement.dataset.theme = chosen;
}
effect(apply);
dark.addEventListener("change", apply);

export function nextTheme(): Choice {
  const order: Choice[] = ["system", "light", "dark"];
  choice.value = order[(order.indexOf(choice.peek()) + 1) % order.length] ?? "system";
  return choice.peek();
}
