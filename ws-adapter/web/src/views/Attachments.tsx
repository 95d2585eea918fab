// What hangs on a message: images are shown, all else is for download. Only what this server keeps is ever loaded by itself.
import type { Attachment } from "hallway-client";
import { useState } from "react";
import { sizeOf } from "../format/names";
import { t } from "../texts";
import * as Icon from "../ui/icons";
import { Popup } from "../ui/Popup";

const IMAGE = /^image\/(?:png|jpeg|gif|webp|avif)$/;
const MOST_WIDTH = 320;
const MOST_HEIGHT = 300;

const isOurs = ({ href }: Attachment) => href.startsWith(`${location.origin}/files/`);

/** Clients that know no attachments show the text, so it is never empty: then it is the files' names, which are not said twice. */
export const textFor = (names: readonly string[]): string => names.join(", ");
export const isNameOnly = (text: string, files: readonly Attachment[]): boolean =>
  files.length > 0 && (text === "" || text === textFor(files.map(({ name }) => name)));

export function Attachments({ files }: { files: readonly Attachment[] }) {
  const [open, setOpen] = useState<Attachment | null>(null);
  return (
    <div className="attachments">
      {files.map((file) => {
        const { url } = file;
        if (!file.href) return <span key={url} className="file" dir="auto">{url}</span>;
        if (isOurs(file) && IMAGE.test(file.type ?? "")) return <Picture key={url} file={file} onOpen={() => setOpen(file)} />;
        return (
          <a key={url} className="file" tabIndex={-1} href={file.href} download={isOurs(file) ? file.name : undefined} target="_blank" rel="noopener noreferrer nofollow">
            <Icon.File size={22} />
            {isOurs(file) && <span className="hidden">{t.message.download} </span>}
            <span className="file-name" dir="auto">{isOurs(file) ? file.name : file.href}</span>
            {file.bytes !== undefined && <span className="faint">{sizeOf(file.bytes)}</span>}
          </a>
        );
      })}
      {open && (
        <Popup label={open.name} className="picture-view" onClose={() => setOpen(null)}>
          <button className="icon-button picture-close" aria-label={t.common.close} onClick={() => setOpen(null)}><Icon.Close /></button>
          <img src={open.href} alt={open.name} />
          <a className="button" href={open.href} download={open.name}>{t.message.file(open.name)}</a>
        </Popup>
      )}
    </div>
  );
}

/** Has its room before it is loaded. */
function Picture({ file, onOpen }: { file: Attachment; onOpen: () => void }) {
  const [width, height] = [file.width ?? MOST_WIDTH, file.height ?? MOST_HEIGHT];
  const scale = Math.min(1, MOST_WIDTH / width, MOST_HEIGHT / height);
  return (
    <button className="picture" tabIndex={-1} onClick={onOpen} aria-label={t.message.image(file.name)}>
      <img src={file.href} alt="" width={Math.round(width * scale)} height={Math.round(height * scale)} loading="lazy" decoding="async" />
    </button>
  );
}
