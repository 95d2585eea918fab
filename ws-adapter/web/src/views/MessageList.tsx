// The messages of a conversation, any number of them: only what is near the screen is in the document (useScroll.ts).
import { useCallback, useEffect, useLayoutEffect, useMemo, useRef, useState, type KeyboardEvent } from "react";
import type { Conversation, ConversationRow, ConversationSnapshot } from "hallway-client";
import { useSignal, useStore } from "../chat/signal";
import { complain, say, useChat } from "../ui/context";
import { explain } from "../chat/errors";
import * as Icon from "../ui/icons";
import { t } from "../texts";
import { MessageRow, type Actions } from "./MessageRow";
import { rowsOf } from "./rows";
import { useScroll } from "./useScroll";

/** Older messages are asked for when the screen is this near to the oldest, in px. */
const LOAD_WITHIN = 2000;
/** To find a message, so many are loaded at once, and at most about so many in all. */
const LOAD_AT_ONCE = 500;
const MAX_LOADED = 20_000;

interface Props {
  conversation: Conversation;
  row: ConversationRow;
  title: string;
  /** A message to show. */
  at: number | undefined;
  /** Of a direct conversation: the seq up to which the other one has read. */
  readByPartner: number;
  actions: Actions;
}

export function MessageList({ conversation, row, title, at, readByPartner, actions }: Props) {
  const chat = useChat();
  const view = useStore(conversation);
  const online = useSignal(chat.state).status === "online";
  const readBefore = useRef(row.unread ? row.read : Infinity);
  const rows = useMemo(() => rowsOf(view.items, view.complete, readBefore.current, row.kind), [view.items, view.complete, row.kind]);
  const moved = useRef(() => {});
  const { scroller, list, above, below, from, to, atEnd, onScroll, toEnd, show } = useScroll(rows, moved);
  const [highlight, setHighlight] = useState<string | null>(null);

  /** Loads older messages when the screen is near to the oldest that is loaded. */
  const loadNear = useCallback(() => {
    const element = scroller.current;
    // Without a connection it would fail at once, again and again.
    if (element && online && view.status === "ready" && !view.complete && !view.loadingOlder && element.scrollTop < LOAD_WITHIN) conversation.loadOlder().catch(() => undefined);
  }, [view, conversation, online, scroller]);
  moved.current = loadNear;
  useEffect(loadNear, [loadNear]);

  // What is opened: a message, the first unread one, or the end.
  const opened = useRef(false);
  useLayoutEffect(() => {
    if (!rows.length || opened.current) return;
    opened.current = true;
    const first = rows.find(({ isNew }) => isNew);
    if (at === undefined && first) show(first.item.key, -96);
  }, [rows, at, show]);
  useEffect(() => {
    if (at !== undefined) loadTo(conversation, at).then((found) => found || say(t.conversation.tooFar), complain);
  }, [conversation, at]);
  const showing = useRef<number | undefined>(undefined);
  useLayoutEffect(() => {
    const found = at === undefined || showing.current === at ? undefined : rows.find(({ item }) => item.seq === at);
    if (!found) return;
    showing.current = at;
    show(found.item.key, -(scroller.current?.clientHeight ?? 0) / 3);
    setHighlight(found.item.key);
  }, [at, rows, show, scroller]);
  useEffect(() => {
    if (at === undefined) showing.current = undefined;
    const timer = setTimeout(() => setHighlight(null), 2500);
    return () => clearTimeout(timer);
  }, [highlight, at]);

  // What we send is to be seen.
  const last = view.items.at(-1);
  const lastOwn = last?.kind === "message" && last.own && last.state !== "sent" ? last.key : undefined;
  useEffect(() => {
    if (lastOwn) toEnd();
  }, [lastOwn, toEnd]);

  useEffect(() => chat.look(row.conversation, atEnd && view.status === "ready"), [chat, row.conversation, atEnd, view.status, view.items]);
  useEffect(() => () => chat.look(null, false), [chat]);

  const onKeyDown = (event: KeyboardEvent) => {
    const focused = (event.target as HTMLElement).closest<HTMLElement>("[data-key]");
    const step = { ArrowUp: "previousElementSibling", ArrowDown: "nextElementSibling" }[event.key] as "previousElementSibling" | undefined;
    if (event.key === "End" || (event.key === "Home" && !focused)) return toEnd();
    if (!step || event.altKey || event.ctrlKey || event.metaKey) return;
    let next = focused ? focused[step] : list.current?.lastElementChild;
    event.preventDefault();
    while (next && !(next as HTMLElement).dataset["key"]) next = next[step];
    if (next instanceof HTMLElement) {
      next.focus({ preventScroll: true });
      next.scrollIntoView({ block: "nearest" });
    }
  };

  return (
    <div className="messages-frame">
      <div className="messages" ref={scroller} onScroll={onScroll} onKeyDown={onKeyDown} tabIndex={0} role="region" aria-label={t.conversation.messages(title)}>
        <Edge view={view} title={title} kind={row.kind} />
        <div ref={above} />
        <ol className="message-rows" ref={list}>
          {rows.slice(from, to).map((shownRow) => (
            <MessageRow
              key={shownRow.item.key} row={shownRow} conversation={row.conversation} kind={row.kind} highlighted={highlight === shownRow.item.key}
              isRead={(shownRow.item.seq ?? Infinity) <= readByPartner} actions={actions}
            />
          ))}
        </ol>
        <div ref={below} />
      </div>
      {!atEnd && rows.length > 0 && (
        <button className="to-end" onClick={toEnd} aria-label={row.unread ? t.conversation.newBelow(row.unread) : t.conversation.toEnd}>
          <Icon.Down />
          {row.unread > 0 && <span className="badge">{row.unread > 99 ? "99+" : row.unread}</span>}
        </button>
      )}
    </div>
  );
}

/** Loads older messages until one is there; false when it is further back than is kept. */
async function loadTo(conversation: Conversation, seq: number): Promise<boolean> {
  for (let loaded = -1; ; ) {
    const { items, complete, status } = conversation.getSnapshot();
    const oldest = items[0]?.seq ?? Infinity;
    if (status !== "ready") await changed(conversation);
    else if (oldest <= seq || complete) return true;
    else if (items.length === loaded || items.length > MAX_LOADED) return false;
    else {
      loaded = items.length;
      await conversation.loadOlder(LOAD_AT_ONCE);
    }
    if (conversation.getSnapshot().status === "refused") return true;
  }
}

const changed = (conversation: Conversation) =>
  new Promise<void>((resolve) => {
    const off = conversation.subscribe(() => (off(), resolve()));
  });

/** What is above the first row: the conversation's start, or that there is more. Its height is part of the list's padding. */
function Edge({ view, title, kind }: { view: ConversationSnapshot; title: string; kind: ConversationRow["kind"] }) {
  if (view.status === "refused") return <div className="edge" role="alert"><p>{explain(view.error)}</p></div>;
  if (!view.complete) return <div className="edge busy"><span className="spinner" />{t.conversation.loading}</div>;
  return (
    <div className="edge">
      <p>{kind === "direct" ? t.conversation.startDirect(title) : t.conversation.start(title)}</p>
      {view.items.length === 0 && <p className="faint">{t.conversation.empty}</p>}
    </div>
  );
}
