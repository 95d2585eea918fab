// The contacts that an exhibitor took.
import type { Lead } from "hallway-client";
import { useEffect, useState } from "react";
import type { Chat } from "../chat/chat";
import { useSignal } from "../chat/signal";
import { shortTime } from "../format/time";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, useChat, useMe, useNow } from "../ui/context";
import { download } from "../ui/download";
import * as Icon from "../ui/icons";
import { Confirm } from "../ui/Popup";
import { to } from "../ui/route";
import { Empty } from "./Empty";
import { fetchLeads, LeadForm } from "./LeadForm";

export function LeadsPage() {
  const chat = useChat();
  const me = useMe();
  const now = useNow();
  const online = useSignal(chat.state).status === "online";
  const [leads, setLeads] = useState<readonly Lead[] | null>(null);
  const [open, setOpen] = useState<string | null>(null);
  const [removing, setRemoving] = useState<Lead | null>(null);
  useEffect(() => {
    if (online) fetchLeads(chat).then((leads) => setLeads(leads.sort((a, b) => b.since.localeCompare(a.since))), complain);
  }, [chat, online]);
  if (!leads) return <p className="empty-note" role="status">{online ? t.common.loading : t.common.errors["offline"]}</p>;
  if (!leads.length) {
    return (
      <Empty sign={<Icon.List size={40} />} title={t.leads.none} text={t.leads.noneHint}>
        <a className="button primary" href={to.page("scan")}><Icon.Camera size={18} />{t.badge.pages.scan}</a>
      </Empty>
    );
  }
  const close = (user: string, changed?: Partial<Lead>) => {
    setOpen(null);
    if (changed) setLeads(leads.map((lead) => (lead.user === user ? { ...lead, ...changed } : lead)));
  };
  return (
    <>
      <button className="button" onClick={() => exported(chat).then((csv) => download(csv, "text/csv", `leads-${me.user}.csv`), complain)}><Icon.Down size={18} />{t.leads.export}</button>
      <ul className="people-cards">
        {leads.map((lead) => (
          <li key={lead.user}>
            <div className="people-card">
              <Avatar id={lead.user} name={lead.name} />
              <span className="row-text wraps">
                <span className="name" dir="auto">{lead.name}</span>
                <Particulars of={lead} />
                {!!lead.rating && <span className="stars-line" role="img" aria-label={t.leads.stars(lead.rating)}>{Array.from({ length: lead.rating }, (_, at) => <Icon.Star key={at} size={16} full />)}</span>}
              </span>
              <time className="faint small" dateTime={lead.since}>{shortTime(lead.since, now)}</time>
              <button className="icon-button" aria-label={t.leads.edit(lead.name)} aria-expanded={open === lead.user} onClick={() => setOpen(open === lead.user ? null : lead.user)}><Icon.Edit /></button>
            </div>
            {open !== lead.user && <Written to={lead} />}
            {open === lead.user && (
              <>
                <LeadForm user={lead.user} lead={lead} done={t.common.cancel} onDone={(changed) => close(lead.user, changed)} />
                <button className="button bad" onClick={() => setRemoving(lead)}><Icon.Trash size={18} />{t.leads.remove}</button>
              </>
            )}
          </li>
        ))}
      </ul>
      {removing && (
        <Confirm
          text={t.leads.removeAsk(removing.name)} yes={t.leads.remove} onClose={() => setRemoving(null)}
          onYes={() => chat.client.call("lead.remove", { user: removing.user }).then(() => setLeads(leads.filter(({ user }) => user !== removing.user)), complain)}
        />
      )}
    </>
  );
}

/** The server's table; it comes in parts, the first with the heading. */
async function exported({ client }: Chat): Promise<string> {
  let table = "";
  let after: string | null | undefined;
  do {
    const { csv, next } = await client.call("lead.export", after ? { after } : {});
    table += csv;
    after = next;
  } while (after);
  return table;
}

/** What was written to a lead: below the card, as wide as it. */
function Written({ to: { note, tags } }: { to: Lead }) {
  if (!note && !tags?.length) return null;
  return (
    <div className="written">
      {note && <p className="note" dir="auto">{note}</p>}
      {!!tags?.length && <p className="chips">{tags.map((tag) => <span key={tag} className="chip">{tag}</span>)}</p>}
    </div>
  );
}

/** What a card says beyond the name. */
export function Particulars({ of: { job, company, email } }: { of: { job?: string; company?: string; email?: string } }) {
  const line = [job, company].filter(Boolean).join(", ");
  return (
    <>
      {line && <span className="faint" dir="auto">{line}</span>}
      {email && <a href={`mailto:${email}`}>{email}</a>}
    </>
  );
}
