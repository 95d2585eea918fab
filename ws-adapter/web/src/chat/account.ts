// Who is signed in here, kept over reloads.
import { createClient, HallwayError, login, memoryStorage, register, type SignedIn } from "hallway-client";
import { forgetBadge } from "./badge";
import { forgetDrafts } from "./drafts";
import { endPush } from "./push";
import { Signal } from "./signal";

/** The user is not known yet after signing in by a token alone. */
export type Account = Pick<SignedIn, "token"> & Partial<SignedIn>;

const KEY = "hallway-account";

function kept(): Account | null {
  try {
    return JSON.parse(localStorage.getItem(KEY) ?? "null") as Account | null;
  } catch {
    return null;
  }
}

export const account = new Signal<Account | null>(kept());
/** Why one has to sign in (again), when there is a reason: a stable word. */
export const ended = new Signal<string | null>(null);

export function enter(signedIn: Account): void {
  try {
    localStorage.setItem(KEY, JSON.stringify(signedIn));
  } catch {
    // Then until the app is closed.
  }
  ended.set(null);
  account.set(signedIn);
}

/** What the server said of the one whose token it is. */
export function complete(known: Partial<SignedIn>): void {
  const now = account.get();
  if (!now || (now.user === known.user && now.name === known.name)) return;
  const next = { ...now, ...known };
  localStorage.setItem(KEY, JSON.stringify(next));
}

export function leave(reason: string | null): void {
  localStorage.removeItem(KEY);
  if (reason === "signed_out") {
    forgetDrafts();
    forgetBadge();
  }
  endPush(reason === "signed_out");
  ended.set(reason);
  account.set(null);
}

export interface Wanted {
  conference: string;
  uid: string;
  password: string;
  name?: string;
  invite?: string;
}

const here = { url: location.origin };

export const logIn = async ({ conference, uid, password }: Wanted): Promise<void> => enter(await login({ ...here, conference, uid, password }));

export async function makeAccount(wanted: Wanted): Promise<void> {
  enter(await register({ ...here, ...wanted }));
}

/** A token that a link brought. Anybody can send such a link: it signs in once somebody has seen as whom and agreed. */
export type Offer = Pick<SignedIn, "token"> & Partial<Pick<SignedIn, "conference">>;
export type Who = Pick<SignedIn, "user" | "name" | "conference">;

export const offer = new Signal<Offer | null>(null);

/** Who is signed in here, as far as is known. */
export const signedIn = (): Account | null => account.get() && (kept() ?? account.get());

/** Asks the server whose token it is, and keeps nothing of it; answers how to stop asking. */
export function learnWhose({ token, conference }: Offer, known: (who: Who) => void, refused: (reason: string) => void): () => void {
  const client = createClient({ ...here, token, ...(conference && { conference }), storage: memoryStorage(), follow: "opened" });
  client.on("hello", ({ user, name, conference }) => {
    client.close();
    known({ user, name, conference });
  });
  client.on("state", (state) => state.status === "signedOut" && refused(state.reason));
  client.connect();
  return () => client.close();
}

/** Signs in by a link's token. */
export function accept({ token }: Offer, who: Who): void {
  const before = signedIn();
  if (before && !isSame(before, who)) forgetDrafts();
  offer.set(null);
  enter({ token, ...who });
}

export const isSame = (one: Account | null, { user, conference }: Who): boolean => one?.user === user && one.conference === conference;

/** What a link's fragment brings: `#token=…`, or `#invite=…&conference=…`. Taken out of the address at once, so that it is not passed on. */
export function fromFragment(): { invite?: string; conference?: string } {
  const given = new URLSearchParams(location.hash.replace(/^#\/?\??/, ""));
  const [token, invite, conference] = ["token", "invite", "conference"].map((name) => given.get(name) ?? undefined);
  if (!token && !invite) return {};
  history.replaceState(null, "", location.pathname);
  if (token) offer.set({ token, ...(conference && { conference }) });
  return { ...(invite && { invite }), ...(conference && { conference }) };
}

export const isReason = (error: unknown, reason: string): boolean => error instanceof HallwayError && error.reason === reason;
