//! Carries a sheet out: each row becomes the account that has its ticket already, or one whose uid is made of the name.

use std::collections::{HashMap, HashSet};
use std::sync::Arc;

use tokio::sync::oneshot;

use super::{BadRow, Format, Row, Sheet};
use crate::accounts::names::is_reserved;
use crate::accounts::subjects::slug;
use crate::command::{Action, Actor, Command, Outcome};
use crate::hub::Hub;
use crate::ids::{ConfNo, Uid};
use crate::model::{Attendee, GivenBadge, Imported};
use crate::queue::ReplyTo;
use crate::reader::Reader;
use crate::reject::{Reason, Reject};
use crate::session::blocking;
use crate::state::StateError;

/// Rows that are looked up, and then stored, together.
const STEP: usize = 128;
/// How often a row is looked at again whose uid or badge somebody else got in between.
const TRIES: usize = 3;
/// Uids of the same name that are tried.
const MAX_NAMESAKES: u32 = 10_000;

/// What an import did, or would do.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Done {
    /// Whose export it was.
    pub format: Format,
    /// Rows in all.
    pub rows: usize,
    /// Accounts that were made.
    pub added: usize,
    /// People whose data or badges were brought up to date.
    pub changed: usize,
    /// People of whom all was known.
    pub unchanged: usize,
    /// Rows that were left out, in the file's order.
    pub bad: Vec<BadRow>,
}

/// Carries a sheet out, or says what that would do.
///
/// # Errors
/// What stands in the way of all rows; those that were carried out before stay so, and are known at the next try.
pub async fn import(hub: &Arc<Hub>, conf: ConfNo, actor: &Actor, sheet: Sheet, is_dry_run: bool) -> Result<Done, Reject> {
    let Sheet { format, read, rows, bad } = sheet;
    let mut import = Import {
        hub,
        conf,
        actor,
        is_dry_run,
        planner: Planner::default(),
        done: Done { format, rows: read, added: 0, changed: 0, unchanged: 0, bad },
    };
    let mut rows = rows.into_iter();
    loop {
        let step: Vec<Row> = rows.by_ref().take(STEP).collect();
        if step.is_empty() {
            break;
        }
        import.step(step).await?;
    }
    import.done.bad.sort_by_key(|bad| bad.row);
    Ok(import.done)
}

struct Import<'a> {
    hub: &'a Arc<Hub>,
    conf: ConfNo,
    actor: &'a Actor,
    is_dry_run: bool,
    planner: Planner,
    done: Done,
}

impl Import<'_> {
    async fn step(&mut self, mut rows: Vec<Row>) -> Result<(), Reject> {
        for _ in 0..TRIES {
            let planned = self.plan(rows).await?;
            rows = if self.is_dry_run { self.count(planned) } else { self.carry_out(planned).await? };
            if rows.is_empty() {
                return Ok(());
            }
        }
        let changing = "the account or the badge is being changed by somebody else: import again";
        self.done.bad.extend(rows.iter().map(|row| BadRow::whole(row.line, changing)));
        Ok(())
    }

    async fn plan(&mut self, rows: Vec<Row>) -> Result<Vec<(Row, Plan)>, Reject> {
        let (reader, conf, mut planner) = (self.hub.reader().clone(), self.conf, std::mem::take(&mut self.planner));
        let (planner, planned) = blocking(move || {
            let plan = |row: Row| planner.plan(&reader, conf, &row).map(|plan| (row, plan));
            let planned = rows.into_iter().map(plan).collect::<Result<Vec<_>, StateError>>()?;
            Ok((planner, planned))
        })
        .await?;
        self.planner = planner;
        Ok(planned)
    }

    /// What would come of it.
    fn count(&mut self, planned: Vec<(Row, Plan)>) -> Vec<Row> {
        for (_, plan) in planned {
            match plan {
                Plan::Bad(bad) => self.done.bad.push(bad),
                Plan::Same => self.done.unchanged += 1,
                Plan::Put { is_new: true, .. } => self.done.added += 1,
                Plan::Put { .. } => self.done.changed += 1,
            }
        }
        Vec::new()
    }

    /// Stores them, and gives those back that are to be looked at again.
    async fn carry_out(&mut self, planned: Vec<(Row, Plan)>) -> Result<Vec<Row>, Reject> {
        let (mut submissions, mut waiting) = (Vec::new(), Vec::new());
        for (row, plan) in planned {
            match plan {
                Plan::Bad(bad) => self.done.bad.push(bad),
                Plan::Same => self.done.unchanged += 1,
                Plan::Put { uid, attendee, badges, takes_account, .. } => {
                    let (reply, answer) = oneshot::channel();
                    let action = Action::ImportAttendee { uid, name: row.name.clone(), attendee, badges, takes_account };
                    let command = Command { conf: self.conf, actor: self.actor.clone(), at_ms: 0, action };
                    submissions.push(self.hub.submission(command, ReplyTo::Caller(reply)));
                    waiting.push((row, answer));
                }
            }
        }
        if !submissions.is_empty() {
            self.hub.writable()?;
            self.hub.queue().submit(submissions).await;
        }
        let mut again = Vec::new();
        for (row, answer) in waiting {
            match answer.await.unwrap_or(Err(Reason::Draining.into())) {
                Ok(Outcome::Imported { change: Imported::Added, .. }) => self.done.added += 1,
                Ok(Outcome::Imported { change: Imported::Changed, .. }) => self.done.changed += 1,
                Ok(_) => self.done.unchanged += 1,
                Err(reject) => match reject.reason {
                    Reason::Taken => again.push(row),
                    Reason::TooManyBadges | Reason::Reserved | Reason::TooLarge => {
                        self.done.bad.push(BadRow::whole(row.line, reject.reason.text()));
                    }
                    _ => return Err(reject),
                },
            }
        }
        Ok(again)
    }
}

