/**
 * What goes over the wire: events, signals and every method with its parameters and result. Written by the server's PROTOCOL.md and
 * /openrpc.json, which the names follow.
 */

export type ConversationKind = "channel" | "group" | "direct" | "announcements";
export type MemberRole = "member" | "moderator" | "owner";
export type Role = "attendee" | "staff" | "organiser" | "device" | "service" | (string & {});
export type Status = "online" | "away" | "dnd" | "offline";

interface EventBase {
  conversation: string;
  /** Its number in its conversation: 1, 2, 3 … */
  seq: number;
  /** Opaque and unique. */
  id: string;
  from: string;
  /** The sender's display name at the time. */
  name: string;
  /** RFC 3339 in UTC with milliseconds. */
  ts: string;
  /** The protocol that it came by. */
  via?: string;
}

export interface ChatMessage extends EventBase {
  kind: "message";
  text: string;
  /** The sender's own id for it. */
  client_id?: string;
  /** Its ordinal among the conversation's messages. */
  n: number;
  reply_to?: number;
  mentions?: string[];
  attachments?: string[];
  edited?: boolean;
  deleted?: boolean;
  reactions?: Record<string, number>;
}
export interface EditEvent extends EventBase {
  kind: "edit";
  target: number;
  text: string;
}
export interface DeleteEvent extends EventBase {
  kind: "delete";
  target: number;
}
export interface ReactEvent extends EventBase {
  kind: "react";
  target: number;
  emoji: string;
  on: boolean;
}
export interface MemberEvent extends EventBase {
  kind: "member";
  user: string;
  change: "joined" | "left" | "invited" | "removed" | "banned" | "role";
  role?: MemberRole;
}
export interface SettingsEvent extends EventBase {
  kind: "settings";
  title: string;
}
/** An entry of a conversation's log. */
export type ChatEvent = ChatMessage | EditEvent | DeleteEvent | ReactEvent | MemberEvent | SettingsEvent;

export interface TypingSignal {
  conversation: string;
  from: string;
  name: string;
  on: boolean;
}
export interface ReadSignal {
  conversation: string;
  from: string;
  seq: number;
}
export interface Presence {
  status: Status;
  text?: string;
}
export interface PresenceSignal extends Presence {
  user: string;
  name: string;
}
/** An entry of one's own inbox, or what the server says about the session itself (those have no `seq`). */
export interface Notice {
  kind: "notice";
  reason: "invited" | "mention" | "removed" | "refused" | "draining" | "session_closed" | "session_ended" | (string & {});
  seq?: number;
  id?: string;
  ts?: string;
  conversation?: string;
  from?: string;
  target?: number;
  topic?: string;
  why?: string;
  retry_after_ms?: number;
  /** `contact`: who asked, or was met. */
  user?: string;
  /** `contact`: where one stands with them now. */
  state?: Acquaintance;
  /** `lead`: who took one's contact. */
  owner?: string;
}

export interface Limits {
  text_bytes: number;
  frame_bytes: number;
  subscriptions: number;
  requests: number;
  messages_per_second: number;
  message_burst: number;
  /** Longest file. */
  file_bytes: number;
}
export interface Hello {
  user: string;
  name: string;
  role: Role;
  conference: string;
  session: string;
  epoch: string;
  limits: Limits;
}
export interface Person {
  user: string;
  name: string;
  role: Role;
  about?: string;
  presence: Presence;
}
export interface Member {
  user: string;
  name: string;
  role: MemberRole;
}
export interface ConversationRow {
  conversation: string;
  kind: ConversationKind;
  title: string;
  members: number;
  /** Whether one is a member. */
  member: boolean;
  role?: MemberRole | null;
  last?: ChatMessage | null;
  /** The seq of the last event. */
  seq: number;
  /** The seq that one has read up to. */
  read: number;
  /** Messages of others after it. */
  unread: number;
  muted: boolean;
  /** When that ends by itself, RFC 3339. */
  muted_until?: string | null;
}
export interface Placed {
  conversation: string;
  seq: number;
  ts: string;
  id: string;
}
export interface At {
  conversation: string;
  seq: number;
}
export interface Session {
  session: string;
  protocol: string;
  device?: string;
  since: string;
  current: boolean;
}
export interface History {
  events: ChatEvent[];
  complete: boolean;
  next?: number | null;
  epoch: string;
}
export interface Found {
  /** Newest first. */
  messages: ChatMessage[];
  /** What to go on from, when it is not complete. */
  before?: number | string | null;
  complete: boolean;
}

