// The app: signing in, or the three panes (where one is, a list, what is open) around the chat.
import { Component, lazy, Suspense, useEffect, useMemo, useState, type ReactNode } from "react";
import { account, fromFragment, offer } from "./chat/account";
import { Chat } from "./chat/chat";
import { learnAbout, learnFeatures } from "./chat/server";
import { useSignal, useStore } from "./chat/signal";
import { directWith, titleOf } from "./format/names";
import { t } from "./texts";
import { Avatar } from "./ui/Avatar";
import { ChatProvider, NARROW, say, Toaster, useChat, useDirectory, useMe, useMedia } from "./ui/context";
import * as Icon from "./ui/icons";
import { go, to, useRoute, type Area, type Page, type Route } from "./ui/route";
import { Banner } from "./views/Banner";
import { ChatsPane, inOrder } from "./views/ChatsPane";
import { ConversationPlace } from "./views/ConversationView";
import { Jump } from "./views/Jump";
import { useKeys } from "./views/keys";
import { Offered } from "./views/Offered";
import { PeoplePane } from "./views/PeoplePane";
import { PersonView } from "./views/Person";
import { SearchPane } from "./views/SearchPane";
import { Shortcuts } from "./views/Shortcuts";
import { SignIn } from "./views/SignIn";
import { You } from "./views/You";

/** What has to do with badges is loaded when somebody goes there. */
const BadgePage = lazy(() => import("./badge/BadgePage"));

export function App() {
  const signedIn = useSignal(account);
  const offered = useSignal(offer);
  const [brought, setBrought] = useState(fromFragment);
  const [unreachable, setUnreachable] = useState(false);
  useEffect(() => void learnAbout(() => setUnreachable(true)), []);
  // A link that is followed where the app is open already loads no page.
  useEffect(() => {
    const look = () => {
      const found = fromFragment();
      if (found.invite) setBrought(found);
    };
    addEventListener("hashchange", look);
    return () => removeEventListener("hashchange", look);
  }, []);
  return (
    <Fallback>
      {signedIn ? <SignedIn key={signedIn.token} /> : <SignIn key={brought.invite} invite={brought.invite} conference={brought.conference} unreachable={unreachable} />}
      {offered && <Offered key={offered.token} offered={offered} />}
      <Toaster />
    </Fallback>
  );
}

function SignedIn() {
  const [chat, setChat] = useState<Chat | null>(null);
  useEffect(() => {
    const signedIn = account.get();
    if (!signedIn) return;
    const made = new Chat(signedIn);
    setChat(made);
    learnFeatures().catch(() => undefined);
    // After an update of the server there may be more.
    const off = made.client.on("synced", () => void learnFeatures().catch(() => undefined));
    return () => {
      off();
      made.close();
    };
  }, []);
  return chat && <ChatProvider value={chat}><Main /></ChatProvider>;
}

function Main() {
  const { client } = useChat();
  const route = useRoute();
  const me = useMe();
  const known = useDirectory();
  const narrow = useMedia(NARROW);
  const { rows, unread } = useStore(client.conversations);
  const [over, setOver] = useState<"jump" | "shortcuts" | null>(null);
  const ordered = useMemo(() => inOrder(rows), [rows]);
  useKeys({ rows: ordered, open: route.conversation, jump: () => setOver("jump"), shortcuts: () => setOver("shortcuts") });
  const row = rows.find(({ conversation }) => conversation === route.conversation);
  const title = row ? titleOf(row, me.user, known) : route.page ? t.badge.pages[route.page] : t.nav[route.area];
  useMeetings(route.page);
  useEffect(() => {
    document.title = `${unread ? `(${unread}) ` : ""}${title} – ${t.app}`;
    if (unread) navigator.setAppBadge?.(unread).catch(() => undefined);
    else navigator.clearAppBadge?.().catch(() => undefined);
  }, [unread, title]);

  const inside = route.conversation !== undefined || route.person !== undefined || route.area === "you";
  const showsPane = route.area !== "you" && !(narrow && inside);
  const showsMain = !narrow || inside;
  const Pane = showsMain ? "section" : "main";
  return (
    <div className={`app ${narrow && inside && route.area !== "you" ? "inside" : ""}`}>
      <a className="skip" href="#main" onClick={(event) => (event.preventDefault(), document.querySelector<HTMLElement>(".messages, main")?.focus())}>{t.common.skip}</a>
      <Rail area={route.area} unread={unread} />
      <Banner />
      {showsPane && (
        <Pane className="pane" {...(!showsMain && { id: "main", tabIndex: -1 })} aria-label={t.nav[route.area]}>
          {route.area === "chats" && <ChatsPane open={route.conversation} />}
          {route.area === "people" && <PeoplePane open={route.person} />}
          {route.area === "search" && <SearchPane key={route.within ?? ""} route={route} />}
        </Pane>
      )}
      {showsMain && <main id="main" tabIndex={-1} className={route.area === "you" ? "wide" : ""}><Open route={route} onShortcuts={() => setOver("shortcuts")} /></main>}
      <Heard />
      {over === "jump" && <Jump onClose={() => setOver(null)} />}
      {over === "shortcuts" && <Shortcuts onClose={() => setOver(null)} />}
    </div>
  );
}

