// What the connection is doing, whenever it is not simply there.
import { useEffect, useRef, useState } from "react";
import { useSignal } from "../chat/signal";
import { t } from "../texts";
import { useChat } from "../ui/context";

/** A connection that comes within this is not worth a word. */
const PATIENCE_MS = 700;
const BACK_MS = 2000;

export function Banner() {
  const chat = useChat();
  const state = useSignal(chat.state);
  const draining = useSignal(chat.draining);
  const waiting = useSignal(chat.waiting).filter(({ state }) => state !== "failed").length;
  const online = state.status === "online";
  const [shown, setShown] = useState<"nothing" | "trouble" | "back">("nothing");
  const troubled = useRef(false);
  const before = useRef(false);
  const seconds = useSeconds(state.status === "waiting" ? state.retryAt : undefined);

  useEffect(() => {
    if (!online) {
      const timer = setTimeout(() => (setShown("trouble"), (troubled.current = true)), PATIENCE_MS);
      return () => clearTimeout(timer);
    }
    before.current = true;
    if (!troubled.current) return;
    troubled.current = false;
    setShown("back");
    const timer = setTimeout(() => setShown("nothing"), BACK_MS);
    return () => clearTimeout(timer);
  }, [online]);

  if (shown === "nothing") return <div className="banner-place" role="status" />;
  const offline = navigator.onLine === false;
  const text =
    shown === "back" ? t.connection.back
    : draining ? t.connection.draining
    : offline ? t.connection.offline
    : state.status === "waiting" ? t.connection.waiting(seconds)
    : before.current ? t.connection.reconnecting
    : t.connection.connecting;
  return (
    <div className="banner-place" role="status">
      <div className={`banner ${shown}`}>
        {shown === "trouble" && <span className="spinner" />}
        <span>{text}{shown === "trouble" && waiting > 0 && ` ${t.connection.queued(waiting)}`}</span>
        {shown === "trouble" && state.status === "waiting" && !offline && <button className="link" onClick={() => chat.client.connect()}>{t.connection.now}</button>}
      </div>
    </div>
  );
}

function useSeconds(until: number | undefined): number {
  const [now, setNow] = useState(Date.now);
  useEffect(() => {
    if (until === undefined) return;
    setNow(Date.now());
    const timer = setInterval(() => setNow(Date.now()), 1000);
    return () => clearInterval(timer);
  }, [until]);
  return Math.max(1, Math.ceil(((until ?? now) - now) / 1000));
}
