// Where one is in the app: behind the `#`, since the server has endpoints of its own at every path.
import { useSyncExternalStore } from "react";

export type Area = "chats" | "people" | "search" | "you";

/** What is one's own beyond the settings, and what is done with badges. */
export const PAGES = ["badge", "scan", "contacts", "leads", "desk"] as const;
export type Page = (typeof PAGES)[number];

export interface Route {
  area: Area;
  page?: Page | undefined;
  conversation?: string | undefined;
  /** Whose it is, where a notification led here. */
  conference?: string | undefined;
  /** A message to show: its seq. */
  at?: number | undefined;
  person?: string | undefined;
  query: string;
  /** The conversation that is searched. */
  within?: string | undefined;
}

export function parse(hash: string): Route {
  const [path = "", search = ""] = hash.replace(/^#/, "").split("?");
  const [, first = "", second] = path.split("/");
  const given = new URLSearchParams(search);
  const at = Number(given.get("at")) || undefined;
  const decoded = second === undefined ? undefined : decode(second);
  const query = given.get("q") ?? "";
  if (first === "c") return { area: "chats", conversation: decoded, conference: given.get("conference") ?? undefined, at, query };
  if (first === "people") return { area: "people", person: decoded, query };
  if (first === "search") return { area: "search", conversation: decoded, at, query, within: given.get("in") ?? undefined };
  const page = PAGES.find((page) => page === first);
  if (page) return { area: "you", page, query };
  if (first === "you") return { area: "you", query };
  return { area: "chats", query };
}

function decode(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

const enc = encodeURIComponent;
const withParams = (path: string, params: Record<string, string | number | undefined>) => {
  const given = new URLSearchParams(Object.entries(params).flatMap(([name, value]) => (value === undefined || value === "" ? [] : [[name, String(value)]])));
  return given.size ? `${path}?${given}` : path;
};

export const to = {
  chats: "#/",
  conversation: (conversation: string, at?: number) => withParams(`#/c/${enc(conversation)}`, { at }),
  people: "#/people",
  person: (user: string) => `#/people/${enc(user)}`,
  search: (query = "", within?: string) => withParams("#/search", { q: query, in: within }),
  found: (query: string, within: string | undefined, conversation: string, at: number) =>
    withParams(`#/search/${enc(conversation)}`, { q: query, in: within, at }),
  you: "#/you",
  page: (page: Page) => `#/${page}`,
};

export function go(hash: string, replace = false): void {
  if (replace) {
    history.replaceState(null, "", hash);
    dispatchEvent(new HashChangeEvent("hashchange"));
  } else location.hash = hash;
}

const watch = (watcher: () => void) => {
  addEventListener("hashchange", watcher);
  return () => removeEventListener("hashchange", watcher);
};

let last: { hash: string; route: Route } = { hash: "", route: parse("") };

function now(): Route {
  if (last.hash !== location.hash) last = { hash: location.hash, route: parse(location.hash) };
  return last.route;
}

export const useRoute = (): Route => useSyncExternalStore(watch, now);
