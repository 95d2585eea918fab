// For staff: how many have arrived, who, who is in a session, how the readers are, and attendees from a ticket shop.
import type { Reader } from "hallway-client";
import { useEffect, useState } from "react";
import { allPages, PAGE } from "../chat/pages";
import { useSignal } from "../chat/signal";
import { shortTime } from "../format/time";
import { t } from "../texts";
import { complain, useChat, useNow } from "../ui/context";
import { Arrivals } from "./Arrivals";
import { Attendance } from "./Attendance";
import { Import } from "./Import";
import { useTitles } from "./titles";

/** How often it is looked, while it is looked at. */
const LOOK_MS = 5000;

interface Known {
  count: { checked_in: number; attendees: number };
  readers: readonly Reader[];
}

export function DeskPage() {
  const { client, state } = useChat();
  const online = useSignal(state).status === "online";
  const now = useNow();
  const [known, setKnown] = useState<Known | null>(null);
  const [look, setLook] = useState(0);
  useEffect(() => {
    if (!online) return;
    const look = async () => {
      const [count, readers] = await Promise.all([client.call("checkin.count", {}), allPages<Reader>(async (last) => (await client.call("reader.list", { limit: PAGE, ...(last && { after: last.reader }) })).readers)]);
      setKnown({ count, readers });
    };
    look().catch(complain);
    const timer = setInterval(() => document.visibilityState === "visible" && look().catch(() => undefined), LOOK_MS);
    return () => clearInterval(timer);
  }, [client, online, look]);
  if (!known) return <p className="empty-note" role="status">{online ? t.common.loading : t.common.errors["offline"]}</p>;
  const { count, readers } = known;
  const changed = () => setLook(look + 1);
  return (
    <>
      <section className="part counter" aria-label={t.badge.modes.checkin}>
        <p className="counter-number" aria-hidden="true">{count.checked_in.toLocaleString("en")}</p>
        <p>{t.badge.desk.checkedIn(count.checked_in, count.attendees)}</p>
        <progress max={Math.max(1, count.attendees)} value={count.checked_in} aria-label={t.badge.desk.checkedIn(count.checked_in, count.attendees)} />
      </section>
      <Arrivals count={count.checked_in} onChange={changed} />
      <Attendance readers={readers} />
      <Readers readers={readers} now={now} />
      <Import onDone={changed} />
    </>
  );
}

function Readers({ readers, now }: { readers: readonly Reader[]; now: number }) {
  const titleOf = useTitles();
  return (
    <section className="part" aria-labelledby="readers-title">
      <h2 id="readers-title">{t.badge.desk.readers}</h2>
      {!readers.length && <p className="faint">{t.badge.desk.noReaders}</p>}
      <ul className="sessions">
        {readers.map(({ reader, name, mode, conversation, online, detail, last_scan }) => (
          <li key={reader}>
            <span className="status" data-status={online ? "online" : "dnd"} aria-hidden="true" />
            <span className="row-text wraps">
              <span><span className="name" dir="auto">{name || reader}</span> <span className="tag">{t.badge.modes[mode]}</span></span>
              <span className="faint">{[online ? t.badge.desk.online : t.badge.desk.offline, conversation && titleOf(conversation), last_scan ? t.badge.desk.lastScan(shortTime(last_scan, now)) : t.badge.desk.noScan, detail].filter(Boolean).join(" · ")}</span>
            </span>
          </li>
        ))}
      </ul>
    </section>
  );
}
