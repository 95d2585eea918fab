//! Accounts: who somebody is, shown by a password or a token. In reading order: [`scram`] (how passwords are kept), [`tokens`],
//! [`names`] (which nobody gives themselves), [`attempts`] (how often an address may try), [`seen`] (why a reconnect storm is
//! cheap), [`work`] (where PBKDF2 runs), [`exchange`] (SCRAM, message by message), [`invites`], [`jwt`] (tokens of identity providers) and
//! [`subjects`] (who those are here), [`tickets`], `guest` (people without a password); here, how they make a sign-in.
//!
//! What a stranger learns: that a conference exists and how one gets in, and when registering that a uid is taken. Whether an account
//! exists is not told by a login, by its answer or by the time it takes.

pub mod attempts;
pub mod exchange;
mod guest;
pub mod invites;
pub mod jwt;
mod login;
pub mod names;
pub mod scram;
pub mod seen;
mod sign_in;
pub mod subjects;
#[cfg(test)]
mod tests;
pub mod tickets;
pub mod tokens;
pub mod work;

use std::fmt;
use std::net::IpAddr;
use std::sync::{Arc, Mutex, PoisonError};
use std::thread;

use crate::clock::{self, Clock};
use crate::hub::Hub;
use crate::ids::{ConfNo, ConferenceId, Uid};
use crate::limits::Limits;
use crate::model::{Conference, Credentials, TokenHash, User};
use crate::reader::Reader;
use crate::reject::{Reason, Reject};

use attempts::Attempts;
use jwt::{Known, Providers};
use login::{Attempt, too_often};
use scram::{DEFAULT_ITERATIONS, Password};
use seen::Seen;
use tickets::Tickets;
use work::Work;

use sign_in::conference_id;
pub use sign_in::{Wish, credentials, issue, revoke};

/// Somebody whose password or token was right.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Identity {
    /// The conference's number.
    pub conf: ConfNo,
    /// The conference.
    pub conference: ConferenceId,
    /// Who.
    pub uid: Uid,
    /// Their account as it was then.
    pub user: Arc<User>,
    /// When the token expires that they showed, Unix ms; never for a password.
    pub expires_ms: u64,
    /// The token of our own that they showed, or bought their ticket with.
    pub token: Option<TokenHash>,
}

/// Somebody signed in anew, with the token that signs them in from now on.
#[derive(Clone, PartialEq, Eq)]
pub struct SignedIn {
    /// The bearer token; nobody can show it again.
    pub token: String,
    /// Who.
    pub uid: Uid,
    /// Their display name.
    pub name: Arc<str>,
    /// Where.
    pub conference: ConferenceId,
    /// When the token expires, Unix ms.
    pub expires_at_ms: u64,
}

impl fmt::Debug for SignedIn {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "SignedIn({} in {}, …)", self.uid, self.conference)
    }
}

/// Checks passwords and tokens, and makes accounts. One for the process, shared by all edges.
pub struct Accounts {
    clock: Arc<dyn Clock>,
    users_per_conference: u32,
    iterations: u32,
    logins: Mutex<Attempts>,
    registrations: Mutex<Attempts>,
    seen: Seen,
    work: Work,
    providers: Providers,
    tickets: Tickets,
    /// What a password is checked against when there is no such account, so that it takes as long.
    nobody: Credentials,
}

impl Accounts {
    /// Accounts under these limits, with passwords kept by [`DEFAULT_ITERATIONS`] rounds.
    #[must_use]
    pub fn new(limits: &Limits, clock: Arc<dyn Clock>) -> Self {
        Self::with_iterations(limits, clock, DEFAULT_ITERATIONS)
    }

    /// The same with another number of PBKDF2 rounds for new passwords, at least [`scram::MIN_ITERATIONS`].
    #[must_use]
    pub fn with_iterations(limits: &Limits, clock: Arc<dyn Clock>, iterations: u32) -> Self {
        Self {
            clock,
            users_per_conference: limits.users_per_conference,
            iterations,
            logins: Mutex::new(Attempts::new(limits.failed_logins_per_minute_per_address)),
            registrations: Mutex::new(Attempts::new(limits.registrations_per_minute_per_address)),
            seen: Seen::new(),
            work: Work::new(thread::available_parallelism().map_or(1, usize::from)),
            providers: Providers::default(),
            tickets: Tickets::default(),
            nobody: scram::unmatched(clock::random(), clock::random(), iterations),
        }
    }

    /// The same, with the identity providers whose tokens are taken.
    #[must_use]
    pub fn with_providers(self, providers: Providers) -> Self {
        Self { providers, ..self }
    }

