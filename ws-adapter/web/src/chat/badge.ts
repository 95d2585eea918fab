// One's own badge, kept so that it can be shown where there is no network.
import type { Hallway } from "hallway-client";

export interface Badge {
  user: string;
  conference: string;
  code: string;
  /** Printed ones, as they were given out. */
  badges: readonly string[];
}

const KEY = "hallway-badge";

/** The kept one, when it is this user's. */
export function keptBadge({ me }: Hallway): Badge | null {
  try {
    const badge = JSON.parse(localStorage.getItem(KEY) ?? "null") as Badge | null;
    return badge && badge.user === me?.user && badge.conference === me.conference ? badge : null;
  } catch {
    return null;
  }
}

export async function fetchBadge(client: Hallway): Promise<Badge> {
  const { code, badges } = await client.call("badge.mine", {});
  const badge = { user: client.me?.user ?? "", conference: client.me?.conference ?? "", code, badges };
  try {
    localStorage.setItem(KEY, JSON.stringify(badge));
  } catch {
    // Then only while there is a connection.
  }
  return badge;
}

export const forgetBadge = (): void => localStorage.removeItem(KEY);
