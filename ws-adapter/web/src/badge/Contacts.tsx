// Whom one has met, who asks to, and who has one's data.
import type { Contact, LeadHolder } from "hallway-client";
import { useEffect, useState, type ReactNode } from "react";
import { allPages, PAGE } from "../chat/pages";
import { useSignal } from "../chat/signal";
import { directWith } from "../format/names";
import { shortTime } from "../format/time";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, useChat, useMe, useNow } from "../ui/context";
import * as Icon from "../ui/icons";
import { Confirm } from "../ui/Popup";
import { to } from "../ui/route";
import { Empty } from "./Empty";
import { Particulars } from "./Leads";

export function ContactsPage() {
  const { acquaintances } = useChat();
  const list = useSignal(acquaintances.list);
  const me = useMe();
  const [removing, setRemoving] = useState<Contact | null>(null);
  useEffect(() => void acquaintances.load(), [acquaintances]);
  const of = (wanted: Contact["state"]) => list?.filter(({ state }) => state === wanted) ?? [];
  const answer = (deed: "accept" | "decline" | "remove", { user }: Contact) => void acquaintances.answer(deed, user).catch(complain);
  return (
    <>
      {!list && <p className="empty-note" role="status">{t.common.loading}</p>}
      {list && !list.length && (
        <Empty sign={<Icon.Handshake size={40} />} title={t.contacts.none} text={t.contacts.noneHint}>
          <a className="button primary" href={to.page("scan")}><Icon.Camera size={18} />{t.badge.pages.scan}</a>
          <a className="button" href={to.page("badge")}><Icon.Code size={18} />{t.badge.pages.badge}</a>
        </Empty>
      )}
      <Group title={t.contacts.asking} contacts={of("was_asked")}>
        {(contact) => (
          <span className="buttons">
            <button className="button primary" aria-label={t.contacts.acceptNamed(contact.name)} onClick={() => answer("accept", contact)}>{t.contacts.accept}</button>
            <button className="button" aria-label={t.contacts.declineNamed(contact.name)} onClick={() => answer("decline", contact)}>{t.contacts.decline}</button>
          </span>
        )}
      </Group>
      <Group title={t.contacts.asked} contacts={of("asked")}>
        {(contact) => <button className="icon-button" aria-label={t.contacts.remove(contact.name)} onClick={() => answer("remove", contact)}><Icon.Close /></button>}
      </Group>
      <Group title={t.contacts.met} contacts={of("met")}>
        {(contact) => (
          <>
            <a className="button" href={to.conversation(directWith(contact.user, me.user))}><Icon.Chats size={18} />{t.contacts.chat}</a>
            <button className="icon-button" aria-label={t.contacts.remove(contact.name)} onClick={() => setRemoving(contact)}><Icon.Close /></button>
          </>
        )}
      </Group>
      <Holders />
      {removing && <Confirm text={t.contacts.removeAsk(removing.name)} yes={t.details.remove} onClose={() => setRemoving(null)} onYes={() => answer("remove", removing)} />}
    </>
  );
}

function Group({ title, contacts, children }: { title: string; contacts: readonly Contact[]; children: (contact: Contact) => ReactNode }) {
  if (!contacts.length) return null;
  return (
    <section aria-label={title}>
      <h2 className="section-title">{title}</h2>
      <ul className="people-cards">
        {contacts.map((contact) => (
          <li key={contact.user} className="people-card">
            <Avatar id={contact.user} name={contact.name} />
            <span className="row-text">
              <a href={to.person(contact.user)} className="name" dir="auto">{contact.name}</a>
              <Particulars of={contact} />
            </span>
            {children(contact)}
          </li>
        ))}
      </ul>
    </section>
  );
}

function Holders() {
  const { client, state } = useChat();
  const online = useSignal(state).status === "online";
  const now = useNow();
  const [holders, setHolders] = useState<readonly LeadHolder[] | null>(null);
  const [asking, setAsking] = useState<LeadHolder | null>(null);
  useEffect(() => {
    if (!online) return;
    const load = () => void allPages<LeadHolder>(async (last) => (await client.call("lead.holders", { limit: PAGE, ...(last && { after: last.owner }) })).holders).then(setHolders, () => undefined);
    load();
    return client.on("notice", ({ reason }) => reason === "lead" && load());
  }, [client, online]);
  return (
    <section className="part" aria-labelledby="holders-title">
      <h2 id="holders-title">{t.contacts.holders}</h2>
      <p className="faint">{t.contacts.holdersHint}</p>
      {holders && !holders.length && <p>{t.contacts.noHolders}</p>}
      <ul className="sessions">
        {holders?.map((holder) => (
          <li key={holder.owner}>
            <Avatar id={holder.owner} name={holder.name} size="small" />
            <span className="row-text wraps"><span className="name" dir="auto">{holder.name}</span><span className="faint">{t.contacts.held(t.contacts.scans(holder.scans), shortTime(holder.since, now))}</span></span>
            <button className="button bad" aria-label={t.contacts.withdrawFrom(holder.name)} onClick={() => setAsking(holder)}>{t.contacts.withdraw}</button>
          </li>
        ))}
      </ul>
      {asking && (
        <Confirm
          text={t.contacts.withdrawAsk(asking.name)} yes={t.contacts.withdraw} onClose={() => setAsking(null)}
          onYes={() => client.call("lead.withdraw", { owner: asking.owner }).then(() => setHolders(holders?.filter(({ owner }) => owner !== asking.owner) ?? null), complain)}
        />
      )}
    </section>
  );
}