    /// Makes an account in an open conference, or by an invitation, and signs it in.
    ///
    /// # Errors
    /// [`Reason::UnknownConference`], [`Reason::SignInClosed`], [`Reason::BadInvite`], [`Reason::InvalidParams`] (uid, password or name),
    /// [`Reason::Reserved`], [`Reason::Taken`], [`Reason::Quota`], [`Reason::LoginRate`], [`Reason::Busy`], and those of the store.
    pub async fn register(&self, hub: &Hub, wish: &Wish<'_>, peer: IpAddr) -> Result<SignedIn, Reject> {
        let wanted = sign_in::Wanted::parse(wish)?;
        let record = find_conference(hub.reader(), wish.conference)?.1;
        let now_ms = self.clock.now_ms();
        sign_in::may_register(hub.reader(), &record, &wanted, self.users_per_conference, now_ms)?;
        self.take_registration(peer)?;
        let credentials = self.credentials(wanted.password.clone()).await?;
        sign_in::add_user(hub, record.no, &wanted, &credentials).await?;
        if let Some(user) = hub.reader().user(record.no, &wanted.uid)? {
            self.seen.remember(self.seen.mark(record.no, &wanted.uid, &user, &credentials, &wanted.password));
        }
        issue(hub, record.no, &wanted.uid).await
    }

    /// Signs somebody in by password.
    ///
    /// # Errors
    /// As [`Self::authenticate`], and those of the store.
    pub async fn login(&self, hub: &Hub, conference: &str, uid: &str, password: &str, peer: IpAddr) -> Result<SignedIn, Reject> {
        let identity = self.authenticate(hub.reader(), conference, uid, password, peer).await?;
        let signed_in = issue(hub, identity.conf, &identity.uid).await?;
        sign_in::still_that_account(hub, &identity, &signed_in).await?;
        Ok(signed_in)
    }

    /// Checks a password, without making a token.
    ///
    /// # Errors
    /// [`Reason::UnknownConference`], [`Reason::BadCredentials`], [`Reason::LoginRate`] while the address is over its limit (for right
    /// passwords too), [`Reason::Busy`], and those of the store.
    pub async fn authenticate(
        &self,
        reader: &Reader,
        conference: &str,
        uid: &str,
        password: &str,
        peer: IpAddr,
    ) -> Result<Identity, Reject> {
        let attempt = self.begin(peer)?;
        let (conference, record) = find_conference(reader, conference)?;
        let right = match (Uid::parse(uid), Password::parse(password)) {
            (Ok(uid), Some(password)) => self.check(reader, record.no, uid, password, attempt).await?,
            _ => {
                attempt.failed()?;
                None
            }
        };
        let (uid, user) = right.ok_or(Reason::BadCredentials)?;
        Ok(Identity { conf: record.no, conference, uid, user, expires_ms: u64::MAX, token: None })
    }

    async fn check(
        &self,
        reader: &Reader,
        conf: ConfNo,
        uid: Uid,
        password: Password,
        attempt: Attempt<'_>,
    ) -> Result<Option<(Uid, Arc<User>)>, Reject> {
        let account = reader.user(conf, &uid)?.and_then(|user| Some((user.credentials.clone()?, Arc::new(user))));
        let Some((credentials, user)) = account else {
            let nobody = self.nobody.clone();
            attempt.checked(self.work.run(move || scram::verify(&nobody, &password))).await?;
            return Ok(None);
        };
        let mark = self.seen.mark(conf, &uid, &user, &credentials, &password);
        if self.seen.has(mark) || attempt.checked(self.work.run(move || scram::verify(&credentials, &password))).await? {
            self.seen.remember(mark);
            return Ok(Some((uid, user)));
        }
        Ok(None)
    }

    /// Who has this token. Reads only; microseconds.
    ///
    /// # Errors
    /// [`Reason::BadToken`] (also when it was revoked), [`Reason::TokenExpired`], and those of the store.
    pub fn by_token(&self, reader: &Reader, token: &str) -> Result<Identity, Reject> {
        let hash = tokens::hash(token).ok_or(Reason::BadToken)?;
        let record = reader.token(&hash)?.ok_or(Reason::BadToken)?;
        let user = reader.user(record.conf, &record.uid)?.ok_or(Reason::BadToken)?;
        if user.version != record.version {
            return Err(Reason::BadToken.into());
        }
        if record.expires_ms <= self.clock.now_ms() {
            return Err(Reason::TokenExpired.into());
        }
        let conference = conference_id(reader, record.conf)?.ok_or(Reason::BadToken)?;
        let (conf, expires_ms) = (record.conf, record.expires_ms);
        Ok(Identity { conf, conference, uid: record.uid, user: Arc::new(user), expires_ms, token: Some(hash) })
    }

    /// Whether a text is a token of our own or of a conference's (or any's) identity provider by its looks, and no password.
    #[must_use]
    pub fn is_token(&self, text: &str, conference: Option<&str>) -> bool {
        tokens::hash(text).is_some() || (jwt::looks_like_one(text) && self.providers.has(conference))
    }

