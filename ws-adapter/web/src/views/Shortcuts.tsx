// What the keyboard can do.
import { t } from "../texts";
import { Dialog } from "../ui/Popup";

export function Shortcuts({ onClose }: { onClose: () => void }) {
  return (
    <Dialog label={t.shortcuts.title} onClose={onClose}>
      <dl className="shortcuts">
        {t.shortcuts.rows.map(([keys, what]) => (
          <div key={keys}><dt><kbd>{keys}</kbd></dt><dd>{what}</dd></div>
        ))}
      </dl>
    </Dialog>
  );
}
