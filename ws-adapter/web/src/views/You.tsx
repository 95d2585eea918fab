// Oneself: profile, presence, looks, sessions, data.
import type { Session, Status } from "hallway-client";
import { useCallback, useEffect, useState } from "react";
import { features } from "../chat/server";
import { useSignal } from "../chat/signal";
import { shortTime } from "../format/time";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { complain, say, useChat, useMe, useNow, usePerson, useStaff } from "../ui/context";
import { download } from "../ui/download";
import * as Icon from "../ui/icons";
import { Confirm } from "../ui/Popup";
import { PAGES, to } from "../ui/route";
import { show, theme, THEMES } from "../ui/theme";
import { installer } from "./install";
import { Notifications } from "./Notifications";

export function You({ onShortcuts }: { onShortcuts: () => void }) {
  const chat = useChat();
  const me = useMe();
  const person = usePerson(me.user);
  const install = useSignal(installer);
  const [asking, setAsking] = useState<"out" | "erase" | null>(null);
  const can = useSignal(features);
  const waiting = useSignal(chat.waiting).length + useSignal(chat.scans.waiting);
  useEffect(() => void chat.client.people.fetch(me.user).catch(() => undefined), [chat, me.user]);
  const signOut = () => void chat.signOut();
  return (
    <section className="page you" aria-label={t.you.title}>
      <header className="you-head">
        <Avatar id={me.user} name={me.name} status={person?.presence.status} size="large" />
        <div>
          <h1 dir="auto">{me.name}</h1>
          <p className="faint">@{me.user} · {t.people.role[me.role] ?? me.role}</p>
        </div>
      </header>
      {can.badges && <Pages />}
      {person && <Profile key={person.user} name={person.name} about={person.about ?? ""} />}
      <PresencePart />
      {can.push && <Notifications />}
      <Appearance />
      <Sessions />
      <div className="buttons">
        <button className="button" onClick={onShortcuts}><Icon.Keyboard size={18} />{t.you.shortcuts}</button>
        {install && <button className="button" onClick={() => void install.prompt()}><Icon.Down size={18} />{t.you.install}</button>}
        <button className="button" onClick={() => (waiting ? setAsking("out") : signOut())}><Icon.Door size={18} />{t.you.signOut}</button>
      </div>
      <section className="part" aria-labelledby="data-title">
        <h2 id="data-title">{t.you.data}</h2>
        <div className="buttons">
          <button className="button" onClick={() => chat.client.call("people.export", {}).then((data) => download(JSON.stringify(data, null, 2), "application/json", `hallway-${me.user}.json`), complain)}>{t.you.export}</button>
          <button className="button bad" onClick={() => setAsking("erase")}>{t.you.erase}</button>
        </div>
      </section>
      {asking === "out" && <Confirm text={t.you.signOutAsk(waiting)} yes={t.you.signOut} onYes={signOut} onClose={() => setAsking(null)} />}
      {asking === "erase" && (
        <Confirm text={t.you.eraseAsk} yes={t.you.erase} onYes={() => chat.client.call("people.erase", {}).then(signOut, complain)} onClose={() => setAsking(null)} />
      )}
    </section>
  );
}

const PAGE_SIGNS = { badge: Icon.Code, scan: Icon.Camera, contacts: Icon.Handshake, leads: Icon.List, desk: Icon.Desk };

/** Where badges lead. */
function Pages() {
  const asks = useSignal(useChat().acquaintances.list)?.filter(({ state }) => state === "was_asked").length ?? 0;
  const staff = useStaff();
  return (
    <nav className="pages" aria-label={t.badge.title}>
      {PAGES.filter((page) => staff || page !== "desk").map((page) => {
        const Sign = PAGE_SIGNS[page];
        return (
          <a key={page} className="page-link" href={to.page(page)}>
            <Sign size={26} />
            {t.badge.pages[page]}
            {page === "contacts" && asks > 0 && <span className="badge" aria-label={t.contacts.requests(asks)}>{asks}</span>}
          </a>
        );
      })}
    </nav>
  );
}

