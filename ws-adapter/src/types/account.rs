//! Signing in over HTTP: `/api/register` and `/api/login`.

use hallway_broker::ids::{ConferenceId, Uid};
use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::Time;

/// Body of `/api/login`.
#[derive(Clone, Deserialize, JsonSchema)]
pub struct Login {
    /// The conference's id.
    pub conference: String,
    /// The user's id.
    pub uid: String,
    /// The password.
    pub password: String,
}

/// Body of `/api/register`.
#[derive(Clone, Deserialize, JsonSchema)]
pub struct Register {
    /// The conference's id.
    pub conference: String,
    /// The id that the user wants.
    pub uid: String,
    /// The password.
    pub password: String,
    /// The display name; the uid when there is none.
    pub name: Option<String>,
    /// The code of an invitation, where accounts are made by invitation.
    pub invite: Option<String>,
}

/// A ticket: what a browser shows in the URL of an upgrade.
#[derive(Clone, Serialize, JsonSchema)]
pub struct Ticket {
    /// `<connection id>:<code>`.
    pub ticket: String,
    /// Seconds that it is good.
    pub expires_in: u64,
}

/// Who signed in, and the token to go on with.
#[derive(Clone, Serialize, JsonSchema)]
pub struct SignedIn {
    /// For `session.hello` and `Authorization: Bearer`.
    pub token: String,
    /// The user's id.
    #[schemars(with = "String")]
    pub user: Uid,
    /// The display name.
    pub name: String,
    /// The conference's id.
    #[schemars(with = "String")]
    pub conference: ConferenceId,
    /// When the token expires.
    pub expires_at: Time,
}

// Neither passwords nor tokens get into logs by way of `{:?}`.
macro_rules! secret {
    ($($name:ident)*) => {$(
        impl std::fmt::Debug for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(concat!(stringify!($name), "(…)"))
            }
        }
    )*};
}
secret!(Login Register SignedIn Ticket);
