// Everybody who is here.
import { useRef, useState } from "react";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { useDirectory, useMe } from "../ui/context";
import { roving } from "../ui/roving";
import { to } from "../ui/route";
import { usePeopleSearch } from "./usePeopleSearch";

export function PeoplePane({ open }: { open: string | undefined }) {
  const me = useMe();
  const known = useDirectory();
  const [query, setQuery] = useState("");
  const { people, complete, busy, more } = usePeopleSearch(query);
  const list = useRef<HTMLUListElement>(null);
  return (
    <>
      <header className="pane-head"><h1>{t.people.title}</h1></header>
      <div className="pane-search">
        <input type="search" value={query} placeholder={t.people.search} aria-label={t.people.search} autoComplete="off" onChange={({ target }) => setQuery(target.value)} />
      </div>
      <div className="pane-body" aria-busy={busy}>
        <ul className="person-list" ref={list} aria-label={t.people.title} onKeyDown={(event) => roving(event, list.current, "a.person-row")}>
          {people.map(({ user, name, about, ...person }, at) => {
            const presence = known.get(user)?.presence ?? person.presence;
            return (
              <li key={user}>
                <a className="person-row" href={to.person(user)} tabIndex={user === open || (!open && at === 0) ? 0 : -1} aria-current={user === open || undefined}>
                  <Avatar id={user} name={name} status={presence.status} />
                  <span className="row-text">
                    <span className="name" dir="auto">{name}{user === me.user && <span className="faint"> ({t.people.you})</span>}</span>
                    <span className="faint line" dir="auto">{presence.text || about || `@${user}`}</span>
                  </span>
                  {person.role !== "attendee" && <span className="tag">{t.people.role[person.role] ?? person.role}</span>}
                </a>
              </li>
            );
          })}
        </ul>
        {!people.length && <p className="empty-note" role="status">{busy ? t.common.loading : query ? t.people.none : t.people.empty}</p>}
        {!complete && <button className="button wide" disabled={busy} onClick={more}>{t.people.more}</button>}
      </div>
    </>
  );
}