/** What of a conversation is pushed: by its kind, everything, what names one, nothing. */
export type AttentionLevel = "default" | "all" | "mentions" | "none";
export interface Attention {
  level: AttentionLevel;
  /** Silenced until then, RFC 3339. */
  until?: string | null;
  muted: boolean;
}
export interface PushSettings {
  level: AttentionLevel;
  /** Whether names and texts are in a push. */
  content: boolean;
  /** Hours and minutes of the day, by one's own clock. */
  quiet?: { from: string; to: string } | null;
  utc_offset_minutes: number;
}
export interface PushTarget {
  target: string;
  provider: string;
  device?: string;
  since: string;
}
export type PushProvider = "webpush" | "unifiedpush" | "apns" | "fcm" | "expo" | "webhook" | "xmpp";
export interface PushRegistration {
  provider: PushProvider;
  token?: string;
  endpoint?: string;
  url?: string;
  jid?: string;
  /** Web Push and UnifiedPush, base64url. */
  keys?: { p256dh: string; auth: string };
  secret?: string;
  topic?: string;
  sandbox?: boolean;
  device?: string;
}

export type ScanMode = "checkin" | "session" | "meet" | "lead" | "announce";
export type ScanReason = "ok" | "already_checked_in" | "unknown_badge" | "revoked" | "not_allowed" | "full" | "duplicate" | "malformed";
/** What a scan came to. */
export interface Scanned {
  accepted: boolean;
  reason: ScanReason | (string & {});
  badge: string;
  user?: string | null;
  name?: string | null;
  mode: ScanMode;
  /** Its number in the conference. */
  scan?: number | null;
  ts: string;
  /** What it opened or led into; of `meet` only when both want it. */
  conversation?: string | null;
}
export type Acquaintance = "asked" | "was_asked" | "met";
export interface Contact {
  user: string;
  name: string;
  state: Acquaintance;
  since: string;
  /** Only of who was met. */
  company?: string;
  email?: string;
  job?: string;
}
export interface Lead {
  user: string;
  name: string;
  since: string;
  last?: string;
  scans?: number;
  /** Who, or which reader, scanned. */
  by?: string;
  company?: string;
  email?: string;
  job?: string;
  /** 1 to 5. */
  rating?: number;
  note?: string;
  tags?: string[];
}
export interface LeadHolder {
  owner: string;
  name: string;
  since: string;
  scans: number;
}
export interface Reader {
  reader: string;
  name: string;
  mode: ScanMode;
  conversation?: string | null;
  /** How its payloads are read; a template as JSON. */
  format: string;
  /** How many people the session takes. */
  capacity?: number | null;
  /** Whose the leads are. */
  owner?: string | null;
  /** What is announced. */
  text?: string | null;
  online: boolean;
  since?: string | null;
  detail?: string | null;
  /** When it last scanned something, since the server started. */
  last_scan?: string | null;
}
export interface Checkin {
  user: string;
  name: string;
  ts: string;
  /** The reader, or who scanned. */
  by: string;
  scan: number;
}

export interface GivenBadge {
  badge: string;
  user: string;
  name: string;
  revoked: boolean;
  since: string;
}
/** Somebody who was in a session. */
export interface Attendance {
  user: string;
  name: string;
  inside: boolean;
  enters: number;
  /** How long in all. */
  seconds: number;
  first: string;
  last: string;
}
/** What an import of attendees did, or would do. */
export interface Imported {
  format: string;
  rows: number;
  added: number;
  changed: number;
  unchanged: number;
  /** The first 1,000; how many more there are is `more_bad`. */
  bad: { row: number; column?: string | null; why: string }[];
  more_bad?: number | null;
}
/** A push that was given up. */
export interface DeadPush {
  letter: number;
  user: string;
  provider: PushProvider;
  conversation: string;
  seq: number;
  tries: number;
  since: string;
  why: string;
}

type Nothing = Record<string, never>;
type Of = { conversation: string };
type Page = { after?: string; limit?: number };

