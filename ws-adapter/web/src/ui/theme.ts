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

export function show(chosen: Theme): void {
  theme.set(chosen);
  document.documentElement.dataset["theme"] = chosen;
  try {
    localStorage.setItem(KEY, chosen);
  } catch {
    // For as long as the app is open, then.
  }
}
