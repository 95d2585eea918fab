// The list of conversations: the newest first, with what was last said and how much is unread.
import { partnerOf, type ConversationRow } from "hallway-client";
import { memo, useEffect, useMemo, useRef, useState } from "react";
import { drafts } from "../chat/drafts";
import { useSignal, useStore } from "../chat/signal";
import { nameOf, titleOf } from "../format/names";
import { shortTime } from "../format/time";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { useChat, useDirectory, useMe, useNow, usePerson } from "../ui/context";
import * as Icon from "../ui/icons";
import { roving } from "../ui/roving";
import { to } from "../ui/route";
import { CreateGroup } from "./CreateGroup";

const FILTERS = ["all", "channels", "groups", "direct"] as const;
type Filter = (typeof FILTERS)[number];

const fits = ({ kind }: ConversationRow, filter: Filter): boolean =>
  filter === "all" || (filter === "channels" ? kind === "channel" || kind === "announcements" : filter === "groups" ? kind === "group" : kind === "direct");

export function ChatsPane({ open }: { open: string | undefined }) {
  const { client } = useChat();
  const { rows, ready } = useStore(client.conversations);
  const [filter, setFilter] = useState<Filter>("all");
  const [creating, setCreating] = useState(false);
  const now = useNow();
  const list = useRef<HTMLUListElement>(null);
  const shown = useMemo(() => inOrder(rows).filter((row) => fits(row, filter)), [rows, filter]);
  const stop = shown.some(({ conversation }) => conversation === open) ? open : shown[0]?.conversation;
  const empty = filter === "direct" ? t.chats.emptyDirect : filter === "groups" ? t.chats.emptyGroups : t.chats.empty;
  return (
    <>
      <header className="pane-head">
        <h1>{t.chats.title}</h1>
        <button className="icon-button" aria-label={t.chats.create} title={t.chats.create} onClick={() => setCreating(true)}><Icon.Plus size={22} /></button>
      </header>
      <div className="filters" role="group" aria-label={t.chats.filter}>
        {FILTERS.map((name) => (
          <button key={name} className="filter" aria-pressed={filter === name} onClick={() => setFilter(name)}>{t.chats[name]}</button>
        ))}
      </div>
      <div className="pane-body">
        <ul className="chat-list" ref={list} aria-label={t.chats.title} onKeyDown={(event) => roving(event, list.current, "a")}>
          {shown.map((row) => (
            <li key={row.conversation}><ChatRow row={row} now={now} open={row.conversation === open} stop={row.conversation === stop} /></li>
          ))}
        </ul>
        {!shown.length && <p className="empty-note" role="status">{ready ? empty : t.common.loading}</p>}
      </div>
      {creating && <CreateGroup onClose={() => setCreating(false)} />}
    </>
  );
}

/** Newest first; what nobody has written in comes last. */
export function inOrder(rows: readonly ConversationRow[]): ConversationRow[] {
  const time = ({ last }: ConversationRow) => (last ? Date.parse(last.ts) : 0);
  return [...rows].sort((a, b) => time(b) - time(a));
}

interface RowProps {
  row: ConversationRow;
  now: number;
  open: boolean;
  stop: boolean;
}

const ChatRow = memo(function ChatRow({ row, now, open, stop }: RowProps) {
  const chat = useChat();
  const me = useMe();
  const known = useDirectory();
  const partner = partnerOf(row.conversation, me.user);
  const person = usePerson(partner);
  const mentioned = useSignal(chat.mentioned).has(row.conversation);
  const link = useRef<HTMLAnchorElement>(null);
  useEffect(() => {
    if (open) link.current?.scrollIntoView({ block: "nearest" });
  }, [open]);
  return (
    <a className={`chat-row ${row.unread ? "unread" : ""}`} href={to.conversation(row.conversation)} aria-current={open ? "page" : undefined} tabIndex={stop ? 0 : -1} ref={link}>
      <Avatar id={partner ?? row.conversation} name={titleOf(row, me.user, known)} kind={row.kind} status={person?.presence.status} />
      <span className="row-text">
        <span className="row-top">
          <span className="name" dir="auto">{titleOf(row, me.user, known)}</span>
          {row.last && <time dateTime={row.last.ts}>{shortTime(row.last.ts, now)}</time>}
        </span>
        <span className="row-bottom">
          <Preview row={row} open={open} />
          {row.muted && <span className="muted-sign" role="img" aria-label={t.chats.muted} title={t.chats.muted}><Icon.BellOff size={16} /></span>}
          {mentioned && <span className="badge at" aria-label={t.chats.mentioned}>@</span>}
          {row.unread > 0 && <span className={row.muted ? "badge quiet" : "badge"} aria-label={t.chats.unread(row.unread)}>{row.unread > 99 ? "99+" : row.unread}</span>}
        </span>
      </span>
    </a>
  );
});

function Preview({ row, open }: { row: ConversationRow; open: boolean }) {
  const { client } = useChat();
  const me = useMe();
  const known = useDirectory();
  const draft = useSignal(drafts).get(row.conversation);
  const { typing } = useStore(client.conversation(row.conversation));
  const { last } = row;
  if (typing.length && !open) return <span className="line typing-line">{row.kind === "direct" ? t.chats.typing : `${typing[0]?.name}: ${t.chats.typing}`}</span>;
  if (draft && !open) return <span className="line" dir="auto"><b className="draft">{t.chats.draft}</b> {draft}</span>;
  if (!last) return <span className="line">{t.chats.noMessages}</span>;
  const who = last.from === me.user ? t.chats.you : row.kind === "direct" ? "" : `${nameOf(last.from, known) === last.from ? last.name : nameOf(last.from, known)}:`;
  const text = last.deleted ? t.chats.deleted : last.text || t.chats.attachment;
  return <span className="line" dir="auto">{who && <b>{who} </b>}{text}</span>;
}
