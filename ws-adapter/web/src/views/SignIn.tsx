// Getting in: by password, by a new account where the conference gives them out, by token.
import { useEffect, useState } from "react";
import { ended, enter, logIn, makeAccount } from "../chat/account";
import { explain, explainReason } from "../chat/errors";
import { about, type AboutConference } from "../chat/server";
import { useSignal } from "../chat/signal";
import { t } from "../texts";
import * as Icon from "../ui/icons";

type Way = "logIn" | "register" | "token";

interface Props {
  /** What a link brought. */
  invite: string | undefined;
  conference: string | undefined;
  unreachable: boolean;
}

export function SignIn({ invite, conference, unreachable }: Props) {
  const server = useSignal(about);
  const why = useSignal(ended);
  const conferences = server?.conferences ?? [];
  const [chosen, setChosen] = useState<string | undefined>(conference);
  const here = conferences.find(({ id }) => id === chosen) ?? conferences[0];
  return (
    <main className="sign-in">
      <div className="sign-in-card">
        <Icon.Logo size={56} />
        <h1>{here ? t.signIn.title(here.title || here.id) : t.app}</h1>
        <p className="faint">{t.tagline}</p>
        {why && <p className="notice" role="status">{why === "session_closed" ? t.signIn.endedElsewhere : why === "signed_out" ? t.signIn.ended : (explainReason(why) ?? t.signIn.ended)}</p>}
        {!server && <p className="notice" role="status"><span className="spinner" />{unreachable ? t.signIn.noServer : t.common.loading}</p>}
        {conferences.length > 1 && (
          <label className="field">
            <span>{t.signIn.conference}</span>
            <select value={here?.id} onChange={({ target }) => setChosen(target.value)}>
              {conferences.map(({ id, title }) => <option key={id} value={id}>{title || id}</option>)}
            </select>
          </label>
        )}
        {here && <Form key={here.id} conference={here} invite={invite} />}
        {server?.mode === "demo" && <p className="faint small">{t.signIn.demo}</p>}
      </div>
    </main>
  );
}

function Form({ conference, invite }: { conference: AboutConference; invite: string | undefined }) {
  const { sign_in: signIn, id } = conference;
  const open = signIn === "open" || signIn === "invite";
  const [way, setWay] = useState<Way>(signIn === "token" ? "token" : invite ? "register" : "logIn");
  const [given, setGiven] = useState({ uid: "", name: "", password: "", invite: invite ?? "", token: "" });
  const [error, setError] = useState("");
  const [busy, setBusy] = useState(false);
  const [shown, setShown] = useState(false);
  useEffect(() => setError(""), [way]);
  const set = (name: keyof typeof given) => ({ target }: { target: { value: string } }) => setGiven({ ...given, [name]: target.value });

  const submit = async () => {
    setBusy(true);
    setError("");
    const uid = given.uid.trim().toLowerCase();
    try {
      if (way === "token") enter({ token: given.token.trim(), conference: id });
      else if (way === "logIn") await logIn({ conference: id, uid, password: given.password });
      else {
        const name = given.name.trim();
        await makeAccount({ conference: id, uid, password: given.password, ...(name && { name }), ...(signIn === "invite" && { invite: given.invite.trim() }) });
      }
    } catch (error) {
      setError(explain(error));
      setBusy(false);
    }
  };

  return (
    <form onSubmit={(event) => (event.preventDefault(), void submit())}>
      {way === "token" ? (
        <label className="field">
          <span>{t.signIn.token}</span>
          <input value={given.token} required autoComplete="off" spellCheck={false} onChange={set("token")} />
          <small>{t.signIn.tokenHint}</small>
        </label>
      ) : (
        <>
          {way === "register" && signIn === "invite" && (
            <label className="field"><span>{t.signIn.invite}</span><input value={given.invite} required autoComplete="off" spellCheck={false} onChange={set("invite")} /></label>
          )}
          {way === "register" && (
            <label className="field"><span>{t.signIn.name}</span><input value={given.name} dir="auto" maxLength={60} autoComplete="name" placeholder={t.signIn.nameHint} onChange={set("name")} /></label>
          )}
          <label className="field">
            <span>{t.signIn.uid}</span>
            <input value={given.uid} required autoComplete="username" autoCapitalize="none" spellCheck={false} pattern="[A-Za-z0-9][A-Za-z0-9._\-]{0,63}" title={t.signIn.uidHint} onChange={set("uid")} />
            {way === "register" && <small>{t.signIn.uidHint}</small>}
          </label>
          <label className="field">
            <span>{t.signIn.password}</span>
            <span className="with-button">
              <input type={shown ? "text" : "password"} value={given.password} required autoComplete={way === "register" ? "new-password" : "current-password"} onChange={set("password")} />
              <button type="button" className="icon-button" aria-label={shown ? t.signIn.hidePassword : t.signIn.showPassword} aria-pressed={shown} onClick={() => setShown(!shown)}><Icon.Eye /></button>
            </span>
          </label>
        </>
      )}
      {error && <p className="error" role="alert">{error}</p>}
      <button className="button primary wide" disabled={busy}>{busy ? t.signIn.working : way === "register" ? t.signIn.register : t.signIn.logIn}</button>
      {open && <button type="button" className="link centre" onClick={() => setWay(way === "register" ? "logIn" : "register")}>{way === "register" ? t.signIn.toLogIn : t.signIn.toRegister}</button>}
      {signIn === "password" && <p className="faint small">{t.signIn.closed}</p>}
    </form>
  );
}