function Open({ route, onShortcuts }: { route: Route; onShortcuts: () => void }) {
  if (route.page) return <Suspense fallback={<div className="empty-state" role="status"><span className="spinner" />{t.common.loading}</div>}><BadgePage page={route.page} /></Suspense>;
  if (route.area === "you") return <You onShortcuts={onShortcuts} />;
  if (route.conversation !== undefined) {
    return <ConversationPlace id={route.conversation} at={route.at} back={route.area === "search" ? to.search(route.query, route.within) : to.chats} />;
  }
  if (route.person !== undefined) return <PersonView user={route.person} />;
  const [title, text] = t.conversation.none[route.area];
  return (
    <div className="empty-state">
      <Icon.Logo size={64} />
      <h2>{title}</h2>
      <p>{text}</p>
      <p className="faint">{t.conversation.keys}</p>
    </div>
  );
}

/** Whoever is met while one is about to meet people: their chat opens. Elsewhere it is said. */
function useMeetings(page: Page | undefined): void {
  const chat = useChat();
  const me = useMe();
  const met = useSignal(chat.acquaintances.met);
  const asking = useSignal(chat.acquaintances.asking);
  useEffect(() => {
    if (!met) return;
    chat.acquaintances.met.set(null);
    say(t.contacts.nowMet(met.name));
    if (page === "badge" || page === "scan" || page === "contacts") go(to.conversation(directWith(met.user, me.user)));
  }, [chat, met, me.user, page]);
  useEffect(() => {
    if (!asking) return;
    chat.acquaintances.asking.set(null);
    say(t.contacts.asks(asking.name));
  }, [chat, asking]);
}

function Rail({ area, unread }: { area: Area; unread: number }) {
  const me = useMe();
  const asks = useSignal(useChat().acquaintances.list)?.filter(({ state }) => state === "was_asked").length ?? 0;
  const places: [Area, string, ReactNode][] = [
    ["chats", to.chats, <Icon.Chats key="i" size={24} />],
    ["people", to.people, <Icon.People key="i" size={24} />],
    ["search", to.search(), <Icon.Search key="i" size={24} />],
    ["you", to.you, <Avatar key="i" id={me.user} name={me.name || "?"} size="small" />],
  ];
  return (
    <nav className="rail" aria-label={t.nav.label}>
      <span className="rail-logo"><Icon.Logo size={36} /></span>
      {places.map(([name, href, sign]) => (
        <a key={name} href={href} className={`rail-${name}`} aria-current={area === name ? "page" : undefined}>
          <span className="rail-sign">
            {sign}
            {name === "chats" && unread > 0 && <span className="badge"><span aria-hidden="true">{unread > 99 ? "99+" : unread}</span><span className="hidden">{t.chats.unread(unread)}</span></span>}
            {name === "you" && asks > 0 && <span className="badge"><span aria-hidden="true">{asks}</span><span className="hidden">{t.contacts.requests(asks)}</span></span>}
          </span>
          <span className="rail-label">{t.nav[name]}</span>
        </a>
      ))}
    </nav>
  );
}

/** Reads to screen readers what others write where one looks. */
function Heard() {
  const heard = useSignal(useChat().heard);
  return <div className="hidden" role="log" aria-live="polite">{heard.map(({ id, name, text }) => <p key={id}>{t.conversation.announced(name, text)}</p>)}</div>;
}

/** An error of the app itself is said, not a white page. */
class Fallback extends Component<{ children: ReactNode }, { failed: boolean }> {
  override state = { failed: false };
  static getDerivedStateFromError() {
    return { failed: true };
  }
  override render() {
    if (!this.state.failed) return this.props.children;
    return (
      <main className="empty-state" role="alert">
        <p>{t.common.broken}</p>
        <button className="button primary" onClick={() => location.reload()}>{t.common.reload}</button>
      </main>
    );
  }
}