    /// Who has this token, of our own or of an identity provider. A conference needs to be named only when several have the same provider.
    ///
    /// # Errors
    /// As [`Self::by_token`] and [`Self::by_jwt`]; [`Reason::BadToken`] for a token of another conference than the one that is named.
    pub async fn by_bearer(&self, hub: &Hub, token: &str, conference: Option<&str>) -> Result<Identity, Reject> {
        if jwt::looks_like_one(token) {
            return self.by_jwt(hub, token, conference).await;
        }
        let identity = self.by_token(hub.reader(), token)?;
        let is_there = conference.is_none_or(|conference| identity.conference.as_str() == conference);
        if is_there { Ok(identity) } else { Err(Reason::BadToken.into()) }
    }

    /// Who has this token of an identity provider. Their first makes their account.
    ///
    /// # Errors
    /// [`Reason::BadToken`], [`Reason::TokenExpired`], [`Reason::ProviderUnavailable`], [`Reason::SessionEnded`] (the account was erased),
    /// [`Reason::SignInClosed`] and [`Reason::Quota`] (for a first one), and those of the store.
    pub async fn by_jwt(&self, hub: &Hub, token: &str, conference: Option<&str>) -> Result<Identity, Reject> {
        if let Some(known) = self.providers.known(token, conference)
            && let Some(identity) = self.by_known(hub.reader(), &known)?
        {
            return Ok(identity);
        }
        let (provider, generation, claims) = self.providers.verify(token, conference, self.clock.as_ref()).await?;
        let conference_id = self.providers.conference(provider).ok_or(Reason::BadToken)?;
        let record = find_conference(hub.reader(), conference_id.as_str())?.1;
        let uid = subjects::admit(hub, &record, &claims, self.users_per_conference).await?;
        let known = Known { provider, generation, conf: record.no, uid, expires_ms: claims.expires_ms };
        let identity = self.by_known(hub.reader(), &known)?.ok_or(Reason::BadToken)?;
        self.providers.remember(token, conference, known);
        Ok(identity)
    }

    /// Who that is now; `None` when the conference is another one by now.
    fn by_known(&self, reader: &Reader, known: &Known) -> Result<Option<Identity>, Reject> {
        if known.expires_ms <= self.clock.now_ms() {
            return Err(Reason::TokenExpired.into());
        }
        let conference = self.providers.conference(known.provider).ok_or(Reason::BadToken)?.clone();
        let record = reader.conference(conference.as_str())?.ok_or(Reason::UnknownConference)?;
        if record.no != known.conf {
            return Ok(None);
        }
        let user = reader.user(record.no, &known.uid)?.ok_or(Reason::SessionEnded)?;
        let (conf, uid, expires_ms) = (known.conf, known.uid.clone(), known.expires_ms);
        Ok(Some(Identity { conf, conference, uid, user: Arc::new(user), expires_ms, token: None }))
    }

    /// A ticket for somebody, see [`tickets`].
    ///
    /// # Errors
    /// [`Reason::Busy`].
    pub fn ticket(&self, identity: Identity) -> Result<String, Reject> {
        self.tickets.issue(identity, self.clock.elapsed())
    }

    /// Whom a ticket was made for; it is used then.
    ///
    /// # Errors
    /// [`Reason::BadTicket`] (also when their account changed meanwhile, or the token that bought it was revoked), [`Reason::TokenExpired`], and those of the store.
    pub fn by_ticket(&self, reader: &Reader, ticket: &str) -> Result<Identity, Reject> {
        let identity = self.tickets.redeem(ticket, self.clock.elapsed())?;
        let user = reader.user(identity.conf, &identity.uid)?.ok_or(Reason::BadTicket)?;
        let is_revoked = match &identity.token {
            Some(hash) => reader.token(hash)?.is_none(),
            None => false,
        };
        if is_revoked || user.version != identity.user.version {
            return Err(Reason::BadTicket.into());
        }
        if identity.expires_ms <= self.clock.now_ms() {
            return Err(Reason::TokenExpired.into());
        }
        Ok(Identity { user: Arc::new(user), ..identity })
    }

    /// The kept form of a password, made where PBKDF2 may run.
    ///
    /// # Errors
    /// [`Reason::Busy`].
    pub async fn credentials(&self, password: Password) -> Result<Credentials, Reject> {
        let iterations = self.iterations;
        self.work.run(move || scram::credentials(&password, salts(), iterations)).await
    }

    fn take_registration(&self, peer: IpAddr) -> Result<(), Reject> {
        let mut registrations = self.registrations.lock().unwrap_or_else(PoisonError::into_inner);
        registrations.take(peer.into(), self.clock.elapsed()).map_err(too_often)
    }

    fn begin(&self, peer: IpAddr) -> Result<Attempt<'_>, Reject> {
        Attempt::begin(&self.logins, peer.into(), self.clock.as_ref())
    }
}

fn find_conference(reader: &Reader, id: &str) -> Result<(ConferenceId, Conference), Reject> {
    let id = ConferenceId::parse(id).map_err(|_| Reason::UnknownConference)?;
    let record = reader.conference(id.as_str())?.ok_or(Reason::UnknownConference)?;
    Ok((id, record))
}

fn salts() -> [[u8; scram::SALT_BYTES]; 2] {
    [clock::random(), clock::random()]
}
