// Beside a conversation: who is in it, and what one may do with it.
import { partnerOf, type Conversation, type ConversationRow, type Member } from "hallway-client";
import { useEffect, useRef, useState } from "react";
import { useStore } from "../chat/signal";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, useChat, useMe } from "../ui/context";
import * as Icon from "../ui/icons";
import { Confirm, Dialog, Menu, type MenuItem } from "../ui/Popup";
import { roving } from "../ui/roving";
import { go, to } from "../ui/route";
import { Attention } from "./Attention";
import { PeoplePicker } from "./PeoplePicker";
import { PersonCard } from "./Person";

/** More members are shown on demand. */
const SHOWN = 50;

type Over = { kind: "invite" | "leave" } | { kind: "manage"; member: Member; at: DOMRect } | { kind: "remove"; member: Member; ban: boolean } | null;

interface Props {
  row: ConversationRow;
  conversation: Conversation;
  title: string;
  moderates: boolean;
  onClose: () => void;
}

export function Details({ row, conversation, title, moderates, onClose }: Props) {
  const { client } = useChat();
  const me = useMe();
  const partner = partnerOf(row.conversation, me.user);
  const [over, setOver] = useState<Over>(null);
  const panel = useRef<HTMLElement>(null);
  useEffect(() => panel.current?.querySelector<HTMLElement>("button")?.focus(), []);
  const of = { conversation: row.conversation };
  return (
    <aside className="details" aria-label={t.details.title} ref={panel} onKeyDown={(event) => event.key === "Escape" && (event.stopPropagation(), onClose())}>
      <header className="pane-head">
        <h2>{t.details.title}</h2>
        <button className="icon-button" aria-label={t.details.close} onClick={onClose}><Icon.Close /></button>
      </header>
      <div className="pane-body">
        {partner ? (
          <>
            <PersonCard user={partner} here />
            <Attention row={row} />
          </>
        ) : (
          <>
            <div className="details-title">
              <Avatar id={row.conversation} name={title} kind={row.kind} size="large" />
              {moderates ? <Title key={title} title={title} onSave={(title) => client.call("conversation.update", { ...of, title }).catch(complain)} /> : <h3 dir="auto">{title}</h3>}
              <p className="faint">{t.chats.kind[row.kind]}</p>
            </div>
            <div className="buttons">
              {row.kind !== "announcements" && row.member && <button className="button" onClick={() => setOver({ kind: "invite" })}><Icon.Plus size={18} />{t.details.invite}</button>}
              {row.member && <button className="button bad" onClick={() => setOver({ kind: "leave" })}><Icon.Door size={18} />{t.details.leave}</button>}
              {!row.member && row.kind === "channel" && <button className="button primary" onClick={() => client.join(row.conversation).catch(complain)}>{t.conversation.join}</button>}
            </div>
            {row.member && <Attention row={row} />}
            <Members conversation={conversation} row={row} manages={moderates} onManage={(member, at) => setOver({ kind: "manage", member, at })} />
          </>
        )}
      </div>
      {over?.kind === "invite" && (
        <Dialog label={t.details.invitePick} onClose={() => setOver(null)}>
          <PeoplePicker
            done={t.details.invite}
            onDone={(people) => {
              setOver(null);
              for (const user of people) client.call("conversation.invite", { ...of, user }).catch(complain);
            }}
          />
        </Dialog>
      )}
      {over?.kind === "leave" && (
        <Confirm text={t.details.leaveAsk(title)} yes={t.details.leave} onClose={() => setOver(null)} onYes={() => client.leave(row.conversation).then(() => row.kind === "group" && go(to.chats), complain)} />
      )}
      {over?.kind === "manage" && <Manage over={over} row={row} staff={me.role !== "attendee"} onClose={() => setOver(null)} onRemove={(ban) => setOver({ kind: "remove", member: over.member, ban })} />}
      {over?.kind === "remove" && (
        <Confirm
          text={t.details.removeAsk(over.member.name)} yes={over.ban ? t.details.ban : t.details.remove} onClose={() => setOver(null)}
          onYes={() => client.call("conversation.remove", { ...of, user: over.member.user, ban: over.ban }).catch(complain)}
        />
      )}
    </aside>
  );
}

