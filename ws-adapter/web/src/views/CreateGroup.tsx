// A new group, or (staff) a channel.
import { useState } from "react";
import { t } from "../texts";
import { complain, useChat, useMe } from "../ui/context";
import { Dialog } from "../ui/Popup";
import { go, to } from "../ui/route";
import { PeoplePicker } from "./PeoplePicker";

export function CreateGroup({ onClose }: { onClose: () => void }) {
  const { client } = useChat();
  const me = useMe();
  const staff = me.role === "staff" || me.role === "organiser";
  const [title, setTitle] = useState("");
  const [kind, setKind] = useState<"group" | "channel">("group");
  const make = (members: string[]) => {
    const name = title.trim();
    if (!name) return;
    client.create({ kind, title: name, ...(kind === "group" && { members }) }).then((id) => (onClose(), go(to.conversation(id))), complain);
  };
  return (
    <Dialog label={t.create.title} onClose={onClose}>
      <p className="faint">{t.create.orDirect}</p>
      <label className="field">
        <span>{t.create.name}</span>
        <input value={title} dir="auto" maxLength={80} data-focus placeholder={t.create.namePlaceholder} onChange={({ target }) => setTitle(target.value)} />
      </label>
      {staff && (
        <label className="field">
          <span>{t.create.kind}</span>
          <select value={kind} onChange={({ target }) => setKind(target.value as "group" | "channel")}>
            <option value="group">{t.create.group}</option>
            <option value="channel">{t.create.channel}</option>
          </select>
        </label>
      )}
      <PeoplePicker done={t.create.make} allowNone ready={title.trim() !== ""} onDone={make} />
    </Dialog>
  );
}
