// Light or dark: as the system is, unless chosen.
import { Signal } from "../chat/signal";

export type Theme = "system" | "light" | "dark";
export const THEMES: readonly Theme[] = ["system", "light", "dark"];

const KEY = "hallway-theme";

function kept(): Theme {
  try {
    return THEMES.find((theme) => theme === localStorage.getItem(KEY)) ?? "system";
  } catch {
    return "system";
  }
}

export const theme = new Signal<Theme>(kept());

const systemIsDark = matchMedia("(prefers-color-scheme: dark)");
systemIsDark.addEventListener("change", paint);

/** Tells the styles which palette it is: they know of no "system". */
function paint(): void {
  const chosen = theme.get();
  document.documentElement.dataset["theme"] = chosen === "system" ? (systemIsDark.matches ? "dark" : "light") : chosen;
}

export function show(chosen: Theme): void {
  theme.set(chosen);
  paint();
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // For as long as the app is open, then.
  }
}
