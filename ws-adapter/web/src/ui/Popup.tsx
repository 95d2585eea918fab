// What lies over the rest: dialogs in the middle, menus at what opened them; on a phone a sheet from below. The browser's own
// modal dialog keeps the focus in, closes on Escape and gives the focus back.
import { useEffect, useLayoutEffect, useRef, type KeyboardEvent, type ReactNode } from "react";
import { t } from "../texts";
import * as Icon from "./icons";
import { roving } from "./roving";

interface PopupProps {
  label: string;
  /** Where it opens; in the middle without. */
  at?: DOMRect | undefined;
  className?: string;
  onClose: () => void;
  children: ReactNode;
}

const GAP = 6;

export function Popup({ label, at, className = "", onClose, children }: PopupProps) {
  const dialog = useRef<HTMLDialogElement>(null);
  useLayoutEffect(() => {
    const element = dialog.current;
    if (!element) return;
    element.showModal();
    element.querySelector<HTMLElement>("[data-focus]")?.focus();
    if (at && matchMedia("(min-width: 46.01rem)").matches) place(element, at);
    return () => element.close();
  }, [at]);
  return (
    <dialog
      ref={dialog}
      className={`popup ${at ? "anchored" : "centred"} ${className}`}
      aria-label={label}
      onCancel={(event) => {
        event.preventDefault();
        onClose();
      }}
      onPointerDown={(event) => event.target === dialog.current && outside(dialog.current, event.clientX, event.clientY) && onClose()}
      onKeyDown={(event) => event.stopPropagation()}
    >
      {children}
    </dialog>
  );
}

function outside(element: HTMLElement, x: number, y: number): boolean {
  const { left, right, top, bottom } = element.getBoundingClientRect();
  return x < left || x > right || y < top || y > bottom;
}

/** Below what opened it, or above when there is more room; within the screen. */
function place(element: HTMLElement, at: DOMRect): void {
  const { width, height } = element.getBoundingClientRect();
  const below = at.bottom + GAP + height <= innerHeight - GAP;
  const top = below ? at.bottom + GAP : Math.max(GAP, at.top - GAP - height);
  const left = Math.max(GAP, Math.min(at.left, innerWidth - width - GAP));
  Object.assign(element.style, { top: `${Math.min(top, innerHeight - height - GAP)}px`, left: `${left}px`, margin: "0" });
}

interface DialogProps extends PopupProps {
  /** Not shown, only said, when the content has a heading of its own. */
  bare?: boolean;
}

export function Dialog({ label, bare, children, ...rest }: DialogProps) {
  return (
    <Popup label={label} {...rest}>
      {!bare && (
        <header className="popup-head">
          <h2>{label}</h2>
          <button className="icon-button" aria-label={t.common.close} onClick={rest.onClose}><Icon.Close /></button>
        </header>
      )}
      {children}
    </Popup>
  );
}

export interface MenuItem {
  label: string;
  icon?: ReactNode;
  bad?: boolean;
  act: () => void;
}

export function Menu({ label, at, items, before, onClose }: Omit<PopupProps, "children"> & { items: MenuItem[]; before?: ReactNode }) {
  const list = useRef<HTMLDivElement>(null);
  useEffect(() => list.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus(), []);
  const onKeyDown = (event: KeyboardEvent) => roving(event, list.current, "[role=menuitem]");
  return (
    <Popup label={label} at={at} className="menu" onClose={onClose}>
      {before}
      <div role="menu" aria-label={label} ref={list} onKeyDown={onKeyDown}>
        {items.map(({ label: text, icon, bad, act }) => (
          <button key={text} role="menuitem" tabIndex={-1} className={bad ? "menu-item bad" : "menu-item"} onClick={() => (onClose(), act())}>
            {icon}
            {text}
          </button>
        ))}
      </div>
    </Popup>
  );
}

interface ConfirmProps {
  text: string;
  yes: string;
  onYes: () => void;
  onClose: () => void;
}

export function Confirm({ text, yes, onYes, onClose }: ConfirmProps) {
  return (
    <Popup label={text} className="confirm" onClose={onClose}>
      <p>{text}</p>
      <div className="buttons">
        <button className="button" data-focus onClick={onClose}>{t.common.cancel}</button>
        <button className="button bad" onClick={() => (onClose(), onYes())}>{yes}</button>
      </div>
    </Popup>
  );
}
