// A QR code, dark on white whatever the theme: scanners need the contrast, and the quiet zone around it (ISO/IEC 18004 §6.3.8: four modules).
import encodeQR from "qr";
import { useMemo } from "react";

const QUIET_MODULES = 4;

export function Qr({ text, label }: { text: string; label: string }) {
  const { side, path } = useMemo(() => drawn(text), [text]);
  return (
    <svg className="qr" viewBox={`0 0 ${side} ${side}`} role="img" aria-label={label} shapeRendering="crispEdges">
      <rect width="100%" height="100%" fill="#fff" />
      <path d={path} fill="#000" />
    </svg>
  );
}

/** One stroke per run of dark modules. */
function drawn(text: string): { side: number; path: string } {
  const rows = encodeQR(text, "raw", { ecc: "medium", border: QUIET_MODULES });
  const path = rows.flatMap((row, y) => {
    const runs: string[] = [];
    for (let x = 0; x < row.length; x += 1) {
      if (!row[x]) continue;
      const from = x;
      while (row[x + 1]) x += 1;
      runs.push(`M${from} ${y}h${x + 1 - from}v1H${from}z`);
    }
    return runs;
  });
  return { side: rows.length, path: path.join("") };
}
