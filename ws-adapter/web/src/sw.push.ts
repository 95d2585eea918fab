// The service worker's part of notifications: what a push becomes, and where a click on it leads.
import { words } from "./texts.sw";

/** What a push holds (`PUSH.md`); all of it may be missing: where the message is, when that tells who wrote it to who wants no content. */
interface Pushed {
  /** Conversations of others may be called the same. */
  conference?: string;
  conversation?: string;
  seq?: number;
  title?: string;
  text?: string;
  /** How much is unread in all. */
  badge?: number;
  /** The same for all pushes about one conversation: the newest takes the place of the others. */
  collapse?: string;
  ts?: string;
}

/** What the app's windows are told; their answer is in chat/chat.ts. */
export type Told =
  | { kind: "looking"; conference?: string | undefined }
  | { kind: "open"; conference?: string | undefined; conversation?: string | undefined; seq?: number | undefined }
  | { kind: "resubscribed" };

interface Shown {
  conference?: string;
  conversation?: string;
  seq?: number;
  /** Where there is no `seq`. */
  ts?: string;
}

/** `renotify` is not in the types: a newer message in the same conversation is heard, too. */
type Options = NotificationOptions & { renotify?: boolean; timestamp?: number };

/** A window that does not answer within this is not looked at. */
const ANSWER_MS = 500;

export function watchPush(worker: ServiceWorkerGlobalScope): void {
  worker.addEventListener("push", (event) => event.waitUntil(arrived(worker, read(event.data))));
  worker.addEventListener("notificationclick", (event) => event.waitUntil(clicked(worker, event.notification)));
  worker.addEventListener("pushsubscriptionchange", (event) => event.waitUntil(changed(worker, event as PushSubscriptionChangeEvent)));
}

/** What is in it, as far as it is what it should be: anything may come from a push service. */
function read(data: PushMessageData | null): Pushed {
  let given: Record<string, unknown> = {};
  try {
    given = Object(data?.json()) as Record<string, unknown>;
  } catch {
    // Not JSON.
  }
  const text = (name: string) => (typeof given[name] === "string" && given[name] ? { [name]: given[name] } : {});
  const number = (name: string) => (Number.isSafeInteger(given[name]) ? { [name]: given[name] } : {});
  return { ...text("conference"), ...text("conversation"), ...number("seq"), ...text("title"), ...text("text"), ...number("badge"), ...text("collapse"), ...text("ts") };
}

async function arrived(worker: ServiceWorkerGlobalScope, pushed: Pushed): Promise<void> {
  const { conference, conversation, seq, title, text, badge, collapse, ts } = pushed;
  const tag = collapse ?? conversation ?? words.app;
  if (badge !== undefined) await worker.navigator.setAppBadge?.(badge).catch(() => undefined);
  if (conversation !== undefined && (await isLookedAt(worker, conference, conversation))) return;
  const before = await worker.registration.getNotifications({ tag });
  // A push is delivered at least once, and an old one may come late: it is not heard twice.
  if (before.some(({ data }) => isAsNew((data ?? {}) as Shown, pushed))) return;
  const options: Options = {
    body: text ?? words.news, tag, renotify: true, icon: "/assets/icon-192.png",
    data: { ...(conference !== undefined && { conference }), ...(seq === undefined ? { conversation, ts } : { conversation, seq }) } satisfies Shown,
    ...(ts && !Number.isNaN(Date.parse(ts)) && { timestamp: Date.parse(ts) }),
  };
  await worker.registration.showNotification(title ?? words.app, options);
}

/** Whether what is shown is of the same message, or a later one. */
function isAsNew(shown: Shown, { seq, ts }: Pushed): boolean {
  if (seq !== undefined) return (shown.seq ?? 0) >= seq;
  return ts !== undefined && (shown.ts ?? "") >= ts;
}

const windows = (worker: ServiceWorkerGlobalScope) => worker.clients.matchAll({ type: "window", includeUncontrolled: true });

async function isLookedAt(worker: ServiceWorkerGlobalScope, conference: string | undefined, conversation: string): Promise<boolean> {
  const open = (await windows(worker)).filter(({ focused, visibilityState }) => focused && visibilityState === "visible");
  const answers = await Promise.all(open.map((window) => ask(window, conference)));
  return answers.includes(conversation);
}

/** Which conversation of a conference is open in a window: its address here is the one that it was opened with. */
function ask(window: WindowClient, conference: string | undefined): Promise<string | null> {
  const { port1, port2 } = new MessageChannel();
  return new Promise((resolve) => {
    port1.onmessage = ({ data }) => resolve(data as string | null);
    setTimeout(() => resolve(null), ANSWER_MS);
    window.postMessage({ kind: "looking", conference } satisfies Told, [port2]);
  });
}

async function clicked(worker: ServiceWorkerGlobalScope, shown: Notification): Promise<void> {
  shown.close();
  const { conference, conversation, seq } = (shown.data ?? {}) as Shown;
  const open = await windows(worker);
  const window = open.find(({ focused }) => focused) ?? open[0];
  if (!window) return void (await worker.clients.openWindow(conversation === undefined ? "/" : `/#/c/${encodeURIComponent(conversation)}${params({ at: seq, conference })}`));
  window.postMessage({ kind: "open", conference, conversation, seq } satisfies Told);
  await window.focus().catch(() => undefined);
}

function params(given: Record<string, string | number | undefined>): string {
  const named = Object.entries(given).flatMap(([name, value]) => (value === undefined ? [] : [`${name}=${encodeURIComponent(value)}`]));
  return named.length ? `?${named.join("&")}` : "";
}

interface PushSubscriptionChangeEvent extends ExtendableEvent {
  readonly oldSubscription?: PushSubscription | null;
}

/** Another address at the push service: the app registers it, now when it is open, else at its next start. */
async function changed(worker: ServiceWorkerGlobalScope, { oldSubscription }: PushSubscriptionChangeEvent): Promise<void> {
  const key = oldSubscription?.options.applicationServerKey;
  if (key) await worker.registration.pushManager.subscribe({ userVisibleOnly: true, applicationServerKey: key }).catch(() => undefined);
  for (const window of await windows(worker)) window.postMessage({ kind: "resubscribed" } satisfies Told);
}
