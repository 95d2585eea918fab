// Scrolling through any number of rows: which of them are near the screen, and that what one looks at stays where it is.
//
// One rule keeps the position: after whatever changes (older messages put before, an image that got its size, a wider window),
// the anchor is put back to where it was. The anchor is the end, or a row and how far the screen's top is below its top.
import { useCallback, useEffect, useLayoutEffect, useMemo, useReducer, useRef, useState, type RefObject } from "react";
import type { ShownRow } from "./rows";

/** What a row is taken for until it is measured, in px. */
const ESTIMATE = 52;
/** What is rendered above and below the screen, in px; more when less than half of it is left. */
const OVERSCAN = 900;
/** This near to the end is the end, in px. */
const END_WITHIN = 48;

type Anchor = "end" | { key: string; below: number };

export interface Scroll {
  scroller: RefObject<HTMLDivElement | null>;
  list: RefObject<HTMLOListElement | null>;
  /** What stands for the rows that are not rendered. */
  above: RefObject<HTMLDivElement | null>;
  below: RefObject<HTMLDivElement | null>;
  /** The rows to render. */
  from: number;
  to: number;
  atEnd: boolean;
  onScroll: () => void;
  toEnd: () => void;
  /** Puts the screen's top so far below a row's top. */
  show: (key: string, below: number) => void;
}

/** `moved`: called after each scrolling. */
export function useScroll(rows: readonly ShownRow[], moved: RefObject<() => void>): Scroll {
  const [scroller, list] = [useRef<HTMLDivElement>(null), useRef<HTMLOListElement>(null)];
  const [above, below] = [useRef<HTMLDivElement>(null), useRef<HTMLDivElement>(null)];
  const heights = useRef(new Map<string, number>()).current;
  const anchor = useRef<Anchor>("end");
  const shown = useRef({ from: 0, to: 0 });
  const [, render] = useReducer((count: number) => count + 1, 0);
  const [atEnd, setAtEnd] = useState(true);
  const index = useMemo(() => new Map(rows.map(({ item }, at) => [item.key, at])), [rows]);

  const offsets = useCallback(() => {
    const tops = new Float64Array(rows.length + 1);
    rows.forEach(({ item }, at) => (tops[at + 1] = (tops[at] ?? 0) + (heights.get(item.key) ?? ESTIMATE)));
    return tops;
  }, [rows, heights]);

  /** Where the screen's top is, by the anchor. */
  const topOf = useCallback((tops: Float64Array): number => {
    const end = Math.max(0, (tops.at(-1) ?? 0) - (scroller.current?.clientHeight ?? innerHeight));
    if (anchor.current === "end") return end;
    const at = index.get(anchor.current.key);
    return at === undefined ? end : (tops[at] ?? 0) + anchor.current.below;
  }, [index, scroller]);

  const tops = offsets();
  const top = topOf(tops);
  const from = rowAt(tops, top - OVERSCAN);
  const to = Math.min(rows.length, rowAt(tops, top + (scroller.current?.clientHeight ?? innerHeight) + OVERSCAN) + 1);
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
    if (below.current) below.current.style.height = `${(tops.at(-1) ?? 0) - (tops[to] ?? 0)}px`;
    const wanted = anchor.current === "end" ? element.scrollHeight - element.clientHeight : topOf(tops) + edgeOf(element);
    if (Math.abs(element.scrollTop - wanted) > 0.75) element.scrollTop = wanted;
  }, [offsets, topOf, heights, scroller, list, above, below]);
  useLayoutEffect(settle);
  useResizes(scroller, list, settle, [from, to, rows]);

  const onScroll = () => {
    const element = scroller.current;
    if (!element) return;
    const { scrollTop, scrollHeight, clientHeight } = element;
    const end = scrollHeight - clientHeight - scrollTop < END_WITHIN;
    const tops = offsets();
    const inList = scrollTop - edgeOf(element);
    const at = rowAt(tops, inList);
    anchor.current = end ? "end" : { key: rows[at]?.item.key ?? "", below: inList - (tops[at] ?? 0) };
    if (end !== atEnd) setAtEnd(end);
    const { from, to } = shown.current;
    const wantsAbove = from > 0 && inList - (tops[from] ?? 0) < OVERSCAN / 2;
    const wantsBelow = to < rows.length && (tops[to] ?? 0) - inList - clientHeight < OVERSCAN / 2;
    if (wantsAbove || wantsBelow) render();
    moved.current();
  };

  const toEnd = useCallback(() => {
    anchor.current = "end";
    setAtEnd(true);
    render();
  }, []);
  const show = useCallback((key: string, below: number) => {
    anchor.current = { key, below };
    render();
  }, []);
  return { scroller, list, above, below, from, to, atEnd, onScroll, toEnd, show };
}

/** Settles again when rows change their size by themselves, or the screen does. */
function useResizes(scroller: RefObject<HTMLElement | null>, list: RefObject<HTMLElement | null>, settle: () => void, rendered: readonly unknown[]): void {
  const observer = useRef<ResizeObserver | null>(null);
  const latest = useRef(settle);
  latest.current = settle;
  useEffect(() => {
    const watching = new ResizeObserver(() => latest.current());
    observer.current = watching;
    if (scroller.current) watching.observe(scroller.current);
    for (const child of list.current?.children ?? []) watching.observe(child);
    return () => watching.disconnect();
  }, [scroller, list]);
  useLayoutEffect(() => {
    for (const child of list.current?.children ?? []) observer.current?.observe(child);
  }, rendered);
}

/** What is above all rows: the first that is in the list, whose height is not a row's. */
function edgeOf(scroller: HTMLElement): number {
  const edge = scroller.firstElementChild;
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
