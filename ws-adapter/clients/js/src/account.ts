/** Making an account and signing in, by HTTP. */

import { HallwayError, refusal } from "./errors.js";

export interface Credentials {
  /** Where the server is: `https://chat.example.org`. */
  url: string;
  conference: string;
  uid: string;
  password: string;
  fetch?: typeof globalThis.fetch;
}

/** What signing in answers; `createClient({ url, ...signedIn })` takes all of it. */
export interface SignedIn {
  token: string;
  user: string;
  name: string;
  conference: string;
  expires_at: string;
}

/** Makes an account, where the conference lets anybody. */
export const register = (credentials: Credentials & { name?: string }): Promise<SignedIn> => post("register", credentials);

/** Signs in with a password. */
export const login = (credentials: Credentials): Promise<SignedIn> => post("login", credentials);

async function post(path: string, { url, fetch = globalThis.fetch, ...body }: Credentials): Promise<SignedIn> {
  const answer = await fetch(`${url.replace(/\/+$/, "")}/api/${path}`, {
    method: "POST",
    headers: { "Content-Type": "application/json" },
    body: JSON.stringify(body),
  }).catch((error) => {
    throw new HallwayError("offline", String(error?.message ?? error));
  });
  const value = await answer.json().catch(() => undefined);
  if (!answer.ok) throw refusal(value?.error, answer.status);
  return value;
}
