// For staff: who has checked in, and taking back what was a mistake.
import type { Checkin } from "hallway-client";
import { useEffect, useState } from "react";
import { allPages, PAGE } from "../chat/pages";
import { shortTime } from "../format/time";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, say, useChat, useNow } from "../ui/context";
import { Confirm } from "../ui/Popup";

/** More are found by name. */
const SHOWN = 8;

interface Props {
  /** How many there are: with another number the list is read again. */
  count: number;
  onChange: () => void;
}

export function Arrivals({ count, onChange }: Props) {
  const { client } = useChat();
  const now = useNow();
  const [isOpen, setIsOpen] = useState(false);
  const [people, setPeople] = useState<readonly Checkin[] | null>(null);
  const [query, setQuery] = useState("");
  const [asking, setAsking] = useState<Checkin | null>(null);
  useEffect(() => {
    if (!isOpen) return;
    let over = false;
    allPages<Checkin>(async (last) => (await client.call("checkin.list", { limit: PAGE, ...(last && { after: last.user }) })).people).then(
      (people) => over || setPeople(people.sort((a, b) => b.ts.localeCompare(a.ts))),
      complain,
    );
    return () => void (over = true);
  }, [client, isOpen, count]);
  const wanted = query.trim().toLocaleLowerCase();
  const found = people?.filter(({ user, name }) => name.toLocaleLowerCase().includes(wanted) || user.includes(wanted)) ?? [];
  const undo = ({ user, name }: Checkin) =>
    client.call("checkin.undo", { user }).then(() => {
      setPeople((people) => people?.filter((one) => one.user !== user) ?? null);
      say(t.badge.desk.undone(name));
      onChange();
    }, complain);
  return (
    <section className="part" aria-labelledby="arrivals-title">
      <h2 id="arrivals-title">{t.badge.desk.arrivals}</h2>
      {!isOpen && <button className="button" onClick={() => setIsOpen(true)}>{t.badge.desk.showArrivals}</button>}
      {isOpen && !people && <p className="busy" role="status"><span className="spinner" />{t.common.loading}</p>}
      {people && !people.length && <p className="faint">{t.badge.desk.nobody}</p>}
      {people && people.length > 0 && (
        <>
          <input type="search" value={query} dir="auto" placeholder={t.people.search} aria-label={t.people.search} onChange={({ target }) => setQuery(target.value)} />
          <ul className="sessions">
            {found.slice(0, SHOWN).map((one) => (
              <li key={one.user}>
                <Avatar id={one.user} name={one.name} size="small" />
                <span className="row-text wraps"><span className="name" dir="auto">{one.name}</span><span className="faint">{t.badge.desk.by(shortTime(one.ts, now), one.by)}</span></span>
                <button className="button" aria-label={t.badge.desk.undoNamed(one.name)} onClick={() => setAsking(one)}>{t.badge.desk.undo}</button>
              </li>
            ))}
          </ul>
          <p className="faint small" role="status">{!found.length ? t.people.none : found.length > SHOWN && t.badge.desk.more(found.length - SHOWN)}</p>
        </>
      )}
      {asking && <Confirm text={t.badge.desk.undoAsk(asking.name)} yes={t.badge.desk.undoYes} onClose={() => setAsking(null)} onYes={() => void undo(asking)} />}
    </section>
  );
}
