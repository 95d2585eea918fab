// What runs here: the conferences, and what this server can do. Older ones lack a thing or two, and then the app does not offer it.
import { Signal } from "./signal";

export interface AboutConference {
  id: string;
  title: string;
  sign_in: "open" | "invite" | "password" | "token";
}

export interface About {
  version: string;
  mode: string;
  conferences: AboutConference[];
}

export const about = new Signal<About | null>(null);

export interface Features {
  search: boolean;
  files: boolean;
  push: boolean;
  /** Badges, and with them contacts and leads. */
  badges: boolean;
}

const KEY = "hallway-features";

/** As it was when the server was reached last: without a network, too, one has a badge to show. */
function kept(): Features {
  const none = { search: false, files: false, push: false, badges: false };
  try {
    return { ...none, ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Partial<Features>) };
  } catch {
    return none;
  }
}

export const features = new Signal<Features>(kept());

const RETRY_MS = 3000;

async function json<T>(path: string): Promise<T> {
  const response = await fetch(path);
  if (!response.ok) throw new Error(`${path} answered ${response.status}`);
  return (await response.json()) as T;
}

/** Asks until there is an answer; tells when there was none. */
export async function learnAbout(unreachable: () => void): Promise<void> {
  for (;;) {
    try {
      about.set(await json<About>("/api/about"));
      return;
    } catch {
      unreachable();
      await new Promise((resolve) => setTimeout(resolve, RETRY_MS));
    }
  }
}

export async function learnFeatures(): Promise<void> {
  const { methods } = await json<{ methods: { name: string }[] }>("/openrpc.json");
  const has = (method: string) => methods.some(({ name }) => name === method);
  const search = has("message.search");
  // Search and files came together, as did the methods of badges.
  features.set({ search, files: search, push: has("push.register"), badges: has("badge.scan") });
  try {
    localStorage.setItem(KEY, JSON.stringify(features.get()));
  } catch {
    // Then it is asked again before it is offered.
  }
}
