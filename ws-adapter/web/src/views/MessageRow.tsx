// One message: what was said, what it answers, what hangs on it, how far it has come.
import type { ConversationKind, MessageItem } from "hallway-client";
import { memo, useEffect, useRef, useState, type KeyboardEvent, type MouseEvent, type ReactNode } from "react";
import { explainReason } from "../chat/errors";
import { nameOf } from "../format/names";
import { isEmojiOnly } from "../format/rich";
import { clockTime, dayName, fullTime } from "../format/time";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { useChat, useDirectory, useNow } from "../ui/context";
import * as Icon from "../ui/icons";
import { to } from "../ui/route";
import { Attachments, isNameOnly } from "./Attachments";
import type { ShownRow } from "./rows";
import { RichText } from "./RichText";

export interface Actions {
  menu: (item: MessageItem, at: DOMRect | undefined) => void;
  emoji: (item: MessageItem, at: DOMRect) => void;
  react: (item: MessageItem, emoji: string) => void;
  reply: (item: MessageItem) => void;
  edit: (item: MessageItem) => void;
  remove: (item: MessageItem) => void;
  jump: (seq: number) => void;
}

interface Props {
  row: ShownRow;
  conversation: string;
  kind: ConversationKind;
  /** Of a direct conversation: whether the other one has read it. */
  isRead: boolean;
  highlighted: boolean;
  actions: Actions;
}

export const MessageRow = memo(function MessageRow({ row, conversation, kind, isRead, highlighted, actions }: Props) {
  const { item } = row;
  const message = item.kind === "message" ? item : undefined;
  const own = message?.own ?? false;
  const bubble = useRef<HTMLDivElement>(null);
  const place = () => bubble.current?.getBoundingClientRect();
  const acts = message !== undefined && !message.deleted && message.state === "sent" && message.seq !== undefined;

  const onKeyDown = (event: KeyboardEvent) => {
    if (event.target !== event.currentTarget || !message || !acts || event.ctrlKey || event.metaKey || event.altKey) return;
    const act = {
      Enter: () => actions.menu(message, place()),
      r: () => actions.reply(message),
      e: () => own && actions.edit(message),
      l: () => actions.emoji(message, place() ?? new DOMRect()),
      Delete: () => own && actions.remove(message),
    }[event.key];
    if (!act) return;
    event.preventDefault();
    act();
  };
  // A finger has no hover: a touch on the bubble opens its menu.
  const onClick = (event: MouseEvent) => {
    const touch = (event.nativeEvent as PointerEvent).pointerType === "touch";
    if (touch && message && acts && !(event.target as HTMLElement).closest("a, button")) actions.menu(message, place());
  };

  const names = `${row.head ? "head " : ""}${row.tail ? "tail " : ""}${own ? "own " : ""}${highlighted ? "highlighted " : ""}`;
  return (
    <li className={`row ${names}`} data-key={item.key} data-seq={item.seq} tabIndex={-1} onKeyDown={onKeyDown}>
      {row.day && <Day ts={row.day} />}
      {row.isNew && <div className="new-line"><span>{t.conversation.newLine}</span></div>}
      {!message && <SystemLine item={item} />}
      {message && (
        <div className="message">
          {!own && kind !== "direct" && (
            <a className="message-avatar" href={to.person(item.from)} tabIndex={-1} aria-hidden="true">
              {row.tail && <Avatar id={item.from} name={item.name} size="small" />}
            </a>
          )}
          <div className="message-body">
            <div className="bubble-line">
              <div className={`bubble ${message.deleted ? "deleted" : ""} ${isEmojiOnly(message.text) && message.replyTo === undefined ? "emoji-only" : ""}`} ref={bubble} onClick={onClick}>
                <Content message={message} conversation={conversation} named={row.head && !own && kind !== "direct"} isRead={isRead} actions={actions} />
              </div>
              {acts && <Toolbar message={message} actions={actions} />}
            </div>
            {message.reactions.length > 0 && <Reactions message={message} actions={actions} />}
            {message.state === "failed" && <Failed message={message} />}
          </div>
        </div>
      )}
    </li>
  );
});

function Day({ ts }: { ts: string }) {
  const now = useNow();
  return <div className="day"><span>{dayName(ts, now)}</span></div>;
}

function SystemLine({ item }: { item: ShownRow["item"] }) {
  const known = useDirectory();
  if (item.kind === "message") return null;
  const { event } = item;
  const words = t.message;
  if (event.kind === "settings") return <p className="system-line">{words.renamed(item.name, event.title)}</p>;
  const name = event.user === item.from ? item.name : nameOf(event.user, known);
  const text =
    event.change === "joined" ? words.joined(name)
    : event.change === "left" ? words.left(name)
    : event.change === "role" ? words.role(name, t.details.role[event.role ?? "member"] ?? "")
    : words[event.change](name, item.name);
  return <p className="system-line">{text}</p>;
}

