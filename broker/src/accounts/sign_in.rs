//! The hub calls of a sign-in: making an account, making a token.

use tokio::task;

use super::scram::{self, Password};
use super::{Identity, SignedIn, invites, names, salts, tokens};
use crate::command::{Action, Actor};
use crate::hub::Hub;
use crate::ids::{ConfNo, ConferenceId, Uid};
use crate::keys;
use crate::limits::MAX_NAME_BYTES;
use crate::model::{Conference, Credentials, InviteHash, SignIn, TokenHash, UserRole};
use crate::reader::Reader;
use crate::reject::{Reason, Reject};
use crate::state::StateError;
use crate::view::decode;

const MS_PER_HOUR: u64 = 3_600_000;

/// An account that somebody asks for, in their words.
#[derive(Clone, Copy)]
pub struct Wish<'w> {
    /// Where.
    pub conference: &'w str,
    /// Its uid.
    pub uid: &'w str,
    /// Its password.
    pub password: &'w str,
    /// Its display name.
    pub name: Option<&'w str>,
    /// The code of an invitation.
    pub invite: Option<&'w str>,
}

impl<'w> Wish<'w> {
    /// Without a name of its own and without an invitation.
    #[must_use]
    pub fn new(conference: &'w str, uid: &'w str, password: &'w str) -> Self {
        Self { conference, uid, password, name: None, invite: None }
    }
}

/// An account that somebody wants for themselves.
pub struct Wanted {
    /// Its uid.
    pub uid: Uid,
    /// Its password.
    pub password: Password,
    name: Option<String>,
    invite: Option<InviteHash>,
}

impl Wanted {
    /// Parses what was asked for.
    ///
    /// # Errors
    /// [`Reason::InvalidParams`].
    /// [`Reason::BadInvite`] for what is no code.
    pub fn parse(wish: &Wish<'_>) -> Result<Self, Reject> {
        let Wish { uid, password, name, invite, .. } = *wish;
        let uid = Uid::parse(uid).map_err(|_| Reason::InvalidParams)?;
        let password = Password::parse(password).ok_or(Reason::InvalidParams)?;
        let name = name.map(str::trim).filter(|name| !name.is_empty());
        if name.is_some_and(|name| name.len() > MAX_NAME_BYTES || name.chars().any(char::is_control)) {
            return Err(Reason::InvalidParams.into());
        }
        let invite = invite.map(|code| invites::hash(code).ok_or(Reason::BadInvite)).transpose()?;
        Ok(Self { uid, password, name: name.map(str::to_owned), invite })
    }

    fn is_reserved(&self) -> bool {
        names::is_reserved(self.uid.as_str()) || self.name.as_deref().is_some_and(names::is_reserved)
    }
}

/// Whether the conference takes this account from a stranger. (An erased uid is found taken only by the hub.) The quota is checked here, before any work: registrations under way
/// at the same time may pass it by their number.
///
/// # Errors
/// [`Reason::SignInClosed`], [`Reason::BadInvite`], [`Reason::Reserved`], [`Reason::Taken`], [`Reason::Quota`], and those of the store.
pub fn may_register(
    reader: &Reader,
    conference: &Conference,
    wanted: &Wanted,
    users_per_conference: u32,
    now_ms: u64,
) -> Result<(), Reject> {
    match (conference.sign_in, &wanted.invite) {
        (SignIn::Open, None) => {}
        (SignIn::Open | SignIn::Invite, Some(code)) => {
            if !reader.invite(conference.no, code)?.is_some_and(|invite| invite.is_good(now_ms)) {
                return Err(Reason::BadInvite.into());
            }
        }
        (SignIn::Invite, None) => return Err(Reason::BadInvite.into()),
        (SignIn::Password | SignIn::Token, _) => return Err(Reason::SignInClosed.into()),
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
/// Those of the hub, [`Reason::Taken`] and [`Reason::BadInvite`] among them.
pub async fn add_user(hub: &Hub, conf: ConfNo, wanted: &Wanted, credentials: &Credentials) -> Result<(), Reject> {
    let (uid, name, credentials) = (wanted.uid.clone(), wanted.name.clone(), credentials.clone());
    let action = match wanted.invite {
        Some(invite) => Action::Register { uid, name, credentials: Box::new(credentials), invite },
        None => Action::AddUser { uid, name, role: UserRole::Attendee, credentials: Some(credentials) },
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
        revoke(hub, identity.conf, hash).await?;
    }
    Err(Reason::BadCredentials.into())
}

/// Takes a token of our own back; one that is gone already is no error.
///
/// # Errors
/// Those of the store.
pub async fn revoke(hub: &Hub, conf: ConfNo, hash: TokenHash) -> Result<(), Reject> {
    if hub.reader().token(&hash)?.is_none() {
        return Ok(());
    }
    let revoked = hub.call(conf, Actor::system(), Action::RevokeToken { hash }).await;
    revoked.map(drop).or_else(|reject| if reject.reason == Reason::BadToken { Ok(()) } else { Err(reject) })
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