/// What is to be done about a row.
enum Plan {
    /// Nothing: it cannot be.
    Bad(BadRow),
    /// Nothing: it is so.
    Same,
    /// Store it.
    Put {
        uid: Uid,
        attendee: Box<Attendee>,
        badges: Vec<GivenBadge>,
        /// The account may be there already: the file names it, or it has the ticket or the badge.
        takes_account: bool,
        /// It is not.
        is_new: bool,
    },
}

/// Who a row is.
enum Bearer {
    /// An account that is there.
    Known(Uid),
    /// One that is to be made.
    New(Uid),
    /// Nobody that it can be.
    None(&'static str),
}

/// Looks rows up, and makes uids for those who have none.
#[derive(Default)]
struct Planner {
    /// The next number behind a name.
    next: HashMap<String, u32>,
    /// Uids that earlier rows get.
    given: HashSet<Uid>,
}

impl Planner {
    fn plan(&mut self, reader: &Reader, conf: ConfNo, row: &Row) -> Result<Plan, StateError> {
        let badges: Vec<GivenBadge> = row.codes.iter().filter_map(|code| GivenBadge::of(code)).collect();
        let bad = |why: &str| Ok(Plan::Bad(BadRow::whole(row.line, why)));
        let (uid, is_new) = match self.bearer(reader, conf, row, &badges)? {
            Bearer::Known(uid) => (uid, false),
            Bearer::New(uid) => (uid, true),
            Bearer::None(why) => return bad(why),
        };
        let mut has_all = true;
        for badge in &badges {
            let mut has = false;
            for code in badge.codes() {
                match reader.badge(conf, code)? {
                    Some(badge) if badge.user == uid => has = true,
                    Some(_) => return bad("the badge is somebody else's: revoke it there first, and give it to them by hand"),
                    None => {}
                }
            }
            has_all &= has;
        }
        let attendee = Attendee {
            external: row.external.as_str().into(),
            email: row.email.as_str().into(),
            company: row.company.as_str().into(),
            job: row.job.as_str().into(),
            ticket: row.ticket.as_str().into(),
        };
        if has_all && !is_new && reader.attendee(conf, &uid)?.as_ref() == Some(&attendee) {
            return Ok(Plan::Same);
        }
        self.given.insert(uid.clone());
        Ok(Plan::Put { uid, attendee: Box::new(attendee), badges, takes_account: !is_new || row.uid.is_some(), is_new })
    }

    /// Who it is: who has the ticket; else whom the file names; else who was given the badge by hand; else somebody new.
    fn bearer(&mut self, reader: &Reader, conf: ConfNo, row: &Row, badges: &[GivenBadge]) -> Result<Bearer, StateError> {
        if let Some(uid) = reader.attendee_of_ticket(conf, &row.external)? {
            return match reader.user(conf, &uid)? {
                Some(_) => Ok(Bearer::Known(uid)),
                None => Ok(Bearer::None("they were erased: left out")),
            };
        }
        if let Some(uid) = &row.uid {
            return free_of_ticket(reader, conf, uid.clone());
        }
        for code in badges.iter().flat_map(GivenBadge::codes) {
            if let Some(badge) = reader.badge(conf, code)?.filter(|badge| !badge.revoked) {
                return free_of_ticket(reader, conf, badge.user);
            }
        }
        self.new_uid(reader, conf, &row.name)
    }

    /// A uid made of a name that nobody has or had: the name alone, or with a number behind it.
    fn new_uid(&mut self, reader: &Reader, conf: ConfNo, name: &str) -> Result<Bearer, StateError> {
        let base = slug(name).filter(|base| !is_reserved(base)).unwrap_or_else(|| "attendee".to_owned());
        let first = self.next.get(&base).copied().unwrap_or(1);
        for number in first..first.saturating_add(MAX_NAMESAKES) {
            let text = if number == 1 { base.clone() } else { format!("{base}-{number}") };
            let Ok(uid) = Uid::parse(&text) else { break };
            if !self.given.contains(&uid) && !reader.had_user(conf, &uid)? {
                self.next.insert(base, number);
                return Ok(Bearer::New(uid));
            }
        }
        Ok(Bearer::None("too many people of this name: name the account in a column uid"))
    }
}

/// An account that gets a ticket, unless it has one.
fn free_of_ticket(reader: &Reader, conf: ConfNo, uid: Uid) -> Result<Bearer, StateError> {
    if reader.attendee(conf, &uid)?.is_some() {
        return Ok(Bearer::None("the user, or whose badge it is, has another ticket"));
    }
    match reader.user(conf, &uid)? {
        Some(user) if !user.role.is_person() => Ok(Bearer::None("the user is a device or a service")),
        Some(user) if user.role.is_staff() => Ok(Bearer::None("the user is of the staff: give them badges by hand")),
        Some(_) => Ok(Bearer::Known(uid)),
        None if reader.had_user(conf, &uid)? => Ok(Bearer::None("they were erased: left out")),
        None => Ok(Bearer::New(uid)),
    }
}

#[cfg(test)]
mod tests;
