// Keeps the app itself, so that it opens without a network: its files, never what people wrote. And shows what is pushed (sw.push.ts).
import { watchPush } from "./sw.push";

/** Filled in by the build: the files, and a word that changes with them. */
declare const __SHELL__: { files: string[]; version: string };

const worker = self as unknown as ServiceWorkerGlobalScope;
const SHELL = __SHELL__;
const CACHE = `hallway-${SHELL.version}`;
/** After this the kept page does. */
const PATIENCE_MS = 3000;

watchPush(worker);

worker.addEventListener("install", (event) => {
  event.waitUntil(
    caches
      .open(CACHE)
      .then((cache) => cache.addAll(SHELL.files))
      .then(() => worker.skipWaiting()),
  );
});

worker.addEventListener("activate", (event) => {
  const forget = async () => {
    for (const name of await caches.keys()) if (name.startsWith("hallway-") && name !== CACHE) await caches.delete(name);
    await worker.clients.claim();
  };
  event.waitUntil(forget());
});

worker.addEventListener("fetch", (event) => {
  const { request } = event;
  const url = new URL(request.url);
  if (request.method !== "GET" || url.origin !== worker.location.origin) return;
  if (request.mode === "navigate" && url.pathname === "/") event.respondWith(page(request));
  else if (SHELL.files.includes(url.pathname) && url.pathname !== "/") event.respondWith(kept(request));
});

/** The newest page when the server answers in time, else the one that is kept. */
async function page(request: Request): Promise<Response> {
  const fresh = fetch(request).catch(() => undefined);
  const late = new Promise<undefined>((resolve) => setTimeout(resolve, PATIENCE_MS));
  const answer = await Promise.race([fresh, late]);
  if (answer?.ok) return answer;
  return (await caches.match("/", { cacheName: CACHE, ignoreVary: true })) ?? (await fresh) ?? Response.error();
}

async function kept(request: Request): Promise<Response> {
  return (await caches.match(request, { cacheName: CACHE, ignoreSearch: true, ignoreVary: true })) ?? fetch(request);
}
