// One conversation: its head, its messages, who is typing, where one writes.
import { partnerOf, type ConversationRow, type MessageItem } from "hallway-client";
import { useEffect, useMemo, useRef, useState, type DragEvent, type ReactNode } from "react";
import { features } from "../chat/server";
import { useSignal, useStore } from "../chat/signal";
import { titleOf } from "../format/names";
import { pieces } from "../format/rich";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, NARROW, say, useChat, useDirectory, useMe, useMedia, usePerson } from "../ui/context";
import { EmojiPicker, keepEmoji, QUICK } from "../ui/EmojiPicker";
import * as Icon from "../ui/icons";
import { Confirm, Menu, type MenuItem } from "../ui/Popup";
import { go, to } from "../ui/route";
import { Composer, type Task } from "./Composer";
import { Details } from "./Details";
import { MessageList } from "./MessageList";
import type { Actions } from "./MessageRow";
import { useFiles } from "./useFiles";

type Over =
  | { kind: "menu"; message: MessageItem; at: DOMRect | undefined }
  | { kind: "emoji"; message: MessageItem; at: DOMRect }
  | { kind: "delete"; message: MessageItem }
  | null;

interface Props {
  row: ConversationRow;
  at: number | undefined;
  /** Where the way back leads. */
  back: string;
}

export function ConversationView({ row, at, back }: Props) {
  const chat = useChat();
  const me = useMe();
  const conversation = useMemo(() => chat.client.conversation(row.conversation), [chat, row.conversation]);
  const title = titleOf(row, me.user, useDirectory());
  const partner = partnerOf(row.conversation, me.user);
  const [task, setTask] = useState<Task>(null);
  const [over, setOver] = useState<Over>(null);
  const [details, setDetails] = useState(false);
  const [jump, setJump] = useState<number | undefined>(at);
  useEffect(() => setJump(at), [at]);
  const files = useFiles();
  const canAttach = useSignal(features).files;
  const [dropping, setDropping] = useState(false);
  const readByPartner = useReadBy(row, partner);

  const staff = me.role === "staff" || me.role === "organiser";
  const readOnly = row.kind === "announcements" && !staff;
  const moderates = staff || row.role === "owner" || row.role === "moderator";
  const latest = useRef({ conversation, setOver, setTask });
  latest.current = { conversation, setOver, setTask };
  const actions = useMemo<Actions>(() => {
    const react = ({ seq, reactions }: MessageItem, emoji: string) => {
      const mine = reactions.some((given) => given.emoji === emoji && given.mine);
      if (seq !== undefined) latest.current.conversation.react(seq, emoji, !mine).catch(complain);
    };
    return {
      menu: (message, at) => latest.current.setOver({ kind: "menu", message, at }),
      emoji: (message, at) => latest.current.setOver({ kind: "emoji", message, at }),
      react,
      reply: (message) => latest.current.setTask({ kind: "reply", message }),
      edit: (message) => latest.current.setTask({ kind: "edit", message }),
      remove: (message) => latest.current.setOver({ kind: "delete", message }),
      // The same seq again is another jump.
      jump: (seq) => (setJump(undefined), setTimeout(() => setJump(seq))),
    };
  }, []);

  const onDrop = (event: DragEvent) => {
    event.preventDefault();
    setDropping(false);
    if (canAttach && !readOnly) files.add(event.dataTransfer.files);
  };
  const onDrag = (event: DragEvent) => {
    if (!canAttach || readOnly || !event.dataTransfer.types.includes("Files")) return;
    event.preventDefault();
    setDropping(event.type !== "dragleave" || event.currentTarget.contains(event.relatedTarget as Node | null));
  };

  return (
    <>
      <section className="conversation" aria-label={title} onDrop={onDrop} onDragOver={onDrag} onDragLeave={onDrag}>
        <Head row={row} title={title} partner={partner} back={back} onDetails={() => setDetails(!details)} detailsOpen={details} />
        <MessageList key={row.conversation} conversation={conversation} row={row} title={title} at={jump} readByPartner={readByPartner} actions={actions} />
        <TypingLine row={row} />
        <Foot partner={partner} readOnly={readOnly}>
          <Composer conversation={conversation} row={row} title={title} task={task} files={files} onTask={setTask} />
        </Foot>
        {dropping && <div className="drop-hint"><Icon.Attach size={32} />{t.conversation.drop}</div>}
      </section>
      {details && <Details row={row} conversation={conversation} title={title} moderates={moderates} onClose={() => setDetails(false)} />}
      {over?.kind === "menu" && <MessageMenu over={over} moderates={moderates} canWrite={!readOnly} actions={actions} onClose={() => setOver(null)} />}
      {over?.kind === "emoji" && <EmojiPicker at={over.at} onPick={(emoji) => actions.react(over.message, emoji)} onClose={() => setOver(null)} />}
      {over?.kind === "delete" && (
        <Confirm text={t.message.deleteAsk} yes={t.message.delete} onClose={() => setOver(null)} onYes={() => over.message.seq !== undefined && conversation.delete(over.message.seq).catch(complain)} />
      )}
    </>
  );
}

/** How far the other one of a direct conversation has read: as was told, or at least up to what they last said. */
function useReadBy(row: ConversationRow, partner: string | undefined): number {
  const { client } = useChat();
  const { readers, items } = useStore(client.conversation(row.conversation));
  if (!partner) return 0;
  return Math.max(readers[partner] ?? 0, items.findLast(({ from, seq }) => from === partner && seq !== undefined)?.seq ?? 0);
}

