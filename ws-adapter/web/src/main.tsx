// Where it begins. In order: App.tsx (what is where), chat/chat.ts (what is known), views/ConversationView.tsx and views/MessageList.tsx.
import { createRoot } from "react-dom/client";
import { App } from "./App";
import "./style/main.css";
import { show, theme } from "./ui/theme";
import { watchInstall } from "./views/install";

show(theme.get());
watchInstall();
const place = document.getElementById("app");
if (place) createRoot(place).render(<App />);
// Only on https and loopback; without it the app is not there offline.
if ("serviceWorker" in navigator && import.meta.env.PROD) navigator.serviceWorker.register("/sw.js").catch(() => undefined);
