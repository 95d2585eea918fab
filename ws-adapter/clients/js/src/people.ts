/** The directory: who is here, and how they are. People are fetched when somebody asks for them, and kept up to date while it is told. */

import { Store } from "./emitter.js";
import { HallwayError } from "./errors.js";
import type { Method, Params, Person, PresenceSignal, Result } from "./protocol.js";

export interface PeopleSnapshot {
  /** uid → person, as far as they are known. */
  readonly people: ReadonlyMap<string, Person>;
}

/** More than this are not kept. */
const MAX_PEOPLE = 5_000;

export class People extends Store<PeopleSnapshot> {
  #people = new Map<string, Person>();
  readonly #fetching = new Map<string, Promise<Person>>();

  constructor(private readonly call: <M extends Method>(method: M, params: Params<M>) => Promise<Result<M>>) {
    super();
  }

  get(user: string): Person | undefined {
    return this.#people.get(user);
  }

  /** Asks the server about somebody; several who ask at once ask once. */
  fetch(user: string): Promise<Person> {
    let asked = this.#fetching.get(user);
    if (!asked) {
      asked = this.call("people.get", { user }).then((person) => this.#keep([person])[0] as Person);
      this.#fetching.set(user, asked);
      const done = (): void => void this.#fetching.delete(user);
      asked.then(done, done);
    }
    return asked;
  }

  /** People whose uid or a word of whose name begins with `query`; all, page by page (`after`: the last uid), without one. */
  async search(query = "", options: { after?: string; limit?: number } = {}): Promise<{ people: Person[]; complete: boolean }> {
    const found = await this.call("people.list", { ...options, ...(query && { query }) });
    this.#keep(found.people);
    return found;
  }

  /** Changes the own profile. */
  async update(change: { name?: string; about?: string }): Promise<Person> {
    return this.#keep([await this.call("people.update", change)])[0] as Person;
  }

  async block(user: string, on = true): Promise<void> {
    await this.call("people.block", { user, on });
  }

  /** Whom one has blocked. */
  async blocked(): Promise<Person[]> {
    return (await this.call("people.list", { blocked: true, limit: 500 })).people;
  }

  /** @internal */
  present({ user, name, status, text }: PresenceSignal): void {
    const before = this.#people.get(user) ?? { user, name, role: "attendee" };
    this.#keep([{ ...before, name, presence: { status, ...(text !== undefined && { text }) } }]);
  }

  /** @internal After a time without news: what is known is asked for again when it is next looked at. */
  async refresh(users: Iterable<string>): Promise<void> {
    for (const user of users) await this.fetch(user).catch((error: HallwayError) => error);
  }

  /** @internal */
  clear(): void {
    this.#people.clear();
    this.changed();
  }

  protected build(): PeopleSnapshot {
    return { people: new Map(this.#people) };
  }

  #keep(people: Person[]): Person[] {
    for (const person of people) {
      this.#people.delete(person.user);
      this.#people.set(person.user, person);
    }
    for (const oldest of this.#people.keys()) {
      if (this.#people.size <= MAX_PEOPLE) break;
      this.#people.delete(oldest);
    }
    this.changed();
    return people;
  }
}
