// Picks people by name: for a new group, for invitations.
import type { Person } from "hallway-client";
import { useState } from "react";
import { t } from "../texts";
import { Avatar } from "../ui/Avatar";
import { useMe } from "../ui/context";
import * as Icon from "../ui/icons";
import { usePeopleSearch } from "./usePeopleSearch";

interface Props {
  done: string;
  /** Whether nobody is enough. */
  allowNone?: boolean;
  /** Whether all else that is needed is there. */
  ready?: boolean;
  onDone: (users: string[]) => void;
}

export function PeoplePicker({ done, allowNone, ready = true, onDone }: Props) {
  const me = useMe();
  const [query, setQuery] = useState("");
  const [picked, setPicked] = useState<readonly Person[]>([]);
  const { people } = usePeopleSearch(query);
  const candidates = people.filter(({ user }) => user !== me.user && !picked.some((person) => person.user === user)).slice(0, 8);
  const add = (person: Person | undefined) => {
    if (!person) return;
    setPicked([...picked, person]);
    setQuery("");
  };
  return (
    <form className="picker" onSubmit={(event) => (event.preventDefault(), onDone(picked.map(({ user }) => user)))}>
      {picked.length > 0 && (
        <ul className="chips">
          {picked.map((person) => (
            <li key={person.user} className="chip">
              {person.name}
              <button type="button" aria-label={t.create.remove(person.name)} onClick={() => setPicked(picked.filter(({ user }) => user !== person.user))}><Icon.Close size={14} /></button>
            </li>
          ))}
        </ul>
      )}
      <label className="field">
        <span>{t.create.add}</span>
        <input
          type="search" value={query} autoComplete="off" onChange={({ target }) => setQuery(target.value)}
          onKeyDown={(event) => event.key === "Enter" && query && (event.preventDefault(), add(candidates[0]))}
        />
      </label>
      <ul className="person-list picks">
        {candidates.map((person) => (
          <li key={person.user}>
            <button type="button" className="person-row" onClick={() => add(person)}>
              <Avatar id={person.user} name={person.name} size="small" />
              <span className="name" dir="auto">{person.name}</span>
              <span className="faint">@{person.user}</span>
            </button>
          </li>
        ))}
      </ul>
      <button className="button primary wide" disabled={!ready || (!allowNone && !picked.length)}>{done}</button>
    </form>
  );
}
