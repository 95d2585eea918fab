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
}

export const features = new Signal<Features>({ search: false, files: false });

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
  const search = methods.some(({ name }) => name === "message.search");
  // The two came together.
  features.set({ search, files: search });
}
