// Completing `@…` to people: who spoke here lately, then whoever's name begins so.
import { partnerOf, type Conversation, type ConversationRow } from "hallway-client";
import { useEffect, useRef, useState, type KeyboardEvent, type RefObject } from "react";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { useChat, useMe } from "../ui/context";

const MOST = 6;
/** How far back one has spoken lately. */
const RECENT = 200;
const WAIT_MS = 120;

interface Candidate {
  user: string;
  name: string;
}

export interface Mentions {
  open: boolean;
  at: number;
  found: readonly Candidate[];
  look: () => void;
  close: () => void;
  /** True when the key was for the list. */
  onKey: (event: KeyboardEvent, pick: (user: string) => void) => boolean;
}

/** The word before the caret that begins with an @. */
function wordAt(box: HTMLTextAreaElement): string | null {
  if (box.selectionStart !== box.selectionEnd) return null;
  return /(?:^|[\s(])@([\p{L}\p{N}._-]{0,40})$/u.exec(box.value.slice(0, box.selectionStart))?.[1] ?? null;
}

/** Puts a mention in the place of that word; answers the new text. */
export function applyMention(box: HTMLTextAreaElement, user: string): string {
  const word = wordAt(box) ?? "";
  const from = box.selectionStart - word.length - 1;
  box.setRangeText(`@${user} `, from, box.selectionStart, "end");
  return box.value;
}

export function useMentions(row: ConversationRow, conversation: Conversation, text: string, box: RefObject<HTMLTextAreaElement | null>): Mentions {
  const chat = useChat();
  const me = useMe();
  const [word, setWord] = useState<string | null>(null);
  const [found, setFound] = useState<readonly Candidate[]>([]);
  const [at, setAt] = useState(0);
  const asked = useRef(0);
  const look = () => setWord(box.current && document.activeElement === box.current ? wordAt(box.current) : null);
  const close = () => setWord(null);

  useEffect(() => {
    const ask = ++asked.current;
    setAt(0);
    if (word === null) {
      setFound([]);
      return;
    }
    const wanted = word.toLocaleLowerCase();
    const near = nearby(row, conversation, me.user, chat.client.people.get.bind(chat.client.people)).filter(({ user, name }) => fits(user, name, wanted));
    if (me.role !== "attendee" && row.kind !== "direct" && wanted === "") near.push({ user: "*", name: t.composer.everyone });
    setFound(near.slice(0, MOST));
    if (row.kind === "direct") return;
    const timer = setTimeout(() => {
      chat.client.people.search(wanted, { limit: 2 * MOST }).then(({ people }) => {
        if (ask !== asked.current) return;
        const others = people.filter(({ user }) => user !== me.user && !near.some((known) => known.user === user));
        setFound([...near, ...others].slice(0, MOST));
      }, () => undefined);
    }, WAIT_MS);
    return () => clearTimeout(timer);
  }, [word, row.conversation]);
  useEffect(() => {
    if (text === "") setWord(null);
  }, [text]);

  const open = word !== null && found.length > 0;
  const onKey = (event: KeyboardEvent, pick: (user: string) => void): boolean => {
    if (!open) return false;
    if (event.key === "ArrowDown") setAt((at + 1) % found.length);
    else if (event.key === "ArrowUp") setAt((at + found.length - 1) % found.length);
    else if (event.key === "Enter" || event.key === "Tab") pick(found[at]?.user ?? "");
    else if (event.key === "Escape") close();
    else return false;
    event.preventDefault();
    event.stopPropagation();
    return true;
  };
  return { open, at, found, look, close, onKey };
}

/** People of this conversation, as far as they are known: the last who spoke first. */
function nearby(row: ConversationRow, conversation: Conversation, me: string, person: (user: string) => { name: string } | undefined): Candidate[] {
  const { items, members } = conversation.getSnapshot();
  const people = new Map<string, Candidate>();
  const partner = partnerOf(row.conversation, me);
  if (partner) people.set(partner, { user: partner, name: person(partner)?.name ?? partner });
  for (const { from, name } of items.slice(-RECENT).reverse()) if (from !== me && !people.has(from)) people.set(from, { user: from, name });
  for (const { user, name } of members ?? []) if (user !== me && !people.has(user)) people.set(user, { user, name });
  return [...people.values()];
}

const fits = (user: string, name: string, wanted: string) =>
  user.startsWith(wanted) || name.toLocaleLowerCase().split(/\s+/).some((word) => word.startsWith(wanted));

export function MentionList({ id, mentions, onPick }: { id: string; mentions: Mentions; onPick: (user: string) => void }) {
  if (!mentions.open) return null;
  return (
    <ul className="mention-list" role="listbox" id={id} aria-label={t.composer.mention}>
      {mentions.found.map(({ user, name }, at) => (
        <li key={user} id={`${id}-${at}`} role="option" aria-selected={at === mentions.at} onPointerDown={(event) => (event.preventDefault(), onPick(user))}>
          <Avatar id={user} name={name} size="small" />
          <span className="name" dir="auto">{name}</span>
          <span className="faint">@{user}</span>
        </li>
      ))}
    </ul>
  );
}
