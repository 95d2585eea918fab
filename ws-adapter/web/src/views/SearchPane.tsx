// Finding messages: words in, the newest that have them out; further back on demand.
import { HallwayError, type ChatMessage, type Found } from "hallway-client";
import { useEffect, useRef, useState } from "react";
import { features } from "../chat/server";
import { useSignal, useStore } from "../chat/signal";
import { titleOf } from "../format/names";
import { shortTime } from "../format/time";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, useChat, useDirectory, useMe, useNow } from "../ui/context";
import * as Icon from "../ui/icons";
import { roving } from "../ui/roving";
import { go, to, type Route } from "../ui/route";

const WAIT_MS = 250;
const PAGE = 30;

interface Results {
  query: string;
  messages: readonly ChatMessage[];
  before: Found["before"];
  complete: boolean;
}

export function SearchPane({ route: { query, within, conversation, at } }: { route: Route }) {
  const { client } = useChat();
  const { search: available } = useSignal(features);
  const { rows } = useStore(client.conversations);
  const me = useMe();
  const known = useDirectory();
  const now = useNow();
  const [text, setText] = useState(query);
  const [results, setResults] = useState<Results | null>(null);
  const [busy, setBusy] = useState(false);
  const asked = useRef(0);
  const box = useRef<HTMLInputElement>(null);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => box.current?.focus(), []);

  const find = async (further?: Results) => {
    const wanted = text.trim();
    const ask = ++asked.current;
    if (!wanted || !available) {
      setResults(null);
      return;
    }
    setBusy(true);
    try {
      const options = { limit: PAGE, ...(within && { conversation: within }), ...(further?.before != null && { before: further.before }) };
      const found = await client.search(wanted, options);
      if (ask !== asked.current) return;
      const messages = [...(further?.messages ?? []), ...found.messages];
      setResults({ query: wanted, messages, before: found.before, complete: found.complete || found.before == null });
    } catch (error) {
      if (error instanceof HallwayError && error.reason === "unknown_method") features.update((known) => ({ ...known, search: false }));
      else complain(error);
    } finally {
      if (ask === asked.current) setBusy(false);
    }
  };

  useEffect(() => {
    const timer = setTimeout(() => {
      if (text !== query) go(to.search(text, within), true);
      void find();
    }, WAIT_MS);
    return () => clearTimeout(timer);
  }, [text, within, available]);

  const inside = rows.find((row) => row.conversation === within);
  const name = (id: string) => {
    const row = rows.find((row) => row.conversation === id);
    return row ? titleOf(row, me.user, known) : id;
  };
  return (
    <>
      <header className="pane-head"><h1>{t.search.title}</h1></header>
      <div className="pane-search" role="search">
        <input ref={box} type="search" value={text} placeholder={t.search.placeholder} aria-label={t.search.label} autoComplete="off" disabled={!available} onChange={({ target }) => setText(target.value)} />
        {inside && (
          <button className="chip" onClick={() => go(to.search(text), true)} title={t.search.everywhere}>
            {t.search.within(titleOf(inside, me.user, known))}<Icon.Close size={14} />
          </button>
        )}
      </div>
      <div className="pane-body" aria-busy={busy}>
        <p className="hidden" role="status">{busy ? t.search.working : ""}</p>
        {!available && <p className="empty-note">{t.search.unavailable}</p>}
        {available && !text.trim() && <p className="empty-note">{t.search.hint}</p>}
        {results && !results.messages.length && results.complete && !busy && <p className="empty-note" role="status">{t.search.none(results.query)}</p>}
        <ul className="chat-list" ref={list} aria-label={t.search.title} onKeyDown={(event) => roving(event, list.current, "a")}>
          {results?.messages.map((message, index) => (
            <li key={message.id}>
              <a
                className="chat-row" href={to.found(results.query, within, message.conversation, message.seq)} tabIndex={index === 0 ? 0 : -1}
                aria-current={message.conversation === conversation && message.seq === at ? "page" : undefined}
              >
                <Avatar id={message.from} name={message.name} size="small" />
                <span className="row-text">
                  <span className="row-top"><span className="name" dir="auto">{message.name}</span><time dateTime={message.ts}>{shortTime(message.ts, now)}</time></span>
                  <span className="snippet" dir="auto"><Snippet text={message.text} query={results.query} /></span>
                  {!within && <span className="faint line" dir="auto">{t.search.within(name(message.conversation))}</span>}
                </span>
              </a>
            </li>
          ))}
        </ul>
        {busy && <p className="busy"><span className="spinner" />{t.search.working}</p>}
        {results && !results.complete && !busy && <button className="button wide" onClick={() => void find(results)}>{t.search.more}</button>}
      </div>
    </>
  );
}

/** Shown around the first word that was found. */
const AROUND = 60;

/** The part of a text where the words are, with the words marked. */
function Snippet({ text, query }: { text: string; query: string }) {
  const words = query.toLocaleLowerCase().split(/\s+/).filter(Boolean).map((word) => word.replace(/[.*+?^${}()|[\]\\]/g, "\\$&"));
  const found = new RegExp(`(${words.join("|")})`, "iu");
  const first = text.search(found);
  const from = first > AROUND ? first - AROUND / 2 : 0;
  return (
    <>
      {from > 0 && "…"}
      {text.slice(from, from + 4 * AROUND).split(new RegExp(found, "giu")).map((part, at) => (at % 2 ? <mark key={at}>{part}</mark> : part))}
    </>
  );
}