interface HeadProps {
  row: ConversationRow;
  title: string;
  partner: string | undefined;
  back: string;
  detailsOpen: boolean;
  onDetails: () => void;
}

function Head({ row, title, partner, back, detailsOpen, onDetails }: HeadProps) {
  const person = usePerson(partner);
  const { search } = useSignal(features);
  const narrow = useMedia(NARROW);
  const status = person?.presence.status;
  const below = partner
    ? [t.people.presence[status ?? "offline"], person?.presence.text].filter(Boolean).join(" · ")
    : [t.chats.kind[row.kind], row.members > 0 && t.conversation.members(row.members)].filter(Boolean).join(" · ");
  return (
    <header className="conversation-head">
      {narrow && <a className="icon-button" href={back} aria-label={t.conversation.back}><Icon.Back /></a>}
      <Avatar id={partner ?? row.conversation} name={title} kind={row.kind} status={status} />
      <div className="head-text">
        <h1 dir="auto">{title}</h1>
        <p dir="auto">{below}</p>
      </div>
      {search && <a className="icon-button" href={to.search("", row.conversation)} aria-label={t.details.searchHere} title={t.details.searchHere}><Icon.Search /></a>}
      <button className="icon-button" aria-label={t.conversation.details} title={t.conversation.details} aria-expanded={detailsOpen} onClick={onDetails}><Icon.Info /></button>
    </header>
  );
}

function TypingLine({ row }: { row: ConversationRow }) {
  const { typing } = useStore(useChat().client.conversation(row.conversation));
  return (
    <p className="typing" aria-live="polite">
      {typing.length > 0 && <><span className="dots" aria-hidden="true"><i /><i /><i /></span>{t.conversation.typing(typing.map(({ name }) => name))}</>}
    </p>
  );
}

function Foot({ partner, readOnly, children }: { partner: string | undefined; readOnly: boolean; children: ReactNode }) {
  const chat = useChat();
  const blocked = useSignal(chat.blocked);
  if (partner && blocked.has(partner)) {
    return <p className="foot-note">{t.conversation.blocked} <button className="button" onClick={() => chat.block(partner, false).catch(complain)}>{t.conversation.unblock}</button></p>;
  }
  if (readOnly) return <p className="foot-note">{t.conversation.readOnly}</p>;
  return <>{children}</>;
}

interface MenuProps {
  over: { message: MessageItem; at: DOMRect | undefined };
  moderates: boolean;
  canWrite: boolean;
  actions: Actions;
  onClose: () => void;
}

function MessageMenu({ over: { message, at }, moderates, canWrite, actions, onClose }: MenuProps) {
  const place = at ?? new DOMRect();
  const items: MenuItem[] = [
    { label: t.message.react, icon: <Icon.Smile />, act: () => actions.emoji(message, place) },
    { label: t.message.reply, icon: <Icon.Reply />, act: () => actions.reply(message) },
    { label: t.message.copy, icon: <Icon.Copy />, act: () => void navigator.clipboard?.writeText(message.text).then(() => say(t.message.copied), complain) },
  ];
  for (const [name, href] of linksOf(message)) items.push({ label: t.message.openLink(name), icon: <Icon.Link />, act: () => void window.open(href, "_blank", "noopener,noreferrer") });
  if (message.own) items.push({ label: t.message.edit, icon: <Icon.Edit />, act: () => actions.edit(message) });
  if (message.own || moderates) items.push({ label: t.message.delete, icon: <Icon.Trash />, bad: true, act: () => actions.remove(message) });
  const quick = (
    <div className="quick-emoji">
      {QUICK.map((emoji) => (
        <button key={emoji} className="emoji" onClick={() => (keepEmoji(emoji), onClose(), actions.react(message, emoji))}>{emoji}</button>
      ))}
    </div>
  );
  return <Menu label={t.message.actions} at={at} items={canWrite ? items : items.filter(({ label }) => label !== t.message.reply)} before={quick} onClose={onClose} />;
}

/** Links in a menu; more are rare. */
const MOST_LINKS = 5;

/** What a message leads to: the links in its text, its files. */
function linksOf({ text, attachments, mentions }: MessageItem): [string, string][] {
  const links = pieces(text, mentions).flatMap((piece): [string, string][] => (piece.kind === "link" ? [[piece.text, piece.href]] : []));
  const files = attachments.flatMap(({ name, href }): [string, string][] => (href ? [[name, href]] : []));
  return [...new Map([...files, ...links])].slice(0, MOST_LINKS);
}

/** The conversation of an address: it may not be in the list (yet). */
export function ConversationPlace({ id, at, back }: { id: string; at: number | undefined; back: string }) {
  const chat = useChat();
  const { rows, ready } = useStore(chat.client.conversations);
  const row = rows.find(({ conversation }) => conversation === id);
  const [missing, setMissing] = useState(false);
  useEffect(() => {
    setMissing(false);
    if (ready && !row) chat.client.refresh().then(() => setMissing(true), complain);
  }, [chat, id, ready, row]);
  if (row) return <ConversationView key={id} row={row} at={at} back={back} />;
  if (!missing) return <div className="empty-state" role="status"><span className="spinner" />{t.common.loading}</div>;
  return (
    <div className="empty-state" role="alert">
      <h1>{t.conversation.unknown}</h1>
      <button className="button" onClick={() => go(to.chats)}>{t.conversation.back}</button>
    </div>
  );
}
