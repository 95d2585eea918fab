//! Who a CONNECT is: a user name with a password or token, or nobody in particular on a plain broker.

use std::sync::Arc;

use super::codec::{Code, Connect, Packet, Raw, Version, write_auth};
use super::connect::{Door, Refused};
use crate::accounts::Identity;
use crate::accounts::exchange::{Mechanism, Terms};
use crate::accounts::scram::Hash;
use crate::edges::{Login, Shown};
use crate::ids::Uid;
use crate::model::UserRole;
use crate::reject::{Reason, Reject};
use crate::session::Who;

/// Somebody who signed in.
pub(super) struct SignedIn {
    pub who: Who,
    pub role: UserRole,
    /// What the server shows the client in turn, with enhanced authentication.
    pub proof: Option<String>,
}

impl From<Identity> for SignedIn {
    fn from(identity: Identity) -> Self {
        Self { role: identity.user.role, who: Who::from(identity), proof: None }
    }
}

/// The method of enhanced authentication that is spoken here (MQTT 5 §4.12).
pub(super) const SCRAM: &str = "SCRAM-SHA-256";

/// Enhanced authentication: a challenge, a proof, and the server's own proof in the CONNACK.
async fn by_scram(door: &mut Door, connect: &Connect<'_>) -> Result<SignedIn, Refused> {
    let refused = |reject: Reject| Refused::by(Version::V5, &reject);
    let edge = Arc::clone(&door.edge);
    let (accounts, reader) = (&edge.sign_ins.accounts, edge.hub.reader());
    let first = connect.properties.authentication_data.unwrap_or_default();
    let mechanism = Mechanism { hash: Hash::Sha256, plus: false };
    let terms = Terms { mechanism, bindings: &[], conference: edge.options.conference.as_str() };
    let begun = accounts.begin_scram(reader, &terms, first, door.address);
    let exchange = begun.map_err(refused)?;
    let mut challenge = Vec::new();
    write_auth(Code::CONTINUE_AUTHENTICATION, SCRAM, exchange.challenge().as_bytes(), &mut challenge);
    door.write(&challenge).await?;
    let (first, body) = door.next_packet().await?;
    let protocol_error = || Refused::With(Version::V5, Code::PROTOCOL_ERROR, "MQTT-3.1.2-30");
    let auth = match Packet::parse(Some(Version::V5), Raw { first, body: &body }) {
        // [MQTT-4.12.0-5]
        Ok(Packet::Auth(auth)) if auth.method == Some(SCRAM) && auth.code == Code::CONTINUE_AUTHENTICATION => auth,
        _ => return Err(protocol_error()),
    };
    let finished = accounts.finish_scram(reader, &exchange, auth.data.unwrap_or_default(), door.address);
    let (identity, proof) = finished.map_err(refused)?;
    Ok(SignedIn { proof: Some(proof), ..identity.into() })
}

/// Signs a CONNECT in.
pub(super) async fn sign_in(door: &mut Door, connect: &Connect<'_>) -> Result<SignedIn, Refused> {
    let version = connect.version;
    match connect.properties.authentication_method {
        Some(SCRAM) => return by_scram(door, connect).await,
        Some(_) => return Err(Refused::With(version, Code::BAD_AUTHENTICATION_METHOD, "bad_authentication_method")),
        None => {}
    }
    by_password(door, connect).await.map_err(|reject| Refused::by(version, &reject))
}

async fn by_password(door: &Door, connect: &Connect<'_>) -> Result<SignedIn, Reject> {
    let options = &door.edge.options;
    let Some(password) = connect.password else {
        if options.anonymous && connect.username.is_none() {
            return anonymous(door);
        }
        return Err(Reason::NoSession.into());
    };
    if !door.is_private && !options.demo && !options.plaintext_login {
        return Err(Reason::PlaintextLogin.into());
    }
    let password = std::str::from_utf8(password).map_err(|_| Reason::BadCredentials)?;
    let (sign_ins, hub) = (&door.edge.sign_ins, &*door.edge.hub);
    let (name, conference) = named(connect.username);
    let default = options.conference.as_str();
    if name.is_none() && sign_ins.accounts.is_token(password, conference) {
        return Ok(sign_ins.identify(hub, Shown::Token(password), conference).await?.into());
    }
    let conference = conference.unwrap_or(default);
    let login = Login { name, conference, secret: password, peer: door.address, makes_accounts: options.demo };
    Ok(sign_ins.by_secret(hub, &login).await?.into())
}

/// The uid and conference in a user name, `uid@conference`. A token names its user itself, and its conference too; but a client of 3.1.1 must
/// send a user name with a password [MQTT-3.1.2-22]: an empty one, or `@conference`.
fn named(username: Option<&str>) -> (Option<&str>, Option<&str>) {
    let username = username.unwrap_or_default();
    let (name, conference) = username.split_once('@').map_or((username, None), |(name, conference)| (name, Some(conference)));
    (Some(name).filter(|name| !name.is_empty()), conference)
}

/// A client of a plain broker.
fn anonymous(door: &Door) -> Result<SignedIn, Reject> {
    let conference = door.edge.options.conference.clone();
    let record = door.edge.hub.reader().conference(conference.as_str())?.ok_or(Reason::UnknownConference)?;
    let uid = Uid::anonymous();
    let who = Who { conf: record.no, conference, uid, name: Arc::default(), version: 0, expires_ms: u64::MAX, token: None };
    Ok(SignedIn { who, role: UserRole::Attendee, proof: None })
}
