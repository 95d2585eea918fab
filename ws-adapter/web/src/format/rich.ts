// What is in a text besides text: links, people, code. Everything becomes elements with text in them, never markup.

export type Piece =
  | { kind: "text" | "code" | "block"; text: string }
  | { kind: "link"; text: string; href: string }
  | { kind: "mention"; text: string; user: string };

const PARTS =
  /\n?```(?:[\w+-]*\n)?([\s\S]+?)```|`([^`\n]+)`|((?:https?:\/\/|www\.)[^\s<>"]+|[\w.+-]+@[\w-]+(?:\.[\w-]+)+)|(?<![\w@])@([a-z0-9*][a-z0-9._-]{0,63}|\*)/gu;

/** What a sentence puts behind a link and does not belong to it. */
const TRAILING = /(?:[.,;:!?'"…]|\)(?![^(]*\())+$/u;

function linkOf(text: string): string | null {
  if (/^[^/]+@/.test(text)) return `mailto:${text}`;
  try {
    const url = new URL(text.startsWith("www.") ? `https://${text}` : text);
    return url.protocol === "http:" || url.protocol === "https:" ? url.href : null;
  } catch {
    return null;
  }
}

/** The pieces of a text. `mentions`: the uids that are named in it. */
export function pieces(text: string, mentions: readonly string[] = []): Piece[] {
  const found: Piece[] = [];
  let from = 0;
  const plain = (to: number) => {
    if (to > from) found.push({ kind: "text", text: text.slice(from, to) });
  };
  for (const match of text.matchAll(PARTS)) {
    const [whole, block, code, url, uid] = match;
    let piece: Piece | null = null;
    let length = whole.length;
    if (block !== undefined) piece = { kind: "block", text: block.replace(/\n$/, "") };
    else if (code !== undefined) piece = { kind: "code", text: code };
    else if (url !== undefined) {
      const bare = balanced(url.replace(TRAILING, ""), url);
      const href = linkOf(bare);
      length = bare.length;
      if (href) piece = { kind: "link", text: bare, href };
    } else if (uid !== undefined) {
      const user = [uid, uid.replace(/[._-]+$/, "")].find((name) => mentions.includes(name));
      if (user) {
        piece = { kind: "mention", text: `@${user}`, user };
        length = user.length + 1;
      }
    }
    if (!piece) continue;
    plain(match.index);
    found.push(piece);
    from = match.index + length;
    // A block stands on lines of its own: the line break around it is its own, too.
    if (piece.kind === "block" && text[from] === "\n") from += 1;
  }
  plain(text.length);
  return found;
}

/** A closing bracket belongs to a link that has the opening one. */
function balanced(bare: string, whole: string): string {
  const opened = bare.split("(").length - bare.split(")").length;
  return opened > 0 && whole[bare.length] === ")" ? whole.slice(0, bare.length + 1) : bare;
}

const ONLY_EMOJI = /^(?:\p{Extended_Pictographic}[\p{Emoji_Modifier}\uFE0F\u20E3]*(?:\u200D\p{Extended_Pictographic}[\p{Emoji_Modifier}\uFE0F]*)*\s*|\p{Regional_Indicator}{2}\s*){1,3}$/u;

/** One to three emoji and nothing else: shown large. */
export const isEmojiOnly = (text: string): boolean => text.length <= 40 && ONLY_EMOJI.test(text);

/** Who of these is named in a text by `@uid`. */
export function mentionsIn(text: string, picked: Iterable<string>): string[] {
  return [...new Set(picked)].filter((uid) => new RegExp(`(?<![\\w@])@${uid.replace(/[.*]/g, "\\$&")}(?![a-z0-9_])`, "u").test(text));
}
