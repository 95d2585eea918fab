// @vitest-environment happy-dom
/** Every storage does the same. */

import "fake-indexeddb/auto";
import { expect, test } from "vitest";
import { asyncStorage, indexedDbStorage, memoryStorage, webStorage, type HallwayStorage } from "hallway-client";

const native = new Map<string, string>();
const STORAGES: Record<string, () => HallwayStorage> = {
  memory: () => memoryStorage(native),
  localStorage: () => webStorage(localStorage),
  IndexedDB: () => indexedDbStorage("test"),
  AsyncStorage: () =>
    asyncStorage({
      getItem: async (key) => native.get(key) ?? null,
      setItem: async (key, value) => native.set(key, value),
      removeItem: async (key) => native.delete(key),
      getAllKeys: async () => [...native.keys()],
    }),
};

test.each(Object.keys(STORAGES))("what is kept in %s is there for the next client, by prefix", async (name) => {
  const open = STORAGES[name] as () => HallwayStorage;
  const before = open();
  await Promise.all([before.set("a|1", "one"), before.set("a|2", "two"), before.set("b|1", "other"), before.set("a", "short")]);
  await before.set("a|1", "one, again");
  const after = open();
  expect((await after.keys("a|")).sort()).toEqual(["a|1", "a|2"]);
  expect(await after.get("a|1")).toBe("one, again");
  expect((await after.get("nothing")) ?? null).toBeNull();
  await after.remove("a|1");
  await after.remove("nothing");
  expect(await before.keys("a|")).toEqual(["a|2"]);
  for (const key of await after.keys("")) await after.remove(key);
  expect(await before.keys("")).toEqual([]);
});
