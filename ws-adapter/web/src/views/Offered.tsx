// What a link's token would do, before it does it: as whom one would go on, and instead of whom.
import { useEffect, useState } from "react";
import { accept, ended, isSame, learnWhose, offer, signedIn, type Offer, type Who } from "../chat/account";
import { explainReason } from "../chat/errors";
import { t } from "../texts";
import { Popup } from "../ui/Popup";

export function Offered({ offered }: { offered: Offer }) {
  const [before] = useState(signedIn);
  const [who, setWho] = useState<Who | null>(null);
  const [refused, setRefused] = useState("");
  const close = () => offer.set(null);
  useEffect(() => {
    const known = (who: Who) => (isSame(before, who) ? accept(offered, who) : setWho(who));
    return learnWhose(offered, known, (reason) => {
      if (before) return setRefused(explainReason(reason) ?? t.common.broken);
      // The page for signing in says it.
      ended.set(reason);
      close();
    });
  }, [offered, before]);
  const words = t.signIn.offered;
  const title = before ? words.other : who ? words.as(who.name) : words.title;
  return (
    <Popup label={title} className="confirm" onClose={close}>
      <h2 dir="auto">{title}</h2>
      <div role="status">
        {refused ? <p className="error">{refused}</p> : who ? <p dir="auto">{words.whose(who.name, who.user)}</p> : <p className="busy"><span className="spinner" />{words.asking}</p>}
      </div>
      {before?.user && <p dir="auto">{words.now(before.name ?? before.user, before.user)}</p>}
      <div className="buttons">
        <button className="button" data-focus onClick={close}>{refused ? t.common.close : t.common.cancel}</button>
        {!refused && <button className="button primary" disabled={!who} onClick={() => who && accept(offered, who)}>{who ? words.yes(who.name) : words.yesUnknown}</button>}
      </div>
    </Popup>
  );
}
