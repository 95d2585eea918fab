// Notifications on this device: registering the browser with the server, and closing what was read. Showing them is sw.ts' part.
import { HallwayError, type ConversationRow, type Hallway } from "hallway-client";
import { Signal } from "./signal";

/** `unsupported`: this browser cannot; `denied`: somebody has said no to the browser, and only there it can be changed. */
export type PushState = "unknown" | "unsupported" | "denied" | "off" | "on";

export const pushState = new Signal<PushState>("unknown");

/** Who wants notifications here: `conference/user`. */
const KEY = "hallway-push";
/** A service worker that is not there by then will not come. */
const WORKER_MS = 10_000;

const isSupported = () => import.meta.env.PROD && "serviceWorker" in navigator && "PushManager" in window && "Notification" in window;
const isDenied = () => Notification.permission === "denied";

const whose = ({ me }: Hallway): string => `${me?.conference}/${me?.user}`;
const isWanted = (client: Hallway): boolean => localStorage.getItem(KEY) === whose(client);

/** Asks for the permission and registers; to be called from a click. */
export async function turnOn(client: Hallway): Promise<void> {
  const permission = await Notification.requestPermission();
  if (permission !== "granted") return pushState.set(permission === "denied" ? "denied" : "off");
  await register(client);
  localStorage.setItem(KEY, whose(client));
  pushState.set("on");
}

export async function turnOff(client: Hallway): Promise<void> {
  localStorage.removeItem(KEY);
  pushState.set("off");
  const endpoint = await unsubscribe();
  if (endpoint) await client.call("push.unregister", { provider: "webpush", endpoint });
}

/** At each start, and after the browser's push service gave another address: the server is told where one is reached now. */
export async function renew(client: Hallway): Promise<void> {
  if (!isSupported()) return pushState.set("unsupported");
  if (isDenied()) return pushState.set("denied");
  if (!isWanted(client) || Notification.permission !== "granted") return pushState.set("off");
  await register(client);
  pushState.set("on");
}

/** Somebody says yes or no in the browser's own settings: the app follows, as long as this is not undone. */
export function watchPermission(client: Hallway): () => void {
  const over = new AbortController();
  navigator.permissions?.query({ name: "notifications" }).then(
    (permission) => permission.addEventListener("change", () => void renew(client).catch(() => undefined), { signal: over.signal }),
    () => undefined,
  );
  return () => over.abort();
}

/** Signing out: nothing is shown here any more. Whoever was signed out by others wants notifications again on coming back. */
export function endPush(forGood: boolean): void {
  if (forGood) localStorage.removeItem(KEY);
  pushState.set("unknown");
  if (!isSupported()) return;
  unsubscribe().catch(() => undefined);
  closeAll().catch(() => undefined);
}

/** What is still shown was for whoever is not signed in here any more. */
async function closeAll(): Promise<void> {
  const registration = await navigator.serviceWorker.getRegistration();
  for (const shown of (await registration?.getNotifications()) ?? []) shown.close();
}

/**
 * Closes the notifications of what was read, here or elsewhere. One without content does not say in which direct conversation its message is, only when
 * that was said: it is closed once none of them has anything unread that may be it.
 */
export async function closeRead(here: string | undefined, rows: readonly ConversationRow[]): Promise<void> {
  if (!isSupported() || Notification.permission !== "granted") return;
  const registration = await navigator.serviceWorker.getRegistration();
  for (const shown of (await registration?.getNotifications()) ?? []) {
    const { conference = here, conversation, seq, ts } = (shown.data ?? {}) as { conference?: string; conversation?: string; seq?: number; ts?: string };
    if (conference !== here) continue;
    const row = rows.find((row) => row.conversation === conversation);
    if (conversation === undefined ? ts !== undefined && !rows.some((row) => mayHold(row, ts)) : row && seq !== undefined && row.read >= seq) shown.close();
  }
}

/** Whether something unread in a direct conversation may have been said at a time. */
const mayHold = ({ kind, unread, last }: ConversationRow, ts: string): boolean => kind === "direct" && unread > 0 && Date.parse(last?.ts ?? ts) >= Date.parse(ts);

async function register(client: Hallway): Promise<void> {
  const { webpush } = await client.call("push.key", {});
  if (!webpush) throw new HallwayError("no_webpush");
  const { pushManager } = await worker();
  let subscription = await pushManager.getSubscription();
  // Another key: the server has begun anew, and the old subscription takes nothing from it.
  if (subscription && base64url(subscription.options.applicationServerKey) !== webpush) {
    await subscription.unsubscribe();
    subscription = null;
  }
  subscription ??= await pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: webpush });
  const [p256dh, auth] = [base64url(subscription.getKey("p256dh")), base64url(subscription.getKey("auth"))];
  await client.call("push.register", { provider: "webpush", endpoint: subscription.endpoint, keys: { p256dh, auth }, device: deviceName() });
}

/** Ends the browser's subscription; where it was. */
async function unsubscribe(): Promise<string | undefined> {
  const registration = await navigator.serviceWorker.getRegistration();
  const subscription = await registration?.pushManager.getSubscription();
  await subscription?.unsubscribe();
  return subscription?.endpoint;
}

function worker(): Promise<ServiceWorkerRegistration> {
  const late = new Promise<never>((_, reject) => setTimeout(() => reject(new Error("there is no service worker")), WORKER_MS));
  return Promise.race([navigator.serviceWorker.ready, late]);
}

function base64url(bytes: ArrayBuffer | null): string {
  const text = String.fromCharCode(...new Uint8Array(bytes ?? new ArrayBuffer(0)));
  return btoa(text).replaceAll("+", "-").replaceAll("/", "_").replace(/=+$/, "");
}

/** What lists of sessions and devices call this one: "Chrome on Android". */
export function deviceName(): string {
  const agent = navigator.userAgent;
  const browser = /Firefox/.test(agent) ? "Firefox" : /Edg\//.test(agent) ? "Edge" : /Chrome|CriOS/.test(agent) ? "Chrome" : /Safari/.test(agent) ? "Safari" : "Browser";
  const system = /Android/.test(agent) ? "Android" : /iPhone|iPad/.test(agent) ? "iOS" : /Windows/.test(agent) ? "Windows" : /Mac/.test(agent) ? "macOS" : "Linux";
  return `${browser} on ${system}`;
}
