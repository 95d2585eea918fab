/**
 * Hallway's client. Read in this order: client.ts (what there is), connection.ts (one session kept alive), follower.ts (nothing lost,
 * nothing doubled), outbox.ts (what was said), conversation.ts, conversations.ts and people.ts (what views look at).
 */

export { login, register, type Credentials, type SignedIn } from "./account.js";
export { parseAttachment, type Attachment, type Uploaded, type UploadOptions } from "./attachments.js";
export { backoff } from "./backoff.js";
export { createClient, Hallway, type ClientEvents, type ClientOptions, type Me } from "./client.js";
export type { State } from "./connection.js";
export { Conversation, type ChangeItem, type ConversationSnapshot, type Item, type MessageItem, type Reaction } from "./conversation.js";
export { Conversations, partnerOf, type ConversationsSnapshot } from "./conversations.js";
export type { Off, Readable } from "./emitter.js";
export { HallwayError, type ClientReason, type ErrorData } from "./errors.js";
export type { Cursor } from "./follower.js";
export type { WebSocketClass, WebSocketLike } from "./link.js";
export type { Draft, Failure, Outgoing } from "./outbox.js";
export { People, type PeopleSnapshot } from "./people.js";
export type * from "./protocol.js";
export { asyncStorage, indexedDbStorage, memoryStorage, webStorage, type AsyncStorageLike, type HallwayStorage } from "./storage.js";