interface ContentProps {
  message: MessageItem;
  conversation: string;
  named: boolean;
  isRead: boolean;
  actions: Actions;
}

function Content({ message, conversation, named, isRead, actions }: ContentProps) {
  const { text, attachments, ts, deleted, replyTo } = message;
  return (
    <>
      {named
        ? <a className="sender" href={to.person(message.from)} tabIndex={-1} dir="auto">{message.name}</a>
        : <span className="hidden">{message.name}: </span>}
      {replyTo !== undefined && !deleted && <Quote conversation={conversation} seq={replyTo} onJump={actions.jump} />}
      {deleted
        ? <p className="text">{t.message.deleted}</p>
        : !isNameOnly(text, attachments) && <RichText text={text} mentions={message.mentions} />}
      {attachments.length > 0 && <Attachments files={attachments} />}
      <span className="meta">
        {message.edited && !deleted && <span>{t.message.edited}</span>}
        <time dateTime={ts} title={fullTime(ts)}>{clockTime(ts)}</time>
        {message.own && <SendState message={message} isRead={isRead} />}
      </span>
    </>
  );
}

/** The message that is answered, and the way to it. */
function Quote({ conversation, seq, onJump }: { conversation: string; seq: number; onJump: (seq: number) => void }) {
  const { client } = useChat();
  const [quoted, setQuoted] = useState<MessageItem | undefined>();
  useEffect(() => {
    let wanted = true;
    client.conversation(conversation).message(seq).then((found) => wanted && setQuoted(found), () => undefined);
    return () => void (wanted = false);
  }, [client, conversation, seq]);
  return (
    <button className="quote" tabIndex={-1} onClick={() => onJump(seq)} title={t.message.showOriginal}>
      <span className="quote-name" dir="auto">{quoted?.name ?? t.message.replyGone}</span>
      <span className="quote-text" dir="auto">{quoted ? (quoted.deleted ? t.message.deleted : quoted.text) : "…"}</span>
    </button>
  );
}

function SendState({ message, isRead }: { message: MessageItem; isRead: boolean }) {
  const small = { size: 14 };
  if (message.state === "failed") return <State label={t.message.failed} icon={<Icon.Alert {...small} />} look="bad" />;
  if (message.state === "queued") return <State label={t.message.waiting} icon={<Icon.Clock {...small} />} />;
  if (message.state === "sending") return <State label={t.message.sending} icon={<Icon.Clock {...small} />} />;
  return isRead ? <State label={t.message.read} icon={<Icon.Checks {...small} />} look="read" /> : <State label={t.message.sent} icon={<Icon.Check {...small} />} />;
}

function State({ label, icon, look = "" }: { label: string; icon: ReactNode; look?: string }) {
  return <span className={`send-state ${look}`} title={label}>{icon}<span className="hidden">{label}</span></span>;
}

function Toolbar({ message, actions }: { message: MessageItem; actions: Actions }) {
  const place = (event: MouseEvent) => (event.currentTarget as HTMLElement).getBoundingClientRect();
  return (
    <div className="toolbar">
      <button tabIndex={-1} aria-label={t.message.react} title={t.message.react} onClick={(event) => actions.emoji(message, place(event))}><Icon.Smile size={18} /></button>
      <button tabIndex={-1} aria-label={t.message.reply} title={t.message.reply} onClick={() => actions.reply(message)}><Icon.Reply size={18} /></button>
      <button tabIndex={-1} aria-label={t.message.actions} title={t.message.actions} onClick={(event) => actions.menu(message, place(event))}><Icon.More size={18} /></button>
    </div>
  );
}

function Reactions({ message, actions }: { message: MessageItem; actions: Actions }) {
  const known = useDirectory();
  return (
    <div className="reactions">
      {message.reactions.map(({ emoji, count, users, mine }) => (
        <button
          key={emoji} tabIndex={-1} className="reaction" aria-pressed={mine} aria-label={t.message.reaction(emoji, count, mine)}
          title={users.map((user) => nameOf(user, known)).join(", ")} onClick={() => actions.react(message, emoji)}
        >
          <span className="reaction-emoji">{emoji}</span>{count}
        </button>
      ))}
    </div>
  );
}

function Failed({ message: { clientId = "", failure } }: { message: MessageItem }) {
  const chat = useChat();
  return (
    <p className="failed">
      {explainReason(failure?.reason ?? "") ?? t.message.failed}
      {failure?.retriable && <button className="link" onClick={() => chat.client.retry(clientId)}>{t.message.retry}</button>}
      <button className="link" onClick={() => chat.discard(clientId)}>{t.message.discard}</button>
    </p>
  );
}
