// For staff: attendees from a ticket shop's file. What would be done is shown before it is done.
import type { Imported } from "hallway-client";
import { useState } from "react";
import { explain } from "../chat/errors";
import { t } from "../texts";
import { say, useChat } from "../ui/context";
import * as Icon from "../ui/icons";

/** What a frame of the server takes (`limits.frame_bytes`), quoted as JSON; larger files are for the command line. */
const MOST_BYTES = 800_000;
const SHOWN = 50;

interface Tried {
  name: string;
  csv: string;
  would: Imported;
}

export function Import({ onDone }: { onDone: () => void }) {
  const { client } = useChat();
  const [tried, setTried] = useState<Tried | null>(null);
  const [refused, setRefused] = useState("");
  const [busy, setBusy] = useState(false);
  const work = (run: () => Promise<void>) => {
    setRefused("");
    setBusy(true);
    run().catch((error: unknown) => setRefused(explain(error))).finally(() => setBusy(false));
  };
  const look = (file: File) => work(async () => {
    setTried(null);
    if (file.size > MOST_BYTES) return setRefused(t.badge.import.tooLarge);
    const csv = await file.text();
    setTried({ name: file.name, csv, would: await client.call("attendee.import", { csv, dry_run: true }) });
  });
  const bringIn = ({ csv }: Tried) => work(async () => {
    const { added, changed } = await client.call("attendee.import", { csv });
    setTried(null);
    say(t.badge.import.done(added, changed));
    onDone();
  });
  const count = tried ? tried.would.added + tried.would.changed : 0;
  return (
    <section className="part" aria-labelledby="import-title">
      <h2 id="import-title">{t.badge.import.title}</h2>
      <p className="faint">{t.badge.import.hint}</p>
      <label className="button file-button" aria-disabled={busy}>
        <Icon.File size={18} />{t.badge.import.choose}
        <input
          type="file" accept=".csv,.tsv,.txt,text/csv" className="hidden" disabled={busy}
          onChange={({ target }) => {
            const file = target.files?.[0];
            // The same file may be chosen again, once it was mended.
            target.value = "";
            if (file) look(file);
          }}
        />
      </label>
      <div role="status">
        {busy && <p className="busy"><span className="spinner" />{t.common.loading}</p>}
        {refused && <p className="error">{refused}</p>}
        {tried && <Would tried={tried} />}
      </div>
      {tried && (
        <div className="buttons">
          {count > 0 && <button className="button primary" disabled={busy} onClick={() => bringIn(tried)}>{t.badge.import.yes(count)}</button>}
          <button className="button" disabled={busy} onClick={() => setTried(null)}>{count ? t.common.cancel : t.common.close}</button>
        </div>
      )}
    </section>
  );
}

function Would({ tried: { name, would } }: { tried: Tried }) {
  const { format, rows, added, changed, unchanged, bad, more_bad } = would;
  const left = bad.length + (more_bad ?? 0);
  return (
    <>
      <p className="import-sum"><b dir="auto">{name}</b>: {t.badge.import.would({ format, rows, added, changed, unchanged, left })}</p>
      {bad.length > 0 && (
        <div className="table-place" tabIndex={0} role="region" aria-label={t.badge.import.left}>
          <table>
            <thead><tr><th scope="col">{t.badge.import.row}</th><th scope="col">{t.badge.import.column}</th><th scope="col">{t.badge.import.why}</th></tr></thead>
            <tbody>{bad.slice(0, SHOWN).map(({ row, column, why }) => <tr key={`${row} ${column} ${why}`}><td>{row}</td><td dir="auto">{column}</td><td>{why}</td></tr>)}</tbody>
          </table>
        </div>
      )}
      {left > SHOWN && <p className="faint small">{t.badge.import.more(left - SHOWN)}</p>}
    </>
  );
}
