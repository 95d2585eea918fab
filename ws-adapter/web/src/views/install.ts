// The browser's offer to install the app, kept until somebody wants it.
import { Signal } from "../chat/signal";

interface Offer extends Event {
  prompt(): Promise<unknown>;
}

export const installer = new Signal<Offer | null>(null);

export function watchInstall(): void {
  addEventListener("beforeinstallprompt", (event) => {
    event.preventDefault();
    installer.set(event as Offer);
  });
  addEventListener("appinstalled", () => installer.set(null));
}
