// Where one writes: text with people to mention, emoji, files; what is answered or edited above it.
import type { Conversation, ConversationRow, MessageItem } from "hallway-client";
import { useCallback, useEffect, useId, useLayoutEffect, useRef, useState, type ClipboardEvent, type KeyboardEvent } from "react";
import { drafts, keepDraft } from "../chat/drafts";
import { features } from "../chat/server";
import { useSignal } from "../chat/signal";
import { mentionsIn } from "../format/rich";
import { t } from "../texts";
import { complain, useChat, useMedia } from "../ui/context";
import { EmojiPicker } from "../ui/EmojiPicker";
import * as Icon from "../ui/icons";
import { textFor } from "./Attachments";
import { FileChips } from "./FileChips";
import { applyMention, MentionList, useMentions } from "./mentions";
import type { Files } from "./useFiles";

export type Task = { kind: "reply" | "edit"; message: MessageItem } | null;

interface Props {
  conversation: Conversation;
  row: ConversationRow;
  title: string;
  task: Task;
  files: Files;
  onTask: (task: Task) => void;
}

const bytesOf = (text: string) => new TextEncoder().encode(text).length;

export function Composer({ conversation, row, title, task, files, onTask }: Props) {
  const chat = useChat();
  const { files: canAttach } = useSignal(features);
  const box = useRef<HTMLTextAreaElement>(null);
  const picker = useRef<HTMLInputElement>(null);
  const [text, setText] = useState(() => drafts.get().get(row.conversation) ?? "");
  const [emojiAt, setEmojiAt] = useState<DOMRect | null>(null);
  const picked = useRef(new Set<string>());
  const coarse = useMedia("(pointer: coarse)");
  const listId = useId();
  const mentions = useMentions(row, conversation, text, box);
  const editing = task?.kind === "edit" ? task.message : null;

  // What one edits comes into the box, and what was there comes back.
  const before = useRef("");
  useEffect(() => {
    if (editing) {
      before.current = text;
      setText(editing.text);
    }
    if (task) box.current?.focus();
    return () => {
      if (editing) setText(before.current);
    };
  }, [task]);
  useEffect(() => {
    if (!editing) keepDraft(row.conversation, text);
  }, [row.conversation, text, editing]);
  useLayoutEffect(() => {
    const element = box.current;
    if (!element) return;
    element.style.height = "auto";
    element.style.height = `${element.scrollHeight}px`;
  }, [text]);
  useEffect(() => {
    if (!coarse) box.current?.focus();
  }, [coarse, row.conversation]);

  const over = bytesOf(text) - (chat.client.limits?.text_bytes ?? 65_536);
  const ready = files.done.length > 0 || text.trim() !== "";
  const canSend = ready && over <= 0 && !files.busy;

  const finish = () => {
    onTask(null);
    setText("");
    picked.current.clear();
    box.current?.focus();
  };

  const send = () => {
    if (!canSend) return;
    if (editing) {
      const { seq } = editing;
      if (seq !== undefined && text.trim() !== editing.text) conversation.edit(seq, text.trim()).catch(complain);
      onTask(null);
      return;
    }
    const said = text.trim() || textFor(files.done.map(({ name }) => name));
    try {
      conversation.send({
        text: said,
        mentions: mentionsIn(said, picked.current),
        attachments: files.done.map(({ url }) => url),
        ...(task?.message.seq !== undefined && { replyTo: task.message.seq }),
      });
    } catch (error) {
      complain(error);
      return;
    }
    files.clear();
    finish();
  };

  const insert = useCallback((piece: string) => {
    const element = box.current;
    if (!element) return;
    element.focus();
    element.setRangeText(piece, element.selectionStart, element.selectionEnd, "end");
    setText(element.value);
  }, []);

  const mention = (user: string) => {
    picked.current.add(user);
    if (box.current) setText(applyMention(box.current, user));
    mentions.close();
  };

  const onKeyDown = (event: KeyboardEvent<HTMLTextAreaElement>) => {
    if (event.nativeEvent.isComposing) return;
    if (mentions.onKey(event, mention)) return;
    if (event.key === "Enter" && !event.shiftKey && !(coarse && !event.ctrlKey)) {
      event.preventDefault();
      send();
    } else if (event.key === "Escape" && task) {
      event.preventDefault();
      event.stopPropagation();
      onTask(null);
    } else if (event.key === "ArrowUp" && text === "" && !task) {
      const own = conversation.getSnapshot().items.findLast((item) => item.kind === "message" && item.own && !item.deleted && item.state === "sent");
      if (own?.kind !== "message") return;
      event.preventDefault();
      onTask({ kind: "edit", message: own });
    }
  };

  const onPaste = (event: ClipboardEvent) => {
    if (!canAttach || !event.clipboardData.files.length) return;
    event.preventDefault();
    files.add(event.clipboardData.files);
  };

  return (
    <form
      className="composer"
      onSubmit={(event) => {
        event.preventDefault();
        send();
      }}
    >
      {task && (
        <div className="task">
          {task.kind === "reply" ? <Icon.Reply size={18} /> : <Icon.Edit size={18} />}
          <span className="task-text">
            <b>{task.kind === "reply" ? t.composer.replying(task.message.name) : t.composer.editing}</b>
            <span dir="auto">{task.message.text}</span>
          </span>
          <button type="button" className="icon-button" aria-label={t.composer.cancel} onClick={() => onTask(null)}><Icon.Close size={18} /></button>
        </div>
      )}
      <FileChips files={files} />
      <MentionList id={listId} mentions={mentions} onPick={mention} />
      <div className="composer-line">
        <textarea
          ref={box} rows={1} dir="auto" value={text} enterKeyHint={coarse ? "enter" : "send"} autoComplete="off" spellCheck
          placeholder={t.composer.placeholder(title)} aria-label={t.composer.label(title)}
          aria-autocomplete="list" aria-controls={mentions.open ? listId : undefined} aria-activedescendant={mentions.open ? `${listId}-${mentions.at}` : undefined}
          onChange={({ target }) => {
            setText(target.value);
            mentions.look();
            if (!editing) conversation.typing(target.value !== "");
          }}
          onBlur={() => conversation.typing(false)}
          onSelect={mentions.look} onKeyDown={onKeyDown} onPaste={onPaste}
        />
        {canAttach && !editing && (
          <>
            <button type="button" className="icon-button" aria-label={t.composer.attach} title={t.composer.attach} onClick={() => picker.current?.click()}><Icon.Attach size={22} /></button>
            <input ref={picker} type="file" multiple hidden onChange={({ target }) => { if (target.files) files.add(target.files); target.value = ""; }} />
          </>
        )}
        <button type="button" className="icon-button" aria-label={t.composer.emoji} title={t.composer.emoji} onClick={({ currentTarget }) => setEmojiAt(currentTarget.getBoundingClientRect())}><Icon.Smile size={22} /></button>
        <button type="submit" className="send-button" aria-label={editing ? t.composer.save : t.composer.send} title={editing ? t.composer.save : t.composer.send} disabled={!canSend}>
          {editing ? <Icon.Check size={20} /> : <Icon.Send size={20} />}
        </button>
      </div>
      {over > 0 && <p className="over" role="alert">{t.composer.tooLong(over)}</p>}
      {emojiAt && <EmojiPicker at={emojiAt} onPick={insert} onClose={() => setEmojiAt(null)} />}
    </form>
  );
}