function Profile({ name: nameNow, about: aboutNow }: { name: string; about: string }) {
  const chat = useChat();
  const [name, setName] = useState(nameNow);
  const [about, setAbout] = useState(aboutNow);
  const changed = name.trim() !== nameNow || about.trim() !== aboutNow;
  const save = () =>
    chat.client.people.update({ name: name.trim(), about: about.trim() }).then((person) => {
      chat.me.update((me) => ({ ...me, name: person.name }));
      say(t.you.saved);
    }, complain);
  return (
    <form className="part" onSubmit={(event) => (event.preventDefault(), void save())}>
      <h2>{t.you.profile}</h2>
      <label className="field">
        <span>{t.you.name}</span>
        <input value={name} required dir="auto" maxLength={60} autoComplete="name" onChange={({ target }) => setName(target.value)} />
      </label>
      <label className="field">
        <span>{t.you.about}</span>
        <textarea value={about} rows={2} dir="auto" maxLength={400} placeholder={t.you.aboutHint} onChange={({ target }) => setAbout(target.value)} />
      </label>
      <button className="button primary" disabled={!changed || !name.trim()}>{t.you.save}</button>
    </form>
  );
}

const SETTABLE = ["online", "away", "dnd"] as const;

function PresencePart() {
  const { client } = useChat();
  const me = useMe();
  const now = usePerson(me.user)?.presence;
  const [text, setText] = useState(now?.text ?? "");
  const [wanted, setWanted] = useState<Status | null>(null);
  const status: Status = wanted ?? now?.status ?? "online";
  const set = (wanted: Status) => {
    if (wanted === "offline") return;
    setWanted(wanted);
    client.setPresence(wanted, text.trim()).then(() => client.people.fetch(me.user)).catch(complain).finally(() => setWanted(null));
  };
  return (
    <form className="part" onSubmit={(event) => (event.preventDefault(), set(status === "offline" ? "online" : status))}>
      <h2>{t.you.presence}</h2>
      <div className="choice" role="radiogroup" aria-label={t.you.presence}>
        {SETTABLE.map((word) => (
          <label key={word}><input type="radio" name="presence" checked={status === word} onChange={() => set(word)} /><span><i className="status" data-status={word} />{t.people.presence[word]}</span></label>
        ))}
      </div>
      <label className="field">
        <span>{t.you.presenceText}</span>
        <input value={text} dir="auto" maxLength={60} placeholder={t.you.presencePlaceholder} onChange={({ target }) => setText(target.value)} onBlur={() => text.trim() !== (now?.text ?? "") && set(status)} />
      </label>
    </form>
  );
}

const SIGNS = { system: Icon.Screen, light: Icon.Sun, dark: Icon.Moon };

function Appearance() {
  const chosen = useSignal(theme);
  return (
    <section className="part">
      <h2>{t.you.appearance}</h2>
      <div className="choice" role="radiogroup" aria-label={t.you.appearance}>
        {THEMES.map((name) => {
          const Sign = SIGNS[name];
          return <label key={name}><input type="radio" name="theme" checked={chosen === name} onChange={() => show(name)} /><span><Sign size={18} />{t.you.theme[name]}</span></label>;
        })}
      </div>
    </section>
  );
}

function Sessions() {
  const { client, state } = useChat();
  const online = useSignal(state).status === "online";
  const now = useNow();
  const [sessions, setSessions] = useState<readonly Session[] | null>(null);
  const load = useCallback(() => void client.sessions().then(setSessions, () => undefined), [client]);
  useEffect(() => {
    if (online) load();
  }, [online, load, now]);
  return (
    <section className="part" aria-labelledby="sessions-title">
      <h2 id="sessions-title">{t.you.sessions}</h2>
      <p className="faint">{t.you.sessionsHint}</p>
      <ul className="sessions">
        {sessions?.map(({ session, protocol, device, since, current }) => (
          <li key={session}>
            <Icon.Screen />
            <span className="row-text">
              <span className="name">{device ?? protocol} {current && <span className="tag">{t.you.thisOne}</span>}</span>
              <span className="faint">{protocol} · {t.you.since(shortTime(since, now))}</span>
            </span>
            {!current && <button className="button" aria-label={t.you.closeNamed(device ?? protocol)} onClick={() => client.closeSession(session, { revoke: true }).then(load, complain)}>{t.you.close}</button>}
          </li>
        ))}
      </ul>
    </section>
  );
}
