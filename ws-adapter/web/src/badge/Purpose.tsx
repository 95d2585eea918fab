// What a staff member scans for; kept on this device, which stays at its door.
import type { ScanMode } from "hallway-client";
import type { Purpose } from "../chat/scans";
import { useStore } from "../chat/signal";
import { t } from "../texts";
import { useChat } from "../ui/context";

const KEY = "hallway-scan-purpose";
const MODES = ["checkin", "session", "meet", "lead", "announce"] as const satisfies readonly ScanMode[];
const DIRECTIONS = ["auto", "enter", "exit"] as const;

export function keptPurpose(): Purpose {
  try {
    return { mode: "checkin", ...(JSON.parse(localStorage.getItem(KEY) ?? "{}") as Purpose) };
  } catch {
    return { mode: "checkin" };
  }
}

export function PurposeForm({ purpose, onChange }: { purpose: Purpose; onChange: (purpose: Purpose) => void }) {
  const { rows } = useStore(useChat().client.conversations);
  const channels = rows.filter(({ kind }) => kind !== "direct");
  const { mode = "checkin", conversation, direction } = purpose;
  const choose = (next: Purpose) => {
    onChange(next);
    try {
      localStorage.setItem(KEY, JSON.stringify(next));
    } catch {
      // Then until the page is closed.
    }
  };
  return (
    <section className="purpose">
      <div className="choice" role="radiogroup" aria-label={t.badge.scan.purpose}>
        {MODES.map((word) => (
          <label key={word}><input type="radio" name="mode" checked={mode === word} onChange={() => choose({ mode: word, ...(needsPlace(word) && conversation && { conversation }) })} /><span>{t.badge.modes[word]}</span></label>
        ))}
      </div>
      {needsPlace(mode) && (
        <label className="field">
          <span>{t.badge.scan.conversation}</span>
          <select value={conversation ?? ""} onChange={({ target }) => choose({ ...purpose, conversation: target.value })}>
            <option value="" disabled>{t.badge.scan.pick}</option>
            {channels.map((row) => <option key={row.conversation} value={row.conversation}>{row.title || row.conversation}</option>)}
          </select>
        </label>
      )}
      {mode === "session" && (
        <div className="choice" role="radiogroup" aria-label={t.badge.scan.direction}>
          {DIRECTIONS.map((word) => (
            <label key={word}>
              <input type="radio" name="direction" checked={(direction ?? "auto") === word} onChange={() => choose({ mode, ...(conversation && { conversation }), ...(word !== "auto" && { direction: word }) })} />
              <span>{t.badge.scan.directions[word]}</span>
            </label>
          ))}
        </div>
      )}
    </section>
  );
}

/** Whether all is chosen that such a scan needs. */
export const isWhole = ({ mode = "checkin", conversation }: Purpose): boolean => !needsPlace(mode) || !!conversation;

const needsPlace = (mode: ScanMode): boolean => mode === "session" || mode === "announce";
