/** Listeners by name, and snapshots that views subscribe to. */

export type Off = () => void;

/** A listener that throws is its own affair: it must not break the connection nor the other listeners. */
const isolated = (run: () => void): void => {
  try {
    run();
  } catch (error) {
    setTimeout(() => {
      throw error;
    });
  }
};

export class Emitter<Events> {
  readonly #listeners = new Map<keyof Events, Set<(value: never) => void>>();

  /** Calls `listener` for every such event until the returned function is called. */
  on<E extends keyof Events>(event: E, listener: (value: Events[E]) => void): Off {
    let set = this.#listeners.get(event);
    if (!set) this.#listeners.set(event, (set = new Set()));
    set.add(listener);
    return () => set.delete(listener);
  }

  /** @internal */
  emit<E extends keyof Events>(event: E, value: Events[E]): void {
    for (const listener of [...(this.#listeners.get(event) ?? [])]) isolated(() => (listener as (value: Events[E]) => void)(value));
  }
}

/** A value that changes by being replaced: fit for React's `useSyncExternalStore`. Both methods may be passed around. */
export interface Readable<T> {
  /** Calls `listener` after changes, at most once per turn. */
  subscribe: (listener: () => void) => Off;
  /** The same object until something changes; never changed itself. */
  getSnapshot: () => T;
}

export abstract class Store<T> implements Readable<T> {
  readonly #watchers = new Set<() => void>();
  #snapshot: T | undefined;
  #told = true;

  readonly subscribe = (listener: () => void): Off => {
    this.#watchers.add(listener);
    return () => this.#watchers.delete(listener);
  };

  readonly getSnapshot = (): T => (this.#snapshot ??= this.build());

  protected abstract build(): T;

  /** Something changed: the next snapshot is another, and who watches is told once at the end of this turn. */
  protected changed(): void {
    this.#snapshot = undefined;
    if (!this.#told) return;
    this.#told = false;
    queueMicrotask(() => {
      this.#told = true;
      for (const watcher of [...this.#watchers]) isolated(watcher);
    });
  }
}
