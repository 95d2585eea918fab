// A page with nothing on it yet: what will be there, and what to do for it.
import type { ReactNode } from "react";

export function Empty({ sign, title, text, children }: { sign: ReactNode; title: string; text: string; children?: ReactNode }) {
  return (
    <div className="nothing-yet" role="status">
      {sign}
      <h2>{title}</h2>
      <p>{text}</p>
      {children && <div className="buttons">{children}</div>}
    </div>
  );
}
