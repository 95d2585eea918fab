// Straight to a conversation or a person: some letters, Enter.
import { partnerOf } from "hallway-client";
import { useId, useState, type KeyboardEvent } from "react";
import { useStore } from "../chat/signal";
import { titleOf } from "../format/names";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, useChat, useDirectory, useMe } from "../ui/context";
import { Popup } from "../ui/Popup";
import { go, to } from "../ui/route";
import { inOrder } from "./ChatsPane";
import { usePeopleSearch } from "./usePeopleSearch";

const MOST = 8;

interface Target {
  key: string;
  title: string;
  below: string;
  kind: "channel" | "group" | "direct" | "announcements";
  avatar: string;
  go: () => void;
}

export function Jump({ onClose }: { onClose: () => void }) {
  const { client } = useChat();
  const me = useMe();
  const known = useDirectory();
  const { rows } = useStore(client.conversations);
  const [query, setQuery] = useState("");
  const [at, setAt] = useState(0);
  const id = useId();
  const { people } = usePeopleSearch(query);
  const wanted = query.trim().toLocaleLowerCase();

  const conversations: Target[] = inOrder(rows).map((row) => ({
    key: row.conversation, title: titleOf(row, me.user, known), below: t.chats.kind[row.kind], kind: row.kind,
    avatar: partnerOf(row.conversation, me.user) ?? row.conversation, go: () => go(to.conversation(row.conversation)),
  }));
  const fitting = conversations.filter(({ title, key }) => !wanted || title.toLocaleLowerCase().includes(wanted) || key.startsWith(wanted));
  const direct = new Set(fitting.map(({ avatar }) => avatar));
  const others: Target[] = !wanted ? [] : people.filter(({ user }) => user !== me.user && !direct.has(user)).map(({ user, name }) => ({
    key: `person ${user}`, title: name, below: `@${user}`, kind: "direct", avatar: user,
    go: () => void client.openDirect(user).then((conversation) => go(to.conversation(conversation)), complain),
  }));
  const targets = [...fitting, ...others].slice(0, MOST);
  const pick = (target: Target | undefined) => {
    if (!target) return;
    onClose();
    target.go();
  };
  const onKeyDown = (event: KeyboardEvent) => {
    if (event.key === "ArrowDown") setAt(Math.min(at + 1, targets.length - 1));
    else if (event.key === "ArrowUp") setAt(Math.max(at - 1, 0));
    else if (event.key === "Enter") pick(targets[at]);
    else return;
    event.preventDefault();
  };
  return (
    <Popup label={t.jump.title} className="jump" onClose={onClose}>
      <input
        className="jump-box" value={query} data-focus role="combobox" aria-expanded="true" aria-controls={id} aria-autocomplete="list" aria-activedescendant={targets.length ? `${id}-${at}` : undefined}
        aria-label={t.jump.label} placeholder={t.jump.label} onChange={({ target }) => (setQuery(target.value), setAt(0))} onKeyDown={onKeyDown}
      />
      <ul role="listbox" id={id} aria-label={t.jump.title}>
        {targets.map((target, index) => (
          <li key={target.key} id={`${id}-${index}`} role="option" aria-selected={index === at} onClick={() => pick(target)} onPointerMove={() => setAt(index)}>
            <Avatar id={target.avatar} name={target.title} kind={target.kind} size="small" />
            <span className="name" dir="auto">{target.title}</span>
            <span className="faint">{target.below}</span>
          </li>
        ))}
      </ul>
      {!targets.length && <p className="empty-note" role="status">{t.jump.none}</p>}
    </Popup>
  );
}
