// Who somebody is, and what one may do about it.
import { useEffect, useState } from "react";
import { useSignal } from "../chat/signal";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, NARROW, useChat, useMe, useMedia, usePerson } from "../ui/context";
import * as Icon from "../ui/icons";
import { Confirm } from "../ui/Popup";
import { go, to } from "../ui/route";

/** `here`: shown beside the direct chat with them. */
export function PersonCard({ user, here }: { user: string; here?: boolean }) {
  const chat = useChat();
  const me = useMe();
  const person = usePerson(user);
  const blocked = useSignal(chat.blocked).has(user);
  const [asking, setAsking] = useState(false);
  // What was known may be old.
  useEffect(() => void chat.client.people.fetch(user).catch(() => undefined), [chat, user]);
  const name = person?.name ?? user;
  const Heading = here ? "h2" : "h1";
  const { status = "offline", text } = person?.presence ?? {};
  return (
    <div className="person-card">
      <Avatar id={user} name={name} status={status} size="large" />
      <Heading dir="auto">{name}</Heading>
      <p className="faint">@{user}{person && person.role !== "attendee" && <span className="tag">{t.people.role[person.role] ?? person.role}</span>}</p>
      <p className="presence-line" dir="auto">{[t.people.presence[status], text].filter(Boolean).join(" · ")}</p>
      {person?.about && <p className="about" dir="auto">{person.about}</p>}
      {user !== me.user && (
        <div className="buttons">
          {!here && <button className="button primary" onClick={() => chat.client.openDirect(user).then((id) => go(to.conversation(id)), complain)}><Icon.Chats size={18} />{t.people.message}</button>}
          <button className="button" onClick={() => (blocked ? void chat.block(user, false).catch(complain) : setAsking(true))}>{blocked ? t.people.unblock : t.people.block}</button>
        </div>
      )}
      {asking && <Confirm text={t.people.blockAsk(name)} yes={t.people.block} onClose={() => setAsking(false)} onYes={() => chat.block(user, true).catch(complain)} />}
    </div>
  );
}

export function PersonView({ user }: { user: string }) {
  const narrow = useMedia(NARROW);
  const name = usePerson(user)?.name ?? user;
  return (
    <section className="page" aria-label={name}>
      {narrow && <header className="conversation-head"><a className="icon-button" href={to.people} aria-label={t.people.title}><Icon.Back /></a></header>}
      <PersonCard key={user} user={user} />
    </section>
  );
}
