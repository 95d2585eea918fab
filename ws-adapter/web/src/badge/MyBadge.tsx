// One's own badge, to be held into somebody's camera; shown without a network, too, once it was seen.
import { useEffect, useState } from "react";
import { fetchBadge, keptBadge } from "../chat/badge";
import { useSignal } from "../chat/signal";
import { t } from "../texts";
import { complain, useChat, useMe } from "../ui/context";
import { Qr } from "./Qr";

export function MyBadge() {
  const { client, state } = useChat();
  const me = useMe();
  const { status } = useSignal(state);
  const [badge, setBadge] = useState(() => keptBadge(client));
  useEffect(() => {
    if (status === "online") fetchBadge(client).then(setBadge, complain);
  }, [client, status]);
  useAwake();
  if (!badge) return <p className="empty-note" role="status">{status === "online" || status === "connecting" ? t.common.loading : t.badge.mine.offline}</p>;
  return (
    <>
      <div className="my-badge">
        <Qr text={badge.code} label={t.badge.mine.label(me.name)} />
        <p className="my-name" dir="auto">{me.name}</p>
        <p>@{me.user}</p>
      </div>
      <p className="faint centred">{t.badge.mine.hint}</p>
      {badge.badges.length > 0 && (
        <section className="part" aria-labelledby="printed-title">
          <h2 id="printed-title">{t.badge.mine.printed}</h2>
          <ul className="chips">{badge.badges.map((shown) => <li key={shown} className="chip">{shown}</li>)}</ul>
        </section>
      )}
    </>
  );
}

/** The screen stays on while the badge is shown. */
function useAwake(): void {
  useEffect(() => {
    let lock: WakeLockSentinel | undefined;
    let over = false;
    const hold = () => {
      if (document.visibilityState !== "visible") return;
      navigator.wakeLock?.request("screen").then((held) => (over ? void held.release() : (lock = held)), () => undefined);
    };
    hold();
    document.addEventListener("visibilitychange", hold);
    return () => {
      over = true;
      document.removeEventListener("visibilitychange", hold);
      void lock?.release();
    };
  }, []);
}
