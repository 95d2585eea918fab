/**
 * Where the outbox is kept. Strings by key, all asynchronous: what a browser, React Native or a program on disk has fits behind it.
 */

export interface HallwayStorage {
  get(key: string): Promise<string | null | undefined>;
  set(key: string, value: string): Promise<unknown>;
  remove(key: string): Promise<unknown>;
  /** All keys that begin with `prefix`. */
  keys(prefix: string): Promise<string[]>;
}

/** Forgotten with the program. */
export function memoryStorage(map: Map<string, string> = new Map()): HallwayStorage {
  return {
    get: async (key) => map.get(key),
    set: async (key, value) => map.set(key, value),
    remove: async (key) => map.delete(key),
    keys: async (prefix) => [...map.keys()].filter((key) => key.startsWith(prefix)),
  };
}

/** `localStorage`, or `sessionStorage`. */
export function webStorage(area: Storage = localStorage): HallwayStorage {
  return {
    get: async (key) => area.getItem(key),
    set: async (key, value) => area.setItem(key, value),
    remove: async (key) => area.removeItem(key),
    keys: async (prefix) => Object.keys(area).filter((key) => key.startsWith(prefix)),
  };
}

/** React Native's AsyncStorage, or anything with the same methods. */
export interface AsyncStorageLike {
  getItem(key: string): Promise<string | null>;
  setItem(key: string, value: string): Promise<unknown>;
  removeItem(key: string): Promise<unknown>;
  getAllKeys(): Promise<readonly string[]>;
}

export function asyncStorage(area: AsyncStorageLike): HallwayStorage {
  return {
    get: (key) => area.getItem(key),
    set: (key, value) => area.setItem(key, value),
    remove: (key) => area.removeItem(key),
    keys: async (prefix) => (await area.getAllKeys()).filter((key) => key.startsWith(prefix)),
  };
}

const settled = <T>(request: IDBRequest<T>): Promise<T> =>
  new Promise((resolve, reject) => {
    request.onsuccess = () => resolve(request.result);
    request.onerror = () => reject(request.error);
  });

/** IndexedDB: roomier than `localStorage`, and does not hold up the page. A write has been kept when its promise resolves. */
export function indexedDbStorage(name = "hallway"): HallwayStorage {
  let opened: Promise<IDBDatabase> | undefined;
  const open = (): Promise<IDBDatabase> => {
    const request = indexedDB.open(name, 1);
    request.onupgradeneeded = () => request.result.createObjectStore("kv");
    return settled(request);
  };
  const store = async (mode: IDBTransactionMode): Promise<IDBObjectStore> =>
    (await (opened ??= open())).transaction("kv", mode).objectStore("kv");
  const write = async (act: (kv: IDBObjectStore) => IDBRequest): Promise<void> => {
    const kv = await store("readwrite");
    act(kv);
    await new Promise<void>((resolve, reject) => {
      kv.transaction.oncomplete = () => resolve();
      kv.transaction.onabort = () => reject(kv.transaction.error);
    });
  };
  return {
    get: async (key) => settled<string | undefined>((await store("readonly")).get(key)),
    set: (key, value) => write((kv) => kv.put(value, key)),
    remove: (key) => write((kv) => kv.delete(key)),
    keys: async (prefix) => (await settled((await store("readonly")).getAllKeys(IDBKeyRange.bound(prefix, `${prefix}\uffff`)))) as string[],
  };
}

/** What fits here: IndexedDB or `localStorage` in a browser, else memory. */
export function defaultStorage(): HallwayStorage {
  try {
    if (typeof indexedDB !== "undefined" && indexedDB) return indexedDbStorage();
    if (typeof localStorage !== "undefined" && localStorage) return webStorage();
  } catch {
    // A browser that forbids it throws at the mere mention.
  }
  return memoryStorage();
}
