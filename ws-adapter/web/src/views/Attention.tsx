// Beside a conversation: of what in it one is told, and muting it.
import type { Attention as Known, AttentionLevel, ConversationRow } from "hallway-client";
import { useEffect, useState } from "react";
import { features } from "../chat/server";
import { useSignal } from "../chat/signal";
import { shortMoment } from "../format/time";
import { t } from "../texts";
import { complain, useChat, useNow } from "../ui/context";
import * as Icon from "../ui/icons";
import { Menu } from "../ui/Popup";

const LEVELS = ["default", "all", "mentions", "none"] as const;
const HOUR_MS = 3_600_000;
/** "Until tomorrow" is until people get up. */
const MORNING = 8;

const morning = (): number => {
  const day = new Date();
  day.setDate(day.getDate() + 1);
  return day.setHours(MORNING, 0, 0, 0);
};

export function Attention({ row: { conversation } }: { row: ConversationRow }) {
  const { client, state } = useChat();
  const online = useSignal(state).status === "online";
  const { push } = useSignal(features);
  const now = useNow();
  const [known, setKnown] = useState<Known | null>(null);
  const [at, setAt] = useState<DOMRect | null>(null);
  const asks = push && online;
  useEffect(() => {
    if (asks) client.call("conversation.notify", { conversation }).then(setKnown, () => undefined);
  }, [client, conversation, asks]);
  if (!push || !known) return null;

  const set = (change: { level?: AttentionLevel; until?: string | null }) => {
    client.call("conversation.notify", { conversation, ...change }).then((next) => {
      setKnown(next);
      client.conversations.patch(conversation, { muted: next.muted, muted_until: next.level === "none" ? null : next.until ?? null });
    }, complain);
  };
  const until = (time: number) => set({ until: new Date(time).toISOString() });
  const silenced = known.until && Date.parse(known.until) > now ? known.until : undefined;
  return (
    <section className="attention" aria-labelledby="attention-title">
      <h3 id="attention-title" className="section-title">{t.notifications.here.title}</h3>
      <label className="field">
        <span>{t.notifications.here.level}</span>
        <select value={known.level} onChange={({ target }) => set({ level: target.value as AttentionLevel })}>
          {LEVELS.map((word) => <option key={word} value={word}>{t.notifications.here.levels[word]}</option>)}
        </select>
      </label>
      {silenced || known.level === "none" ? (
        <p className="muted-line">
          <Icon.BellOff size={18} />
          <span>{silenced ? t.notifications.here.mutedUntil(shortMoment(silenced, now)) : t.notifications.here.muted}</span>
          <button className="button" onClick={() => set({ until: null, ...(known.level === "none" && { level: "default" }) })}>{t.notifications.here.unmute}</button>
        </p>
      ) : (
        <button className="button" aria-haspopup="menu" onClick={({ currentTarget }) => setAt(currentTarget.getBoundingClientRect())}><Icon.BellOff size={18} />{t.notifications.here.mute}</button>
      )}
      {at && (
        <Menu
          label={t.notifications.here.mute} at={at} onClose={() => setAt(null)}
          items={[
            { label: t.notifications.here.hour, act: () => until(Date.now() + HOUR_MS) },
            { label: t.notifications.here.tomorrow, act: () => until(morning()) },
            { label: t.notifications.here.always, act: () => set({ level: "none" }) },
          ]}
        />
      )}
    </section>
  );
}
