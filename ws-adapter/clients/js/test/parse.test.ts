/** What comes from others: attachments' URLs, event streams, waits in headers. */

import { expect, test } from "vitest";
import { parseAttachment } from "hallway-client";
import { eventParser, retryAfterMs } from "../src/sse.js";
import { random, seed } from "./until.js";

const BASE = "https://chat.example";

test("an attachment's URL tells what it is", () => {
  expect(parseAttachment("/files/abc/sun%20set.webp#type=image/webp&bytes=1234&width=800&height=600", BASE)).toEqual({
    url: "/files/abc/sun%20set.webp#type=image/webp&bytes=1234&width=800&height=600",
    href: "https://chat.example/files/abc/sun%20set.webp",
    name: "sun set.webp",
    type: "image/webp",
    bytes: 1234,
    width: 800,
    height: 600,
  });
  expect(parseAttachment("https://elsewhere.example/", BASE)).toMatchObject({
    href: "https://elsewhere.example/",
    name: "elsewhere.example",
  });
});

test("an attachment that is no web address is no link", () => {
  for (const url of [
    "javascript:alert(1)",
    "data:text/html,x",
    "http://[",
    "blob:x",
    "",
    "%zz",
    "file:///etc/passwd",
    "//evil.example/x",
    "/\\evil.example/x",
    " https://x",
    "https://user@evil.example/",
  ]) {
    const { href } = parseAttachment(url, BASE);
    expect(href === "" || href.startsWith("https://chat.example/")).toBe(true);
  }
  expect(parseAttachment("/files/a/b#bytes=-1&width=1e999&height=x", BASE)).not.toHaveProperty("bytes");
});

test("a stream of events is the same however it is cut", () => {
  const stream =
    'retry: 5\r\n: a comment\r\nevent: hello\r\ndata: {"a":\r\ndata: 1}\r\n\r\nid: 7.8\ndata: x\n\nevent: nothing\n\rdata:last\r\r';
  const whole: string[][] = [];
  eventParser((...message) => whole.push(message))(`${stream}\n`);
  expect(whole).toEqual([
    ["hello", '{"a":\n1}', ""],
    ["message", "x", "7.8"],
    ["message", "last", "7.8"],
  ]);
  const chance = random(seed());
  for (let round = 0; round < 500; round += 1) {
    const parts: string[][] = [];
    const feed = eventParser((...message) => parts.push(message));
    for (let at = 0; at < stream.length;) {
      const size = 1 + Math.floor(chance() * 9);
      feed(stream.slice(at, at + size));
      at += size;
    }
    feed("\n");
    expect(parts).toEqual(whole);
  }
});

test("Retry-After in seconds and as a date", () => {
  const now = Date.parse("2026-01-01T00:00:00Z");
  expect(retryAfterMs("3", now)).toBe(3_000);
  expect(retryAfterMs("Thu, 01 Jan 2026 00:00:10 GMT", now)).toBe(10_000);
  expect(retryAfterMs("soon", now)).toBeUndefined();
  expect(retryAfterMs(null, now)).toBeUndefined();
});
