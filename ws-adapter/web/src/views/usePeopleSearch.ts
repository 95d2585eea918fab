// People by the beginning of a name, page by page.
import type { Person } from "hallway-client";
import { useEffect, useRef, useState } from "react";
import { useSignal } from "../chat/signal";
import { complain, useChat } from "../ui/context";

const WAIT_MS = 150;
const PAGE = 50;

export interface Found {
  people: readonly Person[];
  complete: boolean;
  busy: boolean;
  more: () => void;
}

export function usePeopleSearch(query: string): Found {
  const chat = useChat();
  const online = useSignal(chat.state).status === "online";
  const [found, setFound] = useState<{ people: readonly Person[]; complete: boolean }>({ people: [], complete: true });
  const [busy, setBusy] = useState(true);
  const asked = useRef(0);
  const ask = (after?: string) => {
    const ask = ++asked.current;
    setBusy(true);
    chat.client.people
      .search(query.trim().toLocaleLowerCase(), { limit: PAGE, ...(after && { after }) })
      .then(({ people, complete }) => {
        if (ask === asked.current) setFound((before) => ({ people: after ? [...before.people, ...people] : people, complete }));
      }, (error: unknown) => online && complain(error))
      .finally(() => ask === asked.current && setBusy(false));
  };
  useEffect(() => {
    if (!online) return;
    const timer = setTimeout(ask, query ? WAIT_MS : 0);
    return () => clearTimeout(timer);
  }, [query, online]);
  return { ...found, busy, more: () => ask(found.people.at(-1)?.user) };
}
