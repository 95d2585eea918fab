// The messages of a conversation, any number of them: only what is near the screen is in the document.
//
// One rule keeps the position: after whatever changes (older messages put before, an image that got its size, a wider window),
// the anchor is put back to where it was. The anchor is the end, or a row and how far the screen's top is below its top.
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState, type KeyboardEvent } from "react";
import type { Conversation, ConversationRow, ConversationSnapshot } from "hallway-client";
import { useSignal, useStore } from "../chat/signal";
import { complain, say, useChat } from "../ui/context";
import { explain } from "../chat/errors";
import * as Icon from "../ui/icons";
import { t } from "../texts";
import { MessageRow, type Actions } from "./MessageRow";
import { rowsOf } from "./rows";

/** What a row is taken for until it is measured, in px. */
const ESTIMATE = 52;
/** What is rendered above and below the screen, in px; more when less than half of it is left. */
const OVERSCAN = 900;
/** Older or newer messages are asked for when the screen is this near to the edge, in px. */
const LOAD_WITHIN = 2000;
/** To find a message, so many are loaded at once, and at most about so many in all. */
const LOAD_AT_ONCE = 500;
const MAX_LOADED = 20_000;
/** This near to the end is the end, in px. */
const END_WITHIN = 48;

type Anchor = "end" | { key: string; below: number };

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
  const index = useMemo(() => new Map(rows.map(({ item }, at) => [item.key, at])), [rows]);
  const scroller = useRef<HTMLDivElement>(null);
  const list = useRef<HTMLOListElement>(null);
  const [above, below] = [useRef<HTMLDivElement>(null), useRef<HTMLDivElement>(null)];
  const heights = useRef(new Map<string, number>()).current;
  const anchor = useRef<Anchor>("end");
  const shown = useRef({ from: 0, to: 0 });
  const [, render] = useReducer((count: number) => count + 1, 0);
  const [atEnd, setAtEnd] = useState(true);
  const [highlight, setHighlight] = useState<string | null>(null);

  const offsets = useCallback(() => {
    const tops = new Float64Array(rows.length + 1);
    rows.forEach(({ item }, at) => (tops[at + 1] = (tops[at] ?? 0) + (heights.get(item.key) ?? ESTIMATE)));
    return tops;
  }, [rows, heights]);

  /** Where the screen's top is, by the anchor. */
  const topOf = (tops: Float64Array): number => {
    const height = scroller.current?.clientHeight ?? innerHeight;
    const total = tops[rows.length] ?? 0;
    if (anchor.current === "end") return Math.max(0, total - height);
    const at = index.get(anchor.current.key);
    return at === undefined ? Math.max(0, total - height) : (tops[at] ?? 0) + anchor.current.below;
  };

  // What to render.
  const tops = offsets();
  const top = topOf(tops);
  const height = scroller.current?.clientHeight ?? innerHeight;
  const from = Math.max(0, rowAt(tops, top - OVERSCAN));
  const to = Math.min(rows.length, rowAt(tops, top + height + OVERSCAN) + 1);
  shown.current = { from, to };

  /** Measures what is rendered, and puts the anchor back. */
  const settle = useCallback(() => {
    const element = scroller.current;
    if (!element) return;
    for (const child of list.current?.children ?? []) {
      const { key } = (child as HTMLElement).dataset;
      if (key) heights.set(key, child.getBoundingClientRect().height);
    }
    const tops = offsets();
    const { from, to } = shown.current;
    if (above.current) above.current.style.height = `${tops[from]}px`;
    if (below.current) below.current.style.height = `${(tops[rows.length] ?? 0) - (tops[to] ?? 0)}px`;
    const wanted = anchor.current === "end" ? element.scrollHeight - element.clientHeight : topOf(tops) + padding(list.current);
    if (Math.abs(element.scrollTop - wanted) > 0.75) element.scrollTop = wanted;
  }, [offsets, rows, index]);

  useLayoutEffect(settle);

  // Rows that change their size by themselves, and the screen.
  const observer = useRef<ResizeObserver | null>(null);
  const settleNow = useRef(settle);
  settleNow.current = settle;
  useEffect(() => {
    const watching = new ResizeObserver(() => settleNow.current());
    observer.current = watching;
    if (scroller.current) watching.observe(scroller.current);
    return () => watching.disconnect();
  }, []);
  useLayoutEffect(() => {
    for (const child of list.current?.children ?? []) observer.current?.observe(child);
  }, [from, to, rows]);

  /** Loads older messages when the screen is near to the oldest that is loaded. */
  const loadNear = useCallback(() => {
    const element = scroller.current;
    // Without a connection it would fail at once, again and again.
    if (element && online && view.status === "ready" && !view.complete && !view.loadingOlder && element.scrollTop < LOAD_WITHIN) conversation.loadOlder().catch(() => undefined);
  }, [view, conversation, online]);
  useEffect(loadNear, [loadNear]);

  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const { scrollTop, scrollHeight, clientHeight } = element;
    const end = scrollHeight - clientHeight - scrollTop < END_WITHIN;
    const tops = offsets();
    const inList = scrollTop - padding(list.current);
    const at = rowAt(tops, inList);
    anchor.current = end ? "end" : { key: rows[at]?.item.key ?? "", below: inList - (tops[at] ?? 0) };
    if (end !== atEnd) setAtEnd(end);
    const { from, to } = shown.current;
    const wantsAbove = from > 0 && inList - (tops[from] ?? 0) < OVERSCAN / 2;
    const wantsBelow = to < rows.length && (tops[to] ?? 0) - inList - clientHeight < OVERSCAN / 2;
    if (wantsAbove || wantsBelow) render();
    loadNear();
  };

  const toEnd = useCallback(() => {
    anchor.current = "end";
    setAtEnd(true);
    render();
  }, []);

  // What is opened: a message, the first unread one, or the end.
  const opened = useRef(false);
  useLayoutEffect(() => {
    if (!rows.length || opened.current) return;
    opened.current = true;
    const first = rows.find(({ isNew }) => isNew);
    if (at === undefined && first) {
      anchor.current = { key: first.item.key, below: -96 };
      render();
    }
  }, [rows, at]);
  useEffect(() => {
    if (at !== undefined) loadTo(conversation, at).then((found) => found || say(t.conversation.tooFar), complain);
  }, [conversation, at]);
  const showing = useRef<number | undefined>(undefined);
  useLayoutEffect(() => {
    const found = at === undefined || showing.current === at ? undefined : rows.find(({ item }) => item.seq === at);
    if (!found) return;
    showing.current = at;
    anchor.current = { key: found.item.key, below: -(scroller.current?.clientHeight ?? 0) / 3 };
    setAtEnd(false);
    setHighlight(found.item.key);
    render();
  }, [at, rows]);
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

/** What is above the rows besides the rows that are not rendered: the edge. */
function padding(list: HTMLElement | null): number {
  const edge = list?.parentElement?.firstElementChild;
  return edge instanceof HTMLElement ? edge.offsetHeight : 0;
}

/** The row that covers a height: the last whose top is at or above it. */
function rowAt(tops: Float64Array, height: number): number {
  let [low, high] = [0, tops.length - 2];
  while (low < high) {
    const middle = (low + high + 1) >> 1;
    if ((tops[middle] ?? 0) <= height) low = middle;
    else high = middle - 1;
  }
  return Math.max(0, low);
}
