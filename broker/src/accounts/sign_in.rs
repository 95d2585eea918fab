//! The hub calls of a sign-in: making an account, making a token.

use tokio::task;

use super::scram::{self, Password};
use super::{Identity, SignedIn, names, salts, tokens};
use crate::command::{Action, Actor};
use crate::hub::Hub;
use crate::ids::{ConfNo, ConferenceId, Uid};
use crate::keys;
use crate::limits::MAX_NAME_BYTES;
use crate::model::{Conference, Credentials, SignIn, UserRole};
use crate::reader::Reader;
use crate::reject::{Reason, Reject};
use crate::state::StateError;
use crate::view::decode;

const MS_PER_HOUR: u64 = 3_600_000;

/// An account that somebody wants for themselves.
pub struct Wanted {
    /// Its uid.
    pub uid: Uid,
    /// Its password.
    pub password: Password,
    name: Option<String>,
}

impl Wanted {
    /// Parses what was asked for.
    ///
    /// # Errors
    /// [`Reason::InvalidParams`].
    pub fn parse(uid: &str, password: &str, name: Option<&str>) -> Result<Self, Reject> {
        let uid = Uid::parse(uid).map_err(|_| Reason::InvalidParams)?;
        let password = Password::parse(password).ok_or(Reason::InvalidParams)?;
        let name = name.map(str::trim).filter(|name| !name.is_empty());
        if name.is_some_and(|name| name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control)) {
            return Err(Reason::InvalidParams.into());
        }
        Ok(Self { uid, password, name: name.map(str::to_owned) })
    }

    fn is_reserved(&self) -> bool {
        names::is_reserved(self.uid.as_str()) || self.name.as_deref().is_some_and(names::is_reserved)
    }
}

/// Whether the conference takes this account from a stranger. (An erased uid is found taken only by the hub.) The quota is checked here, before any work: registrations under way
/// at the same time may pass it by their number.
///
/// # Errors
/// [`Reason::SignInClosed`], [`Reason::Reserved`], [`Reason::Taken`], [`Reason::Quota`], and those of the store.
pub fn may_register(reader: &Reader, conference: &Conference, wanted: &Wanted, users_per_conference: u32) -> Result<(), Reject> {
    if conference.sign_in != SignIn::Open {
        return Err(Reason::SignInClosed.into());
    }
    if wanted.is_reserved() {
        return Err(Reason::Reserved.into());
    }
    if reader.user(conference.no, &wanted.uid)?.is_some() {
        return Err(Reason::Taken.into());
    }
    if users_per_conference > 0 && reader.conference_head(conference.no)?.users >= users_per_conference {
        return Err(Reason::Quota.into());
    }
    Ok(())
}

/// Makes the account.
///
/// # Errors
/// Those of the hub, [`Reason::Taken`] among them.
pub async fn add_user(hub: &Hub, conf: ConfNo, wanted: &Wanted, credentials: &Credentials) -> Result<(), Reject> {
    let action = Action::AddUser {
        uid: wanted.uid.clone(),
        name: wanted.name.clone(),
        role: UserRole::Attendee,
        credentials: Some(credentials.clone()),
    };
    hub.call(conf, Actor::system(), action).await?;
    Ok(())
}

/// Makes a token for a user, whoever asks: the caller has checked that they may.
///
/// # Errors
/// [`Reason::UnknownUser`], [`Reason::UnknownConference`], and those of the hub.
pub async fn issue(hub: &Hub, conf: ConfNo, uid: &Uid) -> Result<SignedIn, Reject> {
    let user = hub.reader().user(conf, uid)?.ok_or(Reason::UnknownUser)?;
    let conference = conference_id(hub.reader(), conf)?.ok_or(Reason::UnknownConference)?;
    let token = tokens::make();
    let hash = tokens::hash(&token).ok_or(Reason::BadToken)?;
    let expires_at_ms = hub.clock().now_ms().saturating_add(u64::from(hub.limits().token_hours) * MS_PER_HOUR);
    hub.call(conf, Actor::system(), Action::IssueToken { uid: uid.clone(), hash, expires_ms: expires_at_ms }).await?;
    Ok(SignedIn { token, uid: uid.clone(), name: user.name.clone(), conference, expires_at_ms })
}

/// Takes a token back that was made while the password changed: it would hold the new version though the old password was shown.
///
/// # Errors
/// [`Reason::BadCredentials`] when it was so, and those of the store.
pub async fn still_that_account(hub: &Hub, identity: &Identity, signed_in: &SignedIn) -> Result<(), Reject> {
    let now = hub.reader().user(identity.conf, &identity.uid)?;
    if now.is_some_and(|user| user.version == identity.user.version) {
        return Ok(());
    }
    if let Some(hash) = tokens::hash(&signed_in.token) {
        let revoked = hub.call(identity.conf, Actor::system(), Action::RevokeToken { hash }).await;
        revoked.map(drop).or_else(|reject| if reject.reason == Reason::BadToken { Ok(()) } else { Err(reject) })?;
    }
    Err(Reason::BadCredentials.into())
}

/// The id of a conference.
///
/// # Errors
/// The state's.
pub fn conference_id(reader: &Reader, conf: ConfNo) -> Result<Option<ConferenceId>, StateError> {
    reader.state().get(&keys::conference_id(conf))?.as_deref().map(decode).transpose()
}

/// The kept form of a password that an organiser sets; for the command line, where nobody else waits for a core.
///
/// # Errors
/// [`Reason::Busy`] when the process is stopping.
pub async fn credentials(password: Password) -> Result<Credentials, Reject> {
    let made = task::spawn_blocking(move || scram::credentials(&password, salts(), scram::DEFAULT_ITERATIONS));
    made.await.map_err(|_| Reason::Busy.into())
}
