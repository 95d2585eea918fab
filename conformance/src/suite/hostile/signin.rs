//! Sign-ins that must not be: tokens of an identity provider that are expired, forged or somebody else's, tickets and invitations that were
//! used. Every token is shown over every protocol, which must say the same in its own words.

mod doors;
mod tokens;
mod used;

use anyhow::Result;

use crate::jwt::{AUDIENCE, ISSUER, Key, KeySet};
use crate::server::{Options, Server};
use crate::suite::Report;

/// The secret of the conference `shared`.
const SECRET: &str = "what the app's own server signs its tokens by";
/// The conference of the provider with a key set, and its XMPP domain.
const EXPO: &str = "expo";
const DOMAIN: &str = "expo.localhost";

/// A server with a conference for each way to sign in, and the provider of two of them.
struct Scene {
    server: Server,
    set: KeySet,
    /// The provider's, with the ids `e` and `p`.
    ed25519: Key,
    p256: Key,
}

/// All of it.
///
/// # Errors
/// The server does not start.
pub fn run(report: &mut Report) -> Result<()> {
    let scene = scene()?;
    let waiting = used::Waiting::begin(&scene)?;
    tokens::run(&scene, report);
    used::run(&scene, &waiting, report);
    Ok(())
}

fn scene() -> Result<Scene> {
    let (ed25519, p256) = (Key::ed25519()?, Key::p256()?);
    let set = KeySet::serve(vec![ed25519.jwk("e"), p256.jwk("p")])?;
    let url = set.url();
    let config = format!(
        r#"
        [server]
        mode = "demo"
        [limits]
        failed_logins_per_minute_per_address = 0
        sessions_per_user = 64
        [conference.{EXPO}]
        sign_in = "token"
        xmpp_domain = "{DOMAIN}"
        channels = ["lobby"]
        [conference.{EXPO}.jwt]
        jwks_url = "{url}"
        issuer = "{ISSUER}"
        audience = ["{AUDIENCE}", "another-app"]
        roles_claim = "roles"
        [conference.shared]
        sign_in = "token"
        [conference.shared.jwt]
        hs256_secret = "{SECRET}"
        issuer = "https://shared.example"
        audience = "{AUDIENCE}"
        [conference.club]
        sign_in = "invite"
        [conference.demo]
        sign_in = "open"
        "#
    );
    let server = Server::start(Options::new().config(&config).xmpp())?;
    Ok(Scene { server, set, ed25519, p256 })
}
