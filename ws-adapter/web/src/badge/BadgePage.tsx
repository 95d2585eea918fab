// What has to do with badges: loaded as one piece, when it is first needed.
import { t } from "../texts";
import * as Icon from "../ui/icons";
import { to, type Page } from "../ui/route";
import { ContactsPage } from "./Contacts";
import { DeskPage } from "./Desk";
import { LeadsPage } from "./Leads";
import { MyBadge } from "./MyBadge";
import { ScanPage } from "./Scan";
import "./badge.css";

const PAGES = { badge: MyBadge, scan: ScanPage, contacts: ContactsPage, leads: LeadsPage, desk: DeskPage };

export default function BadgePage({ page }: { page: Page }) {
  const Body = PAGES[page];
  return (
    <section className="page badge-page" aria-label={t.badge.pages[page]}>
      <header className="page-head">
        <a className="icon-button" href={to.you} aria-label={t.badge.back} title={t.badge.back}><Icon.Back /></a>
        <h1>{t.badge.pages[page]}</h1>
        {page === "badge" && <a className="button" href={to.page("scan")}><Icon.Camera size={18} />{t.badge.pages.scan}</a>}
        {page === "scan" && <a className="button" href={to.page("badge")}><Icon.Code size={18} />{t.badge.pages.badge}</a>}
      </header>
      <Body />
    </section>
  );
}
