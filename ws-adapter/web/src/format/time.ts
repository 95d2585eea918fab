// Times as people say them.
import { t } from "../texts";

const clock = new Intl.DateTimeFormat(undefined, { hour: "numeric", minute: "2-digit" });
const weekday = new Intl.DateTimeFormat("en", { weekday: "short" });
const date = new Intl.DateTimeFormat("en", { day: "numeric", month: "short" });
const dateWithYear = new Intl.DateTimeFormat("en", { day: "numeric", month: "short", year: "numeric" });
const longDay = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long" });
const longDayWithYear = new Intl.DateTimeFormat("en", { weekday: "long", day: "numeric", month: "long", year: "numeric" });
const full = new Intl.DateTimeFormat("en", { dateStyle: "full", timeStyle: "short" });

const MINUTE = 60_000;
const DAY = 24 * 60 * MINUTE;

const midnight = (time: number) => new Date(time).setHours(0, 0, 0, 0);
/** Whole days between two times by the calendar. */
const daysBetween = (then: number, now: number) => Math.round((midnight(now) - midnight(then)) / DAY);

/** For lists: "now", "5 min", "14:05", "Yesterday", "Tue", "12 Nov". */
export function shortTime(ts: string, now: number): string {
  const then = Date.parse(ts);
  if (Number.isNaN(then)) return "";
  if (now - then < MINUTE) return t.common.now;
  if (now - then < 60 * MINUTE) return t.common.minutes(Math.floor((now - then) / MINUTE));
  const days = daysBetween(then, now);
  if (days <= 0) return clock.format(then);
  if (days === 1) return t.common.yesterday;
  if (days < 7) return weekday.format(then);
  return (new Date(then).getFullYear() === new Date(now).getFullYear() ? date : dateWithYear).format(then);
}

export const clockTime = (ts: string): string => clock.format(Date.parse(ts));
export const fullTime = (ts: string): string => full.format(Date.parse(ts));

/** One word per calendar day. */
export const dayKey = (ts: string): number => midnight(Date.parse(ts));

/** For day separators: "Today", "Yesterday", "Tuesday, 18 November". */
export function dayName(ts: string, now: number): string {
  const then = Date.parse(ts);
  const days = daysBetween(then, now);
  if (days <= 0) return t.common.today;
  if (days === 1) return t.common.yesterday;
  return (new Date(then).getFullYear() === new Date(now).getFullYear() ? longDay : longDayWithYear).format(then);
}

/** A time to come: "14:05", "Sat 08:00", "12 Nov 08:00". */
export function shortMoment(ts: string, now: number): string {
  const then = Date.parse(ts);
  const days = daysBetween(now, then);
  return days <= 0 ? clock.format(then) : `${(days < 7 ? weekday : date).format(then)} ${clock.format(then)}`;
}
