// The icons: one stroke width, one grid of 24, drawn in the text's colour.
import type { ReactNode } from "react";

const icon = (paths: ReactNode) =>
  function Icon({ size = 20 }: { size?: number }) {
    return (
      <svg className="icon" width={size} height={size} viewBox="0 0 24 24" fill="none" stroke="currentColor" strokeWidth="1.75"
        strokeLinecap="round" strokeLinejoin="round" aria-hidden="true" focusable="false">
        {paths}
      </svg>
    );
  };

export const Chats = icon(<path d="M5 5h14a2 2 0 0 1 2 2v8a2 2 0 0 1-2 2h-7l-5 4v-4H5a2 2 0 0 1-2-2V7a2 2 0 0 1 2-2z" />);
export const People = icon(<><circle cx="9" cy="8" r="3.5" /><path d="M2.5 20c0-3.6 2.9-6 6.5-6s6.5 2.4 6.5 6M15.5 4.9a3.5 3.5 0 0 1 0 6.3M17.5 14.4c2.4.7 4 2.8 4 5.6" /></>);
export const Search = icon(<><circle cx="11" cy="11" r="6.5" /><path d="m20 20-4.3-4.3" /></>);
export const Person = icon(<><circle cx="12" cy="8" r="4" /><path d="M4.5 20.5c.6-4 3.6-6.5 7.5-6.5s6.9 2.5 7.5 6.5" /></>);
export const Plus = icon(<path d="M12 5v14M5 12h14" />);
export const Back = icon(<path d="M15 5l-7 7 7 7" />);
export const Close = icon(<path d="M6 6l12 12M18 6 6 18" />);
export const Info = icon(<><circle cx="12" cy="12" r="9" /><path d="M12 11v5.5M12 7.7v.1" /></>);
export const Send = icon(<path d="M4 12 20.5 4.5 15 20.5l-3.5-6.5L4 12zM11.5 14l9-9.5" />);
export const Attach = icon(<path d="M20 11.5l-8.3 8.3a5.2 5.2 0 0 1-7.4-7.4l8.6-8.6a3.5 3.5 0 0 1 5 5l-8.5 8.5a1.7 1.7 0 0 1-2.5-2.5l7.7-7.7" />);
export const Smile = icon(<><circle cx="12" cy="12" r="9" /><path d="M8.3 14.2c.8 1.3 2.1 2.1 3.7 2.1s2.9-.8 3.7-2.1M9 9.5v.1M15 9.5v.1" /></>);
export const Reply = icon(<path d="M9.5 6 4 11.5 9.5 17M4.5 11.5H14a6 6 0 0 1 6 6V19" />);
export const Edit = icon(<path d="M4 20l1-4.5L16.5 4l3.5 3.5L8.5 19 4 20zM14 6.5 17.5 10" />);
export const Trash = icon(<path d="M4.5 7h15M9.5 7V4.5h5V7M6.5 7l1 13h9l1-13M10.5 11v5.5M13.5 11v5.5" />);
export const Copy = icon(<><rect x="8.5" y="8.5" width="11.5" height="11.5" rx="2" /><path d="M15.5 8.5V6a2 2 0 0 0-2-2H6a2 2 0 0 0-2 2v7.5a2 2 0 0 0 2 2h2.5" /></>);
export const More = icon(<path d="M5.5 12h.1M12 12h.1M18.5 12h.1" strokeWidth="2.750" />);
export const Down = icon(<path d="M12 5v13M6 12.5l6 6 6-6" />);
export const Check = icon(<path d="M5 12.5l4.5 4.5L19 7.5" />);
export const Checks = icon(<path d="M2.5 12.5 7 17l9-9.5M12.5 16.5l.5.5 9-9.5" />);
export const Clock = icon(<><circle cx="12" cy="12" r="8.5" /><path d="M12 7.5V12l3 2" /></>);
export const Alert = icon(<><path d="M12 4 2.8 19.5h18.4L12 4z" /><path d="M12 10v4.5M12 17.2v.1" /></>);
export const Hash = icon(<path d="M9.5 4 7.5 20M16.5 4l-2 16M4.5 9h16M3.5 15h16" />);
export const Horn = icon(<path d="M4 10v4h3.5L17 18.5v-13L7.5 10H4zM8 14l1.5 5.5h2.3L10.7 15.5M20 10v4" />);
export const Group = icon(<><circle cx="12" cy="8" r="3" /><circle cx="5" cy="10" r="2" /><circle cx="19" cy="10" r="2" /><path d="M6.5 19c0-3 2.4-5 5.5-5s5.5 2 5.5 5M2 17c0-1.9 1.1-3.2 2.9-3.5M22 17c0-1.9-1.1-3.2-2.9-3.5" /></>);
export const File = icon(<path d="M13.5 3.5H7a2 2 0 0 0-2 2v13a2 2 0 0 0 2 2h10a2 2 0 0 0 2-2V9l-5.5-5.5zM13.5 3.5V9H19" />);
export const Sun = icon(<><circle cx="12" cy="12" r="4" /><path d="M12 3v1.5M12 19.5V21M3 12h1.5M19.5 12H21M5.6 5.6l1.1 1.1M17.3 17.3l1.1 1.1M5.6 18.4l1.1-1.1M17.3 6.7l1.1-1.1" /></>);
export const Moon = icon(<path d="M20 14.5A8.5 8.5 0 0 1 9.5 4a8.5 8.5 0 1 0 10.5 10.5z" />);
export const Screen = icon(<><rect x="3" y="4.5" width="18" height="12" rx="2" /><path d="M9 20.5h6M12 16.5v4" /></>);
export const Door = icon(<path d="M14 4.5H6.5a1.5 1.5 0 0 0-1.5 1.5v12a1.5 1.5 0 0 0 1.5 1.5H14M10.5 12H21M17.5 8.5 21 12l-3.5 3.5" />);
export const Eye = icon(<><path d="M2.5 12c2.2-4.2 5.5-6.3 9.5-6.3s7.3 2.1 9.5 6.3c-2.2 4.2-5.5 6.3-9.5 6.3S4.7 16.2 2.5 12z" /><circle cx="12" cy="12" r="3" /></>);
export const Keyboard = icon(<><rect x="2.5" y="6" width="19" height="12" rx="2" /><path d="M6.5 10h.1M10.2 10h.1M13.8 10h.1M17.5 10h.1M8 14.3h8" /></>);
export const Link = icon(<path d="M10 14a4.5 4.5 0 0 0 6.4 0l3.3-3.3a4.5 4.5 0 0 0-6.4-6.4L12 5.6M14 10a4.5 4.5 0 0 0-6.4 0l-3.3 3.3a4.5 4.5 0 0 0 6.4 6.4l1.3-1.3" />);
export const Bell = icon(<path d="M6 16.5V11a6 6 0 0 1 12 0v5.5l1.5 2h-15l1.5-2zM10 21h4" />);
export const BellOff = icon(<path d="M8.2 6.4A6 6 0 0 1 18 11v4M6 9.5V16.5l-1.5 2H17M10 21h4M3.5 3.5l17 17" />);
export const Code = icon(<path d="M4 4h6v6H4zM14 4h6v6h-6zM4 14h6v6H4zM14 14h2.5v2.5H14zM18 18h2v2M20 14v1M14 20h1" />);
export const Camera = icon(<><path d="M4 8V5.5A1.5 1.5 0 0 1 5.5 4H8M16 4h2.5A1.5 1.5 0 0 1 20 5.5V8M20 16v2.5a1.5 1.5 0 0 1-1.5 1.5H16M8 20H5.5A1.5 1.5 0 0 1 4 18.5V16" /><path d="M4 12h16" /></>);
export const Torch = icon(<path d="M7 3h10v3.5l-2.5 3.5V21h-5V10L7 6.5V3zM7 6.5h10M12 13v2" />);
export const Flip = icon(<path d="M4 11a8 8 0 0 1 14-4l2 2M20 4v5h-5M20 13a8 8 0 0 1-14 4l-2-2M4 20v-5h5" />);
export const Handshake = icon(<><circle cx="7" cy="7.5" r="3" /><circle cx="17" cy="7.5" r="3" /><path d="M2.5 19c0-3 1.8-5 4.5-5s3.5 1.5 5 1.5 2.3-1.5 5-1.5 4.5 2 4.5 5" /></>);
export const List = icon(<path d="M9 6h11.5M9 12h11.5M9 18h11.5M4 6h.1M4 12h.1M4 18h.1" />);
export const Desk = icon(<path d="M3 10h18M5 10v10M19 10v10M8.5 10V5.5h7V10M9 14.5l2 2 4-3.5" />);
export const Star = ({ size = 22, full }: { size?: number; full: boolean }) => (
  <svg className="icon" width={size} height={size} viewBox="0 0 24 24" fill={full ? "currentColor" : "none"} stroke="currentColor" strokeWidth="1.75" strokeLinejoin="round" aria-hidden="true" focusable="false">
    <path d="m12 3.5 2.6 5.400 5.900.8-4.300 4.100 1 5.900-5.200-2.8-5.200 2.8 1-5.900L3.5 9.700l5.900-.8L12 3.5z" />
  </svg>
);
export const Logo = ({ size = 32 }: { size?: number }) => (
  <svg width={size} height={size} viewBox="0 0 512 512" aria-hidden="true" focusable="false">
    <rect width="512" height="512" rx="116" className="logo-ground" />
    <path d="M136 372V196a120 120 0 0 1 240 0v176" fill="none" className="logo-line" strokeWidth="36" strokeLinecap="round" />
    <path d="M210 212h92a30 30 0 0 1 30 30v42a30 30 0 0 1-30 30h-38l-42 40v-40h-12a30 30 0 0 1-30-30v-42a30 30 0 0 1 30-30z" className="logo-fill" />
  </svg>
);
