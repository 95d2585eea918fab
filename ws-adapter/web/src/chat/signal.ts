// A value that can be watched: what the parts of the chat hand to the views.
import type { Readable } from "hallway-client";
import { useCallback, useSyncExternalStore } from "react";

export class Signal<T> {
  private readonly watchers = new Set<() => void>();

  constructor(private value: T) {}

  readonly get = (): T => this.value;

  readonly watch = (watcher: () => void): (() => void) => {
    this.watchers.add(watcher);
    return () => this.watchers.delete(watcher);
  };

  set(value: T): void {
    if (Object.is(value, this.value)) return;
    this.value = value;
    for (const watcher of [...this.watchers]) watcher();
  }

  update(change: (value: T) => T): void {
    this.set(change(this.value));
  }
}

export function useSignal<T>(signal: Signal<T>): T {
  return useSyncExternalStore(signal.watch, signal.get);
}

/** What the SDK keeps is shown at most once in so long: a flood of events must not keep everything else from being shown. */
const FRAME_MS = 16;
const late = new Set<() => void>();
let timer: ReturnType<typeof setTimeout> | undefined;

function tell(): void {
  timer = undefined;
  const now = [...late];
  late.clear();
  for (const watcher of now) watcher();
}

/** The same for what the SDK keeps. */
export function useStore<T>(store: Readable<T>): T {
  const watch = useCallback((watcher: () => void) => {
    const off = store.subscribe(() => {
      late.add(watcher);
      timer ??= setTimeout(tell, FRAME_MS);
    });
    return () => {
      late.delete(watcher);
      off();
    };
  }, [store]);
  return useSyncExternalStore(watch, store.getSnapshot);
}
