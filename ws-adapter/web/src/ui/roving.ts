// Lists that are one stop of the Tab key: the arrows, Home and End go within.
import type { KeyboardEvent } from "react";

const STEPS: Record<string, (at: number, last: number) => number> = {
  ArrowDown: (at, last) => Math.min(at + 1, last),
  ArrowUp: (at) => Math.max(at - 1, 0),
  Home: () => 0,
  End: (_, last) => last,
};

/** Handles a key within `list`, whose stops match `stops`. `columns` of a grid go by left and right, too. */
export function roving(event: KeyboardEvent, list: HTMLElement | null, stops: string, columns = 1): void {
  const found = [...(list?.querySelectorAll<HTMLElement>(stops) ?? [])];
  const at = found.indexOf(document.activeElement as HTMLElement);
  const sideways = columns > 1 && (event.key === "ArrowRight" ? 1 : event.key === "ArrowLeft" ? -1 : 0);
  const step = STEPS[event.key];
  if (!sideways && !step) return;
  if (event.altKey || event.ctrlKey || event.metaKey) return;
  event.preventDefault();
  const upDown = event.key === "ArrowDown" ? columns : event.key === "ArrowUp" ? -columns : 0;
  const to = sideways ? at + sideways : columns > 1 && upDown ? at + upDown : (step?.(at, found.length - 1) ?? at);
  const next = found[Math.max(0, Math.min(to, found.length - 1))];
  if (!next) return;
  for (const stop of found) stop.tabIndex = stop === next ? 0 : -1;
  next.focus();
}
