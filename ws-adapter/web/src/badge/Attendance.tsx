// For staff: who is in a session, and who was.
import type { Attendance as Stay, Reader } from "hallway-client";
import { useEffect, useState } from "react";
import { allPages, PAGE } from "../chat/pages";
import { useSignal, useStore } from "../chat/signal";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, useChat } from "../ui/context";

/** How often the numbers are looked at; the list is read when they have changed. */
const LOOK_MS = 5000;
const SHOWN = 8;
const MORE = 100;

interface Counts {
  inside: number;
  came: number;
  capacity?: number | null;
}

export function Attendance({ readers }: { readers: readonly Reader[] }) {
  const { rows } = useStore(useChat().client.conversations);
  const [picked, setPicked] = useState("");
  const sessions = [...new Set(readers.flatMap(({ mode, conversation }) => (mode === "session" && conversation ? [conversation] : [])))];
  const others = rows.filter(({ kind, conversation }) => kind !== "direct" && !sessions.includes(conversation));
  const titleOf = (id: string) => rows.find(({ conversation }) => conversation === id)?.title || id;
  const conversation = picked || sessions[0] || "";
  return (
    <section className="part" aria-labelledby="attendance-title">
      <h2 id="attendance-title">{t.badge.desk.attendance}</h2>
      <label className="field">
        <span>{t.badge.modes.session}</span>
        <select value={conversation} onChange={({ target }) => setPicked(target.value)}>
          <option value="" disabled>{t.badge.scan.pick}</option>
          {sessions.map((id) => <option key={id} value={id}>{titleOf(id)}</option>)}
          {others.map((row) => <option key={row.conversation} value={row.conversation}>{row.title || row.conversation}</option>)}
        </select>
      </label>
      {conversation && <Session key={conversation} conversation={conversation} />}
    </section>
  );
}

function Session({ conversation }: { conversation: string }) {
  const { client, state } = useChat();
  const online = useSignal(state).status === "online";
  const [counts, setCounts] = useState<Counts | null>(null);
  const [people, setPeople] = useState<readonly Stay[] | null>(null);
  const [shown, setShown] = useState(SHOWN);
  useEffect(() => {
    if (!online) return;
    const look = () => client.call("attendance.list", { conversation, limit: 1 }).then(setCounts);
    look().catch(complain);
    const timer = setInterval(() => document.visibilityState === "visible" && look().catch(() => undefined), LOOK_MS);
    return () => clearInterval(timer);
  }, [client, conversation, online]);
  const { inside, came } = counts ?? {};
  useEffect(() => {
    if (!came) return setPeople(null);
    let over = false;
    allPages<Stay>(async (last) => (await client.call("attendance.list", { conversation, limit: PAGE, ...(last && { after: last.user }) })).people).then(
      (people) => over || setPeople(people.sort((a, b) => Number(b.inside) - Number(a.inside) || b.last.localeCompare(a.last))),
      complain,
    );
    return () => void (over = true);
  }, [client, conversation, inside, came]);
  if (!counts) return <p className="busy" role="status"><span className="spinner" />{t.common.loading}</p>;
  if (!counts.came) return <p className="faint">{t.badge.desk.nobodyCame}</p>;
  return (
    <>
      <p className="attendance-count"><b>{t.badge.desk.inside(counts.inside, counts.capacity ?? undefined)}</b> <span className="faint">{t.badge.desk.came(counts.came)}</span></p>
      <ul className="sessions">
        {people?.slice(0, shown).map(({ user, name, inside, seconds }) => (
          <li key={user}>
            <Avatar id={user} name={name} size="small" />
            <span className="row-text wraps"><span className="name" dir="auto">{name}</span><span className="faint">{t.badge.desk.stay(seconds)}</span></span>
            {inside && <span className="tag">{t.badge.desk.isInside}</span>}
          </li>
        ))}
      </ul>
      {people && people.length > shown && <button className="button" onClick={() => setShown(shown + MORE)}>{t.people.more}</button>}
    </>
  );
}
