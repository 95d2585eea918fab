// Scanning badges: with the camera, or by typing what is on them.
import { useCallback, useEffect, useRef, useState } from "react";
import type { Purpose, Taken } from "../chat/scans";
import { useSignal } from "../chat/signal";
import { clockTime } from "../format/time";
import { t } from "../texts";
import { useChat, useStaff } from "../ui/context";
import * as Icon from "../ui/icons";
import { go, to } from "../ui/route";
import { LeadForm } from "./LeadForm";
import { feel, outcomeOf, type Tone } from "./outcome";
import { isWhole, keptPurpose, PurposeForm } from "./Purpose";
import { useCamera } from "./useCamera";

/** A code that stays in the picture is one scan of one purpose. */
const SAME_MS = 3000;

export function ScanPage() {
  const chat = useChat();
  const staff = useStaff();
  const last = useSignal(chat.scans.last);
  const waiting = useSignal(chat.scans.waiting);
  const [purpose, setPurpose] = useState<Purpose>(() => (staff ? keptPurpose() : {}));
  const [shown, setShown] = useState<string | null>(null);
  const [wanted, setWanted] = useState(true);
  const taken = last.find(({ scan }) => scan.id === shown);
  const ready = !staff || isWhole(purpose);
  const lead = taken?.result?.mode === "lead" && taken.result.accepted ? taken.result.user : undefined;
  useEffect(() => void chat.scans.send(), [chat]);

  const take = useCallback(async (code: string) => {
    const answered = chat.scans.take(code, purpose);
    setShown(chat.scans.last.get()[0]?.scan.id ?? null);
    const done = await answered;
    feel(outcomeOf(done));
    // Both want it: one can talk at once.
    if (done.result?.accepted && done.result.mode === "meet" && done.result.conversation) {
      void chat.acquaintances.load();
      await chat.client.refresh().catch(() => undefined);
      go(to.conversation(done.result.conversation));
    }
  }, [chat, purpose]);
  const seen = useRef({ code: "", at: 0, purpose });
  const onCode = (code: string) => {
    const again = seen.current.code === code && seen.current.purpose === purpose && Date.now() - seen.current.at < SAME_MS;
    seen.current = { code, at: Date.now(), purpose };
    if (!again && !lead && ready) void take(code);
  };

  return (
    <>
      {staff && <PurposeForm purpose={purpose} onChange={setPurpose} />}
      {ready ? <CameraPicture wanted={wanted} onWanted={setWanted} onCode={onCode} /> : <p className="notice start" role="status">{t.badge.scan.pickFirst}</p>}
      <div role="status" aria-live="assertive">{taken && ready && <OutcomePanel key={shown} taken={taken} name={nameOf(taken, last)} />}</div>
      {lead && <LeadForm key={shown} user={lead} onDone={() => setShown(null)} done={t.badge.scan.again} />}
      {ready && <TypedCode onTake={(code) => void take(code)} />}
      {waiting > 0 && <p className="notice" role="status"><Icon.Clock size={18} />{t.badge.scan.waiting(waiting)}</p>}
      {last.length > 0 && (
        <section aria-labelledby="last-title">
          <h2 id="last-title" className="section-title">{t.badge.scan.last}</h2>
          <ul className="scans">{last.map((one) => <LastScan key={one.scan.id} taken={one} name={nameOf(one, last)} />)}</ul>
        </section>
      )}
    </>
  );
}

/** Whose badge it is. Of one that is held a little longer the server does not say it again. */
function nameOf({ scan, result }: Taken, last: readonly Taken[]): string | undefined {
  if (!result || result.name || result.reason !== "duplicate") return result?.name || result?.user || undefined;
  return last.find((one) => one.scan.code === scan.code && one.result?.name)?.result?.name ?? undefined;
}

interface PictureProps {
  wanted: boolean;
  onWanted: (wanted: boolean) => void;
  onCode: (code: string) => void;
}

function CameraPicture({ wanted, onWanted, onCode }: PictureProps) {
  const { video, state, torch, canFlip, switchTorch, flip } = useCamera(wanted, onCode);
  const on = state === "on";
  const none = state === "noCamera" || state === "insecure";
  const text = on ? t.badge.scan.hold : state === "starting" ? t.badge.scan.starting : state === "off" ? "" : t.badge.scan[state];
  return (
    <div className="camera">
      <div className={on ? "camera-picture" : "camera-picture dark"}>
        <video ref={video} muted playsInline aria-label={t.badge.scan.camera} />
        {on && <span className="camera-frame" aria-hidden="true" />}
        {!on && <p role="status">{text}</p>}
      </div>
      <div className="buttons centred-line">
        {!none && <button className="button" onClick={() => onWanted(!wanted)}><Icon.Camera size={18} />{wanted ? t.badge.scan.stop : t.badge.scan.start}</button>}
        {on && torch !== undefined && <button className="button" aria-pressed={torch} onClick={switchTorch}><Icon.Torch size={18} />{t.badge.scan.torch}</button>}
        {on && canFlip && <button className="button" onClick={flip}><Icon.Flip size={18} />{t.badge.scan.flip}</button>}
      </div>
      {on && <p className="faint centred small">{text}</p>}
    </div>
  );
}

const SIGNS: Record<Tone, typeof Icon.Check> = { good: Icon.Check, warn: Icon.Alert, bad: Icon.Close, wait: Icon.Clock };

/** Large enough to be read at arm's length; the word and the sign say the same as the colour. */
function OutcomePanel({ taken, name }: { taken: Taken; name: string | undefined }) {
  const { tone, word, text } = outcomeOf(taken);
  const Sign = SIGNS[tone];
  const panel = useRef<HTMLDivElement>(null);
  // On a small screen the camera would leave it below the edge.
  useEffect(() => void panel.current?.scrollIntoView({ block: "nearest" }), [word, name]);
  return (
    <div className="outcome" data-tone={tone} ref={panel}>
      <Sign size={56} />
      <div>
        <p className="outcome-word">{word}</p>
        {name && <p className="outcome-name" dir="auto">{name}</p>}
        <p>{text}</p>
      </div>
    </div>
  );
}

function LastScan({ taken, name }: { taken: Taken; name: string | undefined }) {
  const { tone, word } = outcomeOf(taken);
  const Sign = SIGNS[tone];
  const { scan } = taken;
  return (
    <li>
      <span className="scan-sign" data-tone={tone}><Sign size={18} /></span>
      <span className="row-text wraps"><span className="name" dir="auto">{name ?? t.badge.scan.nameless}</span><span className="faint">{word}</span></span>
      <time className="faint" dateTime={scan.at}>{clockTime(scan.at)}</time>
    </li>
  );
}

function TypedCode({ onTake }: { onTake: (code: string) => void }) {
  const [code, setCode] = useState("");
  const take = () => {
    if (!code.trim()) return;
    onTake(code.trim());
    setCode("");
  };
  return (
    <form className="typed" onSubmit={(event) => (event.preventDefault(), take())}>
      <label className="field">
        <span>{t.badge.scan.type}</span>
        <input value={code} autoComplete="off" autoCapitalize="off" spellCheck={false} maxLength={512} placeholder={t.badge.scan.typeHint} onChange={({ target }) => setCode(target.value)} />
      </label>
      <button className="button primary" disabled={!code.trim()}>{t.badge.scan.take}</button>
    </form>
  );
}
