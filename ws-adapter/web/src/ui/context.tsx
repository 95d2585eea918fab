// What every view of a signed-in person reads: the chat, and short messages at the bottom of the screen.
import { createContext, useContext, useEffect, useState } from "react";
import type { Chat } from "../chat/chat";
import type { Person } from "hallway-client";
import { explain } from "../chat/errors";
import { Signal, useSignal, useStore } from "../chat/signal";
import type { Directory } from "../format/names";
import { t } from "../texts";

const ChatContext = createContext<Chat | null>(null);
export const ChatProvider = ChatContext.Provider;

export function useChat(): Chat {
  const chat = useContext(ChatContext);
  if (!chat) throw new Error("outside of a chat");
  return chat;
}

export const useMe = () => useSignal(useChat().me);
export const useStaff = (): boolean => ["staff", "organiser"].includes(useMe().role);
export const useDirectory = (): Directory => useStore(useChat().client.people).people;

/** A person, asked for when not known. */
export function usePerson(user: string | undefined): Person | undefined {
  const chat = useChat();
  const known = useDirectory().get(user ?? "");
  const online = useSignal(chat.state).status === "online";
  useEffect(() => {
    if (user && !known && online) chat.client.people.fetch(user).catch(() => undefined);
  }, [chat, user, known, online]);
  return known;
}

/** The time, every half minute: relative times go on. */
export function useNow(): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    const timer = setInterval(() => setNow(Date.now()), 30_000);
    return () => clearInterval(timer);
  }, []);
  return now;
}

/** Whether a media query holds. */
export function useMedia(query: string): boolean {
  const [matches, setMatches] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const media = matchMedia(query);
    const tell = () => setMatches(media.matches);
    tell();
    media.addEventListener("change", tell);
    return () => media.removeEventListener("change", tell);
  }, [query]);
  return matches;
}

export const NARROW = "(max-width: 46rem)";

interface Toast {
  text: string;
  bad: boolean;
}

const toast = new Signal<Toast | null>(null);
let toastTimer: ReturnType<typeof setTimeout> | undefined;

export function say(text: string, bad = false): void {
  toast.set({ text, bad });
  clearTimeout(toastTimer);
  toastTimer = setTimeout(() => toast.set(null), bad ? 6000 : 2500);
}

/** For promises whose failure is told at the bottom of the screen. */
export const complain = (error: unknown): void => say(explain(error), true);

export function Toaster() {
  const shown = useSignal(toast);
  return (
    <div className="toasts" role="status" aria-live="polite">
      {shown && (
        <div className={shown.bad ? "toast bad" : "toast"}>
          {shown.text}
          <button className="link" onClick={() => toast.set(null)}>{t.common.close}</button>
        </div>
      )}
    </div>
  );
}
