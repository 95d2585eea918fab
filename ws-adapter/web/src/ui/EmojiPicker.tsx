// A small emoji keyboard: what people use, in five groups, the last used first.
import { useRef } from "react";
import { t } from "../texts";
import { Popup } from "./Popup";
import { roving } from "./roving";

const GROUPS = [
  "👍 ❤️ 😂 🎉 🙏 👀 🔥 ✅",
  "😀 😄 😅 😊 😇 🙂 😉 😍 😘 😋 😎 🤓 🤩 🥳 🤔 🤨 😐 😏 🙄 😴 😌 😔 😢 😭 😤 😡 😱 🤯 😳 🤗 🤫 🫡",
  "👋 👌 ✌️ 🤞 🤟 👏 🙌 🫶 🤝 💪 👉 👆 👇 ✋ 👎 ✊",
  "☕ 🍕 🍻 🍷 🎂 🎁 🎤 🎧 💻 📱 🚀 💡 📌 📎 📅 ⏰ 🚆 🏨 🌍 ☀️ 🌧️ 🐛 🦀 🐍",
  "💯 ⭐ ✨ ❓ ❗ ⚠️ ❌ ➕ 🟢 🟡 🔴 💔 💙 💚 💛 💜",
].map((group) => group.split(" "));

const COLUMNS = 8;
const RECENT = "hallway-emoji";
export const QUICK = GROUPS[0]?.slice(0, 6) ?? [];

function recent(): string[] {
  try {
    return (JSON.parse(localStorage.getItem(RECENT) ?? "[]") as string[]).slice(0, COLUMNS);
  } catch {
    return [];
  }
}

export function keepEmoji(emoji: string): void {
  try {
    localStorage.setItem(RECENT, JSON.stringify([emoji, ...recent().filter((other) => other !== emoji)].slice(0, COLUMNS)));
  } catch {
    // Not kept, then.
  }
}

interface Props {
  at: DOMRect | undefined;
  onPick: (emoji: string) => void;
  onClose: () => void;
}

export function EmojiPicker({ at, onPick, onClose }: Props) {
  const grid = useRef<HTMLDivElement>(null);
  const first = [...new Set([...recent(), ...(GROUPS[0] ?? [])])].slice(0, COLUMNS);
  return (
    <Popup label={t.emoji.title} at={at} className="emoji-picker" onClose={onClose}>
      <div ref={grid} onKeyDown={(event) => roving(event, grid.current, "button", COLUMNS)}>
        {[first, ...GROUPS.slice(1)].map((group, index) => (
          <section key={t.emoji.groups[index]} aria-label={t.emoji.groups[index]}>
            <h3>{t.emoji.groups[index]}</h3>
            <div className="emoji-grid">
              {group.map((emoji, at) => (
                <button key={emoji} className="emoji" tabIndex={index + at === 0 ? 0 : -1} onClick={() => (keepEmoji(emoji), onClose(), onPick(emoji))}>
                  {emoji}
                </button>
              ))}
            </div>
          </section>
        ))}
      </div>
    </Popup>
  );
}
