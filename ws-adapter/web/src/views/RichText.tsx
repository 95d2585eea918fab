// A message's text with its links, names and code. None of it is a stop of the Tab key: a message is one, and its menu has its links.
import { memo, useMemo, useState } from "react";
import { isEmojiOnly, pieces } from "../format/rich";
import { t } from "../texts";
import { useMe, usePerson } from "../ui/context";
import { to } from "../ui/route";

/** Longer texts are folded. */
const FOLD_CHARS = 2000;
const FOLD_LINES = 30;

interface Props {
  text: string;
  mentions: readonly string[];
}

export const RichText = memo(function RichText({ text, mentions }: Props) {
  const [unfolded, unfold] = useState(false);
  const short = useMemo(() => folded(text), [text]);
  const shown = unfolded ? text : short;
  const parts = useMemo(() => pieces(shown, mentions), [shown, mentions]);
  return (
    <div className={isEmojiOnly(text) ? "text large" : "text"} dir="auto">
      {parts.map((piece, at) => {
        if (piece.kind === "link") return <a key={at} href={piece.href} tabIndex={-1} target="_blank" rel="noopener noreferrer nofollow">{piece.text}</a>;
        if (piece.kind === "mention") return <Mention key={at} user={piece.user} />;
        if (piece.kind === "code") return <code key={at} dir="ltr">{piece.text}</code>;
        if (piece.kind === "block") return <pre key={at} dir="ltr" tabIndex={-1}>{piece.text}</pre>;
        return piece.text;
      })}
      {shown !== text && <> … <button className="link" onClick={() => unfold(true)}>{t.message.showMore}</button></>}
    </div>
  );
});

function folded(text: string): string {
  const lines = text.split("\n", FOLD_LINES + 1);
  const short = lines.length > FOLD_LINES ? lines.slice(0, FOLD_LINES).join("\n") : text;
  return short.length > FOLD_CHARS ? [...short].slice(0, FOLD_CHARS).join("") : short;
}

function Mention({ user }: { user: string }) {
  const me = useMe();
  const person = usePerson(user === "*" ? undefined : user);
  if (user === "*") return <span className="mention me">@{t.composer.everyone}</span>;
  return <a className={user === me.user ? "mention me" : "mention"} href={to.person(user)} tabIndex={-1}>@{person?.name ?? user}</a>;
}
