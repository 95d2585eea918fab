// The files that go with the next message: put up as soon as they are picked, so that sending is quick.
import { HallwayError } from "hallway-client";
import { useEffect, useRef, useState } from "react";
import { explain } from "../chat/errors";
import { t } from "../texts";
import { say, useChat } from "../ui/context";

export const MOST_FILES = 10;

export interface Uploading {
  id: number;
  name: string;
  type: string;
  /** For pictures: an address of what was picked. */
  preview: string | undefined;
  /** 0 to 1. */
  part: number;
  url: string | undefined;
}

export interface Files {
  all: readonly Uploading[];
  done: readonly { url: string; name: string }[];
  busy: boolean;
  add: (files: Iterable<File>) => void;
  remove: (id: number) => void;
  clear: () => void;
}

let lastId = 0;

export function useFiles(): Files {
  const chat = useChat();
  const [all, setAll] = useState<readonly Uploading[]>([]);
  const running = useRef(new Map<number, AbortController>()).current;
  const change = (id: number, what: Partial<Uploading>) => setAll((files) => files.map((file) => (file.id === id ? { ...file, ...what } : file)));

  const remove = (id: number) => {
    running.get(id)?.abort();
    running.delete(id);
    setAll((files) => files.filter((file) => file.id !== id));
  };

  const start = (file: File) => {
    const id = ++lastId;
    const preview = file.type.startsWith("image/") ? URL.createObjectURL(file) : undefined;
    const abort = new AbortController();
    running.set(id, abort);
    setAll((files) => [...files, { id, name: file.name, type: file.type, preview, part: 0, url: undefined }]);
    chat.client.upload(file, { onProgress: (part) => change(id, { part }), signal: abort.signal }).then(
      ({ url, name }) => change(id, { url, name, part: 1 }),
      (error: unknown) => {
        if (!abort.signal.aborted) say(t.composer.uploadFailed(file.name, error instanceof HallwayError ? explain(error) : t.common.broken), true);
        remove(id);
      },
    );
  };

  const add = (files: Iterable<File>) => {
    const wanted = [...files];
    const room = MOST_FILES - all.length;
    if (wanted.length > room) say(t.composer.tooMany(MOST_FILES), true);
    for (const file of wanted.slice(0, room)) start(file);
  };

  useEffect(() => () => {
    for (const abort of running.values()) abort.abort();
  }, [running]);

  return {
    all,
    done: all.flatMap(({ url, name }) => (url ? [{ url, name }] : [])),
    busy: all.some(({ url }) => !url),
    add,
    remove,
    clear: () => setAll([]),
  };
}
