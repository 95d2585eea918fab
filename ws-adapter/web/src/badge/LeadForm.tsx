// What an exhibitor writes to a lead.
import type { Lead } from "hallway-client";
import { useEffect, useState } from "react";
import { allPages, PAGE } from "../chat/pages";
import type { Chat } from "../chat/chat";
import { t } from "../texts";
import { complain, say, useChat } from "../ui/context";
import * as Icon from "../ui/icons";

const MOST_STARS = 5;
const NOTE_CHARS = 2000;
const TAGS_CHARS = 300;

export const fetchLeads = ({ client }: Chat): Promise<Lead[]> =>
  allPages(async (last) => (await client.call("lead.list", { limit: PAGE, ...(last && { after: last.user }) })).leads);

interface Props {
  user: string;
  /** What is known; asked for without. */
  lead?: Lead;
  done: string;
  onDone: (changed?: Partial<Lead>) => void;
}

export function LeadForm({ user, lead, done, onDone }: Props) {
  const chat = useChat();
  const [known, setKnown] = useState(lead);
  useEffect(() => {
    // Somebody who was scanned before has a note already.
    if (!lead) fetchLeads(chat).then((leads) => setKnown(leads.find((one) => one.user === user) ?? { user, name: user, since: "" }), complain);
  }, [chat, lead, user]);
  return known ? <Fields lead={known} done={done} onDone={onDone} /> : <p className="busy"><span className="spinner" />{t.common.loading}</p>;
}

function Fields({ lead, done, onDone }: { lead: Lead; done: string; onDone: Props["onDone"] }) {
  const { client } = useChat();
  const [rating, setRating] = useState(lead.rating ?? 0);
  const [note, setNote] = useState(lead.note ?? "");
  const [tags, setTags] = useState((lead.tags ?? []).join(", "));
  const save = () => {
    const changed = { rating, note: note.trim(), tags: [...new Set(tags.split(",").map((tag) => tag.trim()).filter(Boolean))] };
    client.call("lead.update", { user: lead.user, ...changed }).then(() => (say(t.leads.saved), onDone(changed)), complain);
  };
  return (
    <form className="lead-form" onSubmit={(event) => (event.preventDefault(), save())}>
      <div className="stars" role="radiogroup" aria-label={t.leads.rating}>
        {Array.from({ length: MOST_STARS }, (_, at) => at + 1).map((count) => (
          <label key={count} title={t.leads.stars(count)}>
            <input type="radio" name={`rating-${lead.user}`} aria-label={t.leads.stars(count)} checked={rating === count} onChange={() => setRating(count)} />
            <Icon.Star size={30} full={count <= rating} />
          </label>
        ))}
      </div>
      <label className="field"><span>{t.leads.note}</span><textarea value={note} rows={3} dir="auto" maxLength={NOTE_CHARS} onChange={({ target }) => setNote(target.value)} /></label>
      <label className="field"><span>{t.leads.tags}</span><input value={tags} dir="auto" maxLength={TAGS_CHARS} onChange={({ target }) => setTags(target.value)} /></label>
      <div className="buttons">
        <button className="button primary">{t.leads.save}</button>
        <button type="button" className="button" onClick={() => onDone()}>{done}</button>
      </div>
    </form>
  );
}
