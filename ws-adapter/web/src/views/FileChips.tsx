// The files of the next message, and how far they are.
import { t } from "../texts";
import * as Icon from "../ui/icons";
import type { Files } from "./useFiles";

export function FileChips({ files }: { files: Files }) {
  if (!files.all.length) return null;
  return (
    <ul className="file-chips">
      {files.all.map(({ id, name, preview, part, url }) => (
        <li key={id} className="file-chip">
          {preview ? <img src={preview} alt="" /> : <Icon.File size={22} />}
          <span className="file-name" dir="auto">{name}</span>
          {!url && <progress value={part} aria-label={`${t.composer.uploading} ${name}`} />}
          <button type="button" className="icon-button" aria-label={t.composer.removeFile(name)} onClick={() => files.remove(id)}><Icon.Close size={16} /></button>
        </li>
      ))}
    </ul>
  );
}
