/** React hooks over the stores. All of them need a `HallwayProvider` above. */

import { createContext, useCallback, useContext, useEffect, useMemo, useRef, useSyncExternalStore, type ReactNode } from "react";
import type { Hallway, Me } from "./client.js";
import type { State } from "./connection.js";
import type { Conversation, ConversationSnapshot } from "./conversation.js";
import type { ConversationsSnapshot } from "./conversations.js";
import type { Off, Readable } from "./emitter.js";
import type { Person, Presence } from "./protocol.js";
import { Search } from "./search.js";
import { topicOf, useTopic as subscribeTopic, type Subscriber, type TopicMessage } from "./topics.js";

const Context = createContext<Hallway | undefined>(undefined);

/** Gives a client to everything below; connects it while it is mounted unless `connect` is false. */
export function HallwayProvider({
  client,
  connect = true,
  children,
}: {
  client: Hallway;
  connect?: boolean;
  children?: ReactNode;
}): ReactNode {
  useEffect(() => {
    if (connect) client.connect();
  }, [client, connect]);
  return <Context.Provider value={client}>{children}</Context.Provider>;
}

/** The client itself. */
export function useClient(): Hallway {
  const client = useContext(Context);
  if (!client) throw new Error("there is no HallwayProvider above");
  return client;
}

const useStore = <T,>({ subscribe, getSnapshot }: Readable<T>): T => useSyncExternalStore(subscribe, getSnapshot, getSnapshot);

/** The client, what it is doing, and who one is. */
export function useHallway(): { client: Hallway; state: State; me: Me | undefined; online: boolean } {
  const client = useClient();
  const subscribe = useCallback(
    (listener: () => void): Off => {
      const offs = [client.on("state", listener), client.on("hello", listener)];
      return () => offs.forEach((off) => off());
    },
    [client],
  );
  const state = useSyncExternalStore(
    subscribe,
    () => client.state,
    () => client.state,
  );
  const me = useSyncExternalStore(
    subscribe,
    () => client.me,
    () => client.me,
  );
  return { client, state, me, online: state.status === "online" };
}

/** The list of conversations. */
export const useConversations = (): ConversationsSnapshot => useStore(useClient().conversations);

/** One conversation, and what can be done in it. */
export function useConversation(
  id: string,
): ConversationSnapshot & { store: Conversation } & Pick<
    Conversation,
    "send" | "edit" | "delete" | "react" | "read" | "loadOlder" | "loadMembers"
  > {
  const client = useClient();
  const store = useMemo(() => client.conversation(id), [client, id]);
  const snapshot = useStore(store);
  return useMemo(
    () => ({
      ...snapshot,
      store,
      send: (draft) => store.send(draft),
      edit: (seq, text) => store.edit(seq, text),
      delete: (seq) => store.delete(seq),
      react: (seq, emoji, on) => store.react(seq, emoji, on),
      read: (seq) => store.read(seq),
      loadOlder: (limit) => store.loadOlder(limit),
      loadMembers: () => store.loadMembers(),
    }),
    [snapshot, store],
  );
}

/** People whose uid or name begins with `query`, in the directory's order, up to date while they are shown. */
export function usePeople(query = "", limit = 50): { people: readonly Person[]; loading: boolean; complete: boolean; error: unknown } {
  const client = useClient();
  const { people: known } = useStore(client.people);
  const search = useMemo(() => new Search(client, query, limit), [client, query, limit]);
  const { users, ...rest } = useStore(search);
  useEffect(() => search.start(), [search]);
  const people = useMemo(() => users.flatMap((user) => known.get(user) ?? []), [users, known]);
  return { people, ...rest };
}

/** How somebody is; asked for once, and told live of partners of direct conversations. */
export function usePresence(user: string | undefined): (Presence & { name: string }) | undefined {
  const client = useClient();
  const { people } = useStore(client.people);
  useEffect(() => {
    if (!user) return;
    const fetch = (): void => void client.people.fetch(user).catch(() => {});
    if (client.state.status === "online") fetch();
    return client.on("hello", fetch);
  }, [client, user]);
  const person = user === undefined ? undefined : people.get(user);
  return useMemo(() => person && { ...person.presence, name: person.name }, [person]);
}

/** Who is typing, and what to call with every keystroke (`false`: stopped). */
export function useTyping(conversation: string): { typing: ConversationSnapshot["typing"]; setTyping: (on?: boolean) => void } {
  const client = useClient();
  const store = useMemo(() => client.conversation(conversation), [client, conversation]);
  const { typing } = useStore(store);
  const setTyping = useCallback((on = true) => store.typing(on), [store]);
  return { typing, setTyping };
}

export interface WebSocketSubscription {
  /** Who is subscribed now. */
  userList: readonly Subscriber[];
  /** Who came last, and who went last. */
  subscriber: Subscriber | undefined;
  unsubscriber: Subscriber | undefined;
  connectionId: string | undefined;
  connected: boolean;
  error: string | undefined;
  /** Sends to all subscribers, and keeps it for who comes later: resolves when the server has it, rejects with the reason. */
  storeMessage: (action: string, payload: unknown) => Promise<void>;
  /** Sends to all subscribers. */
  sendMessage: (action: string, payload: unknown) => Promise<void>;
}

/** Subscribes to a topic while it is mounted; `callback` gets each message, stored ones first. */
export function useWebSocketSubscribe<T>(topic: string, callback: (message: TopicMessage<T>) => void): WebSocketSubscription {
  const client = useClient();
  const store = useMemo(() => topicOf(client, topic), [client, topic]);
  const latest = useRef(callback);
  useEffect(() => {
    latest.current = callback;
  });
  useEffect(() => subscribeTopic(client, store, (message) => latest.current(message as TopicMessage<T>)), [client, store]);
  const snapshot = useStore(store);
  const storeMessage = useCallback((action: string, payload: unknown) => store.send(action, payload, true), [store]);
  const sendMessage = useCallback((action: string, payload: unknown) => store.send(action, payload), [store]);
  return { ...snapshot, storeMessage, sendMessage };
}
