// A round with initials or a conversation's sign, and how its person is.
import { memo } from "react";
import type { ConversationKind, Status } from "hallway-client";
import { colourOf, initials } from "../format/names";
import { t } from "../texts";
import * as Icon from "./icons";

const COLOURS = 8;

interface Props {
  id: string;
  name: string;
  kind?: ConversationKind | undefined;
  status?: Status | undefined;
  size?: "small" | "large" | undefined;
}

export const Avatar = memo(function Avatar({ id, name, kind = "direct", status, size }: Props) {
  const Sign = kind === "channel" ? Icon.Hash : kind === "announcements" ? Icon.Horn : kind === "group" ? Icon.Group : null;
  return (
    <span className={`avatar ${size ?? ""} ${kind === "direct" ? "" : "square"}`} data-colour={colourOf(id, COLOURS)} aria-hidden="true">
      {Sign ? <Sign size={size === "small" ? 16 : size === "large" ? 36 : 20} /> : initials(name)}
      {status && status !== "offline" && <span className="status" data-status={status} title={t.people.presence[status]} />}
    </span>
  );
});
