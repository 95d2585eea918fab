// The shortcuts that hold everywhere. What they are is said in texts.ts.
import type { ConversationRow } from "hallway-client";
import { useEffect, useRef } from "react";
import { go, to } from "../ui/route";

interface Doings {
  rows: readonly ConversationRow[];
  open: string | undefined;
  jump: () => void;
  shortcuts: () => void;
}

const isTyping = (target: EventTarget | null) => target instanceof HTMLElement && (target.matches("input, textarea, select") || target.isContentEditable);

export function useKeys(doings: Doings): void {
  const latest = useRef(doings);
  latest.current = doings;
  useEffect(() => {
    const onKeyDown = (event: KeyboardEvent) => {
      const { rows, open, jump, shortcuts } = latest.current;
      const command = event.ctrlKey || event.metaKey;
      if (document.querySelector("dialog[open]")) return;
      if (command && !event.altKey && event.key.toLowerCase() === "k") jump();
      else if (event.altKey && !command && (event.key === "ArrowUp" || event.key === "ArrowDown")) step(rows, open, event.key === "ArrowUp" ? -1 : 1, event.shiftKey);
      else if (isTyping(event.target) || command || event.altKey) return;
      else if (event.key === "?") shortcuts();
      else if (event.key === "/") go(to.search());
      else if (event.key === "Escape") document.querySelector<HTMLElement>(".composer textarea")?.focus();
      else return;
      event.preventDefault();
    };
    addEventListener("keydown", onKeyDown);
    return () => removeEventListener("keydown", onKeyDown);
  }, []);
}

/** To the next conversation in the list, or the next unread one. */
function step(rows: readonly ConversationRow[], open: string | undefined, by: 1 | -1, unread: boolean): void {
  const at = rows.findIndex(({ conversation }) => conversation === open);
  for (let steps = 1; steps <= rows.length; steps += 1) {
    const row = rows[(at + by * steps + rows.length * 2) % rows.length];
    if (row && (!unread || row.unread > 0)) return go(to.conversation(row.conversation));
  }
}
