// Oneself: whether this device shows notifications, and of what one is told on all of them.
import { HallwayError, type AttentionLevel, type PushSettings } from "hallway-client";
import { useEffect, useState } from "react";
import { pushState, turnOff, turnOn, watchPermission } from "../chat/push";
import { useSignal } from "../chat/signal";
import { t } from "../texts";
import { complain, say, useChat } from "../ui/context";
import * as Icon from "../ui/icons";

export function Notifications() {
  return (
    <section className="part" aria-labelledby="notifications-title">
      <h2 id="notifications-title">{t.notifications.title}</h2>
      <p className="faint">{t.notifications.hint}</p>
      <Here />
      <Settings />
    </section>
  );
}

/** This device: what the browser refuses is no word of the server. */
function Here() {
  const { client } = useChat();
  const state = useSignal(pushState);
  const [busy, setBusy] = useState(false);
  useEffect(() => watchPermission(client), [client]);
  const change = (work: Promise<void>) => {
    setBusy(true);
    work.catch((error: unknown) => (error instanceof HallwayError ? complain(error) : say(t.notifications.failed, true))).finally(() => setBusy(false));
  };
  if (state === "unsupported" || state === "denied") return <p className="notice start">{t.notifications[state]}</p>;
  return (
    <div className="buttons">
      {state === "on"
        ? <button className="button" disabled={busy} onClick={() => change(turnOff(client))}><Icon.BellOff size={18} />{t.notifications.turnOff}</button>
        : <button className="button primary" disabled={busy} onClick={() => change(turnOn(client))}><Icon.Bell size={18} />{t.notifications.turnOn}</button>}
      <p className="faint centred-line" role="status">{state === "on" && t.notifications.turnedOn}</p>
    </div>
  );
}

const LEVELS = ["default", "all", "mentions", "none"] as const;
/** What quiet hours begin with. */
const NIGHT = { from: "22:00", to: "07:00" };

function Settings() {
  const { client, state } = useChat();
  const online = useSignal(state).status === "online";
  const [settings, setSettings] = useState<PushSettings | null>(null);
  useEffect(() => {
    if (online) client.call("push.settings", {}).then(setSettings, () => undefined);
  }, [client, online]);
  if (!settings) return null;
  const set = (change: Partial<PushSettings>) => {
    setSettings({ ...settings, ...change });
    // Quiet hours are by the clock of where one is now.
    client.call("push.settings", { ...change, utc_offset_minutes: -new Date().getTimezoneOffset() }).then(setSettings, (error: unknown) => {
      setSettings(settings);
      complain(error);
    });
  };
  const { level, content, quiet } = settings;
  return (
    <>
      <label className="field">
        <span>{t.notifications.level}</span>
        <select value={level} onChange={({ target }) => set({ level: target.value as AttentionLevel })}>
          {LEVELS.map((word) => <option key={word} value={word}>{t.notifications.levels[word]}</option>)}
        </select>
        <small>{t.notifications.usual}</small>
      </label>
      <label className="switch"><input type="checkbox" checked={content} onChange={({ target }) => set({ content: target.checked })} /><span>{t.notifications.content}</span></label>
      <label className="switch"><input type="checkbox" checked={!!quiet} onChange={({ target }) => set({ quiet: target.checked ? NIGHT : null })} /><span>{t.notifications.quiet}</span></label>
      {quiet && (
        <div className="hours" role="group" aria-label={t.notifications.quiet}>
          <label><span>{t.notifications.from}</span><Hour value={quiet.from} onSet={(from) => set({ quiet: { ...quiet, from } })} /></label>
          <label><span>{t.notifications.until}</span><Hour value={quiet.to} onSet={(to) => set({ quiet: { ...quiet, to } })} /></label>
        </div>
      )}
    </>
  );
}

/** A time of the day, told when it is whole and one goes on. */
function Hour({ value, onSet }: { value: string; onSet: (value: string) => void }) {
  const [text, setText] = useState(value);
  useEffect(() => setText(value), [value]);
  return <input type="time" required value={text} onChange={({ target }) => setText(target.value)} onBlur={() => (text && text !== value ? onSet(text) : setText(value))} />;
}
