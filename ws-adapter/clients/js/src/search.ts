/** A search in the directory as a store, made again after each connection. */

import type { Hallway } from "./client.js";
import { Store, type Off } from "./emitter.js";

export interface SearchSnapshot {
  readonly users: readonly string[];
  readonly loading: boolean;
  readonly complete: boolean;
  readonly error: unknown;
}

export class Search extends Store<SearchSnapshot> {
  private now: SearchSnapshot = { users: [], loading: true, complete: false, error: undefined };

  constructor(
    private readonly client: Hallway,
    private readonly query: string,
    private readonly limit: number,
  ) {
    super();
  }

  start(): Off {
    if (this.client.state.status === "online") void this.run();
    return this.client.on("hello", () => void this.run());
  }

  protected build(): SearchSnapshot {
    return this.now;
  }

  private async run(): Promise<void> {
    try {
      const { people, complete } = await this.client.people.search(this.query, { limit: this.limit });
      this.now = { users: people.map(({ user }) => user), loading: false, complete, error: undefined };
    } catch (error) {
      this.now = { ...this.now, loading: false, error };
    }
    this.changed();
  }
}