function Title({ title, onSave }: { title: string; onSave: (title: string) => void }) {
  const [text, setText] = useState(title);
  const changed = text.trim() !== "" && text.trim() !== title;
  return (
    <form className="inline-form" onSubmit={(event) => (event.preventDefault(), changed && onSave(text.trim()))}>
      <input value={text} dir="auto" maxLength={80} aria-label={t.details.rename} onChange={({ target }) => setText(target.value)} />
      {changed && <button className="button primary">{t.details.save}</button>}
    </form>
  );
}

interface MembersProps {
  conversation: Conversation;
  row: ConversationRow;
  manages: boolean;
  onManage: (member: Member, at: DOMRect) => void;
}

function Members({ conversation, row, manages, onManage }: MembersProps) {
  const me = useMe();
  const { members } = useStore(conversation);
  const [shown, setShown] = useState(SHOWN);
  const list = useRef<HTMLUListElement>(null);
  useEffect(() => {
    if (!conversation.getSnapshot().members) conversation.loadMembers().catch(complain);
  }, [conversation]);
  const order = { owner: 0, moderator: 1, member: 2 };
  const sorted = [...(members ?? [])].sort((a, b) => order[a.role] - order[b.role] || a.name.localeCompare(b.name));
  return (
    <section aria-labelledby="members-title">
      <h3 id="members-title" className="section-title">{t.details.members} <span className="faint">{row.members}</span></h3>
      {!members && <p className="busy"><span className="spinner" />{t.common.loading}</p>}
      <ul className="person-list" ref={list} onKeyDown={(event) => roving(event, list.current, "a.person-row")}>
        {sorted.slice(0, shown).map((member, at) => (
          <li key={member.user}>
            <a className="person-row" href={to.person(member.user)} tabIndex={at === 0 ? 0 : -1}>
              <Avatar id={member.user} name={member.name} size="small" />
              <span className="name" dir="auto">{member.name}{member.user === me.user && <span className="faint"> ({t.people.you})</span>}</span>
              {member.role !== "member" && <span className="tag">{t.details.role[member.role]}</span>}
            </a>
            {manages && member.user !== me.user && (
              <button className="icon-button" aria-label={t.details.manage(member.name)} onClick={({ currentTarget }) => onManage(member, currentTarget.getBoundingClientRect())}><Icon.More /></button>
            )}
          </li>
        ))}
      </ul>
      {sorted.length > shown && <button className="button" onClick={() => setShown(shown + 200)}>{t.details.more}</button>}
    </section>
  );
}

interface ManageProps {
  over: { member: Member; at: DOMRect };
  row: ConversationRow;
  staff: boolean;
  onClose: () => void;
  onRemove: (ban: boolean) => void;
}

function Manage({ over: { member, at }, row, staff, onClose, onRemove }: ManageProps) {
  const { client } = useChat();
  const words = { owner: t.details.makeOwner, moderator: t.details.makeModerator, member: t.details.makeMember };
  const roles = row.role === "owner" || staff ? (["owner", "moderator", "member"] as const).filter((role) => role !== member.role) : [];
  const items: MenuItem[] = [
    ...roles.map((role) => ({ label: words[role], act: () => void client.call("conversation.role", { conversation: row.conversation, user: member.user, role }).catch(complain) })),
    { label: t.details.remove, bad: true, act: () => onRemove(false) },
    { label: t.details.ban, bad: true, act: () => onRemove(true) },
  ];
  return <Menu label={t.details.manage(member.name)} at={at} items={items} onClose={onClose} />;
}