/** Method → parameters and result. */
export interface Methods {
  "session.hello": [{ token?: string; ticket?: string; conference?: string; device?: string }, Hello];
  "session.list": [Nothing, { sessions: Session[] }];
  "session.close": [{ session: string; revoke?: boolean }, Nothing];
  "message.send": [Of & { id: string; text: string; reply_to?: number; mentions?: string[]; attachments?: string[] }, Placed];
  "message.edit": [Of & { seq: number; text: string }, Placed];
  "message.delete": [Of & { seq: number }, Placed];
  "message.react": [Of & { seq: number; emoji: string; on?: boolean }, Placed];
  "topic.subscribe": [
    { topic: string },
    { connection_id: string; users: Record<string, { name: string; cids: string[] }>; stored: number; messages: unknown[] },
  ];
  "topic.unsubscribe": [{ topic: string }, Nothing];
  "topic.transmit": [{ topic: string; action: string; payload?: unknown; store?: boolean }, Nothing];
  "message.search": [{ query: string; conversation?: string; before?: number | string; limit?: number }, Found];
  "conversation.list": [{ limit?: number }, ConversationRow[]];
  "conversation.open": [{ with: string }, Of & { kind: ConversationKind; seq: number; created: boolean }];
  "conversation.create": [{ kind: "channel" | "group" | "announcements"; id?: string; title?: string; members?: string[] }, At];
  "conversation.update": [Of & { title: string }, At];
  "conversation.join": [Of, At];
  "conversation.leave": [Of, At];
  "conversation.invite": [Of & { user: string }, At];
  "conversation.remove": [Of & { user: string; ban?: boolean }, At];
  "conversation.role": [Of & { user: string; role: MemberRole }, At];
  "conversation.members": [Of & { after?: string; limit?: number }, { members: Member[]; complete: boolean }];
  "conversation.subscribe": [
    Of & { after?: number; epoch?: string; echo?: boolean },
    Of & { epoch: string; seq: number; events: ChatEvent[]; complete: boolean },
  ];
  "conversation.unsubscribe": [Of, Nothing];
  "conversation.history": [Of & { before?: number; after?: number; limit?: number; kinds?: ChatEvent["kind"][] }, History];
  "conversation.read": [Of & { seq: number }, Of & { seq: number; unread: number }];
  "conversation.typing": [Of & { on: boolean }, Nothing];
  "people.list": [{ query?: string; blocked?: boolean; after?: string; limit?: number }, { people: Person[]; complete: boolean }];
  "people.get": [{ user: string }, Person];
  "people.update": [{ name?: string; about?: string }, Person];
  "people.block": [{ user: string; on?: boolean }, { user: string; on: boolean }];
  "people.export": [{ user?: string }, Record<string, unknown>];
  "people.erase": [{ user?: string }, { erased: true }];
  "push.register": [PushRegistration, { target: string; provider: string }];
  "push.unregister": [{ target?: string; provider?: string; token?: string; endpoint?: string; url?: string; jid?: string }, Nothing];
  "push.dead": [{ before?: number; limit?: number }, { letters: DeadPush[] }];
  "push.replay": [{ letters?: number[] }, { replayed: number }];
  "push.list": [Nothing, { targets: PushTarget[] }];
  "push.key": [Nothing, { webpush?: string }];
  "push.settings": [Partial<PushSettings>, PushSettings];
  "conversation.notify": [Of & { level?: AttentionLevel; until?: string | null }, Attention];
  "badge.mine": [Nothing, { code: string; badges: string[] }];
  "badge.assign": [{ badge: string; user: string }, { badge: string; user: string }];
  "badge.revoke": [{ badge: string; on?: boolean }, { badge: string; on: boolean }];
  "badge.list": [Page & { user?: string }, { badges: GivenBadge[]; complete: boolean }];
  "badge.scan": [{ code: string; mode?: ScanMode; conversation?: string; id?: string; at?: string; direction?: "enter" | "exit" }, Scanned];
  "contact.list": [Page, { contacts: Contact[]; complete: boolean }];
  "contact.ask": [{ user: string }, unknown];
  "contact.accept": [{ user: string }, unknown];
  "contact.decline": [{ user: string }, unknown];
  "contact.remove": [{ user: string }, unknown];
  "lead.list": [Page & { owner?: string }, { leads: Lead[]; complete: boolean }];
  "lead.update": [{ user: string; owner?: string; rating?: number; note?: string; tags?: string[] }, unknown];
  "lead.remove": [{ user: string; owner?: string }, unknown];
  "lead.export": [{ owner?: string; after?: string }, { csv: string; complete: boolean; next?: string | null }];
  "lead.holders": [Page, { holders: LeadHolder[]; complete: boolean }];
  "lead.withdraw": [{ owner: string }, unknown];
  "checkin.count": [Nothing, { checked_in: number; attendees: number }];
  "checkin.list": [Page, { people: Checkin[]; complete: boolean }];
  "checkin.undo": [{ user: string }, Nothing];
  "attendance.list": [Of & Page, Of & { people: Attendance[]; inside: number; came: number; capacity?: number | null; complete: boolean }];
  "attendee.import": [
    { csv: string; format?: "auto" | "pretix" | "eventbrite" | "generic"; map?: Record<string, string | string[]>; dry_run?: boolean },
    Imported,
  ];
  "reader.set": [
    { reader: string; mode: ScanMode; conversation?: string; format?: string; capacity?: number; owner?: string; text?: string },
    Nothing,
  ];
  "reader.remove": [{ reader: string }, Nothing];
  "reader.list": [Page, { readers: Reader[]; complete: boolean }];
  "presence.set": [{ status: Exclude<Status, "offline">; text?: string }, Nothing];
}
export type Method = keyof Methods;
export type Params<M extends Method> = Methods[M][0];
export type Result<M extends Method> = Methods[M][1];

/** Notification → its parameters. */
export interface Notifications {
  message: ChatMessage;
  event: EditEvent | DeleteEvent | ReactEvent | SettingsEvent;
  member: MemberEvent;
  typing: TypingSignal;
  read: ReadSignal;
  presence: PresenceSignal;
  notice: Notice;
  topic: Record<string, unknown>;
}
