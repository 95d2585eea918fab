//! Guests: people of an open conference who have no password. What lets one back in is a token, of which only they know.

use std::net::IpAddr;

use super::{Accounts, SignedIn, find_conference, issue, names};
use crate::command::{Action, Actor};
use crate::hub::Hub;
use crate::ids::Uid;
use crate::model::{SignIn, UserRole};
use crate::reject::{Reason, Reject};

impl Accounts {
    /// Makes a guest's account in an open conference, with `name` or else the uid as its display name, and signs it in. Whoever is there
    /// already, guest or not, is not let in by this.
    ///
    /// # Errors
    /// [`Reason::UnknownConference`], [`Reason::SignInClosed`], [`Reason::Reserved`], [`Reason::Taken`], [`Reason::Quota`],
    /// [`Reason::LoginRate`], and those of the store.
    pub async fn add_guest(&self, hub: &Hub, conference: &str, uid: &Uid, name: Option<&str>, peer: IpAddr) -> Result<SignedIn, Reject> {
        let reader = hub.reader();
        let record = find_conference(reader, conference)?.1;
        if record.sign_in != SignIn::Open {
            return Err(Reason::SignInClosed.into());
        }
        let shown = name.unwrap_or(uid.as_str());
        if names::is_reserved(uid.as_str()) || names::is_reserved(shown) {
            return Err(Reason::Reserved.into());
        }
        if reader.user(record.no, uid)?.is_some() || reader.has_name(record.no, shown)? {
            return Err(Reason::Taken.into());
        }
        if self.users_per_conference > 0 && reader.conference_head(record.no)?.users >= self.users_per_conference {
            return Err(Reason::Quota.into());
        }
        self.take_registration(peer)?;
        let action = Action::AddUser { uid: uid.clone(), name: name.map(str::to_owned), role: UserRole::Attendee, credentials: None };
        hub.call(record.no, Actor::system(), action).await?;
        issue(hub, record.no, uid).await
    }
}
