/** Attachments are strings in a message: URLs that `/files` answered, whose fragment says what they are. */

import { HallwayError, refusal } from "./errors.js";

/** What `POST /files` answers. `url` is what goes into `attachments` of a message. */
export interface Uploaded {
  url: string;
  name: string;
  type: string;
  bytes: number;
  width?: number;
  height?: number;
}

/** An attachment of a message as a view wants it. */
export interface Attachment {
  /** As it is in the message. */
  url: string;
  /** Absolute, without the fragment: what to load. */
  href: string;
  name: string;
  /** The media type, when the URL tells it. */
  type?: string;
  bytes?: number;
  width?: number;
  height?: number;
}

/** An absolute web address with nothing odd before its path. */
const ABSOLUTE = /^https?:\/\/[\w.-]+(:\d+)?([/?]|$)/i;

/**
 * Reads an attachment's URL. What is not http(s) gets an empty `href`: it comes from others and must not become a link. By hand, because
 * React Native's `URL` does only half of it.
 */
export function parseAttachment(url: string, base: string): Attachment {
  const [address = "", fragment = ""] = url.split("#", 2);
  const host = /^https?:\/\/[^/]+/i.exec(base)?.[0] ?? "";
  const href = address.startsWith("/") ? host + address : ABSOLUTE.test(address) ? address : "";
  const path = href.replace(/\?.*/s, "").split("/");
  const attachment: Attachment = { url, href, name: unescaped(path.slice(3).pop() || path[2] || address) };
  const facts = new Map(fragment.split("&").map((fact) => fact.split("=", 2).map(unescaped) as [string, string]));
  const type = facts.get("type");
  if (type) attachment.type = type;
  for (const fact of ["bytes", "width", "height"] as const) {
    const number = Number(facts.get(fact));
    if (number > 0 && Number.isSafeInteger(number)) attachment[fact] = number;
  }
  return attachment;
}

function unescaped(text: string): string {
  try {
    return decodeURIComponent(text);
  } catch {
    return text;
  }
}

export interface UploadOptions {
  /** The file's name; a `File` has one itself. */
  name?: string;
  type?: string;
  /** Told how much of it has gone, 0 to 1; where `XMLHttpRequest` exists (browsers, React Native), else only the end. */
  onProgress?: (part: number) => void;
  signal?: AbortSignal;
}

/** Sends a file's bytes. */
export async function upload(
  url: string,
  token: string,
  file: Blob | ArrayBuffer | Uint8Array,
  options: UploadOptions,
  fetch: typeof globalThis.fetch,
): Promise<Uploaded> {
  const { onProgress, signal } = options;
  const type = options.type || ("type" in file && file.type) || "application/octet-stream";
  const name = options.name ?? (file as { name?: string }).name ?? "file";
  const to = `${url}/files?name=${encodeURIComponent(name)}`;
  const headers = { Authorization: `Bearer ${token}`, "Content-Type": type };
  const body = file as Blob;
  if (onProgress && typeof XMLHttpRequest === "function") return withProgress(to, headers, body, onProgress, signal);
  const answer = await fetch(to, { method: "POST", headers, body, ...(signal && { signal }) }).catch((error) => {
    throw signal?.aborted ? error : new HallwayError("disconnected", String(error));
  });
  const uploaded = finish(answer.status, await answer.text());
  onProgress?.(1);
  return uploaded;
}

function finish(status: number, text: string): Uploaded {
  let body;
  try {
    body = JSON.parse(text);
  } catch {
    // An answer of something between us and the server.
  }
  if (status !== 201 && status !== 200) throw refusal(body?.error, status);
  if (typeof body?.url !== "string") throw new HallwayError("bad_answer");
  return body;
}

function withProgress(
  to: string,
  headers: Record<string, string>,
  body: Blob,
  onProgress: (part: number) => void,
  signal?: AbortSignal,
): Promise<Uploaded> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    request.open("POST", to);
    for (const [name, value] of Object.entries(headers)) request.setRequestHeader(name, value);
    request.upload.onprogress = ({ loaded, total }) => total && onProgress(loaded / total);
    request.onload = () => {
      try {
        resolve(finish(request.status, request.responseText));
      } catch (error) {
        reject(error);
      }
    };
    request.onerror = () => reject(new HallwayError("disconnected"));
    request.onabort = () => reject(signal?.reason ?? new HallwayError("discarded"));
    signal?.addEventListener("abort", () => request.abort());
    request.send(body);
  });
}
