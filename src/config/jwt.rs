//! `[conference.<id>.jwt]`: the identity provider whose tokens sign people in.

use std::net::IpAddr;
use std::path::PathBuf;

use hallway_broker::accounts::jwt::keys::MIN_SECRET_BYTES;
use hallway_broker::accounts::jwt::{KeySource, ProviderOptions};
use hallway_broker::model::UserRole;
use hallway_broker::outward::is_public;
use serde::{Deserialize, Serialize};

/// Where the tokens of another identity provider come from, and what they say. Exactly one source of keys.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(default, deny_unknown_fields)]
pub struct Jwt {
    /// A shared secret.
    pub hs256_secret: Option<String>,
    /// A PEM file with a public key.
    pub public_key_file: Option<PathBuf>,
    /// A JWKS file.
    pub jwks_file: Option<PathBuf>,
    /// A JWKS URL.
    pub jwks_url: Option<String>,
    /// Who must have signed.
    pub issuer: Option<String>,
    /// Whom it must be for.
    pub audience: Option<Audience>,
    /// The claim that names the user.
    pub user_claim: String,
    /// The claim with the display name.
    pub name_claim: Option<String>,
    /// The claim with the roles.
    pub roles_claim: Option<String>,
    /// The highest role that it gives.
    pub role_max: RoleMax,
}

/// One audience, or several: a web app and a native app have an id each.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(untagged, expecting = "an audience is \"id\" or a list of them")]
pub enum Audience {
    /// One.
    One(String),
    /// One of these.
    Several(Vec<String>),
}

impl Audience {
    fn ids(&self) -> Vec<String> {
        match self {
            Self::One(id) => vec![id.clone()],
            Self::Several(ids) => ids.clone(),
        }
    }
}

/// Roles that tokens can give.
#[derive(Debug, Clone, Copy, Default, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "lowercase")]
pub enum RoleMax {
    /// None but this.
    Attendee,
    /// Staff, but no organisers.
    #[default]
    Staff,
    /// All.
    Organiser,
}

impl Default for Jwt {
    fn default() -> Self {
        Self {
            hs256_secret: None,
            public_key_file: None,
            jwks_file: None,
            jwks_url: None,
            issuer: None,
            audience: None,
            user_claim: "sub".to_owned(),
            name_claim: None,
            roles_claim: None,
            role_max: RoleMax::default(),
        }
    }
}

impl Jwt {
    /// The provider, as accounts take it.
    ///
    /// # Errors
    /// What is wrong with it.
    pub fn provider(&self) -> Result<ProviderOptions, String> {
        let keys = self.keys()?;
        let audience = self.audience.as_ref().map(Audience::ids).unwrap_or_default();
        // Keys that others have made sign for everybody who is with them.
        let is_shared = !matches!(keys, KeySource::Secret(_));
        if is_shared && (self.issuer.is_none() || audience.is_empty()) {
            return Err("needs issuer and audience: without them it takes tokens that its provider made for others".to_owned());
        }
        let texts = [self.issuer.as_deref(), Some(&self.user_claim), self.name_claim.as_deref(), self.roles_claim.as_deref()];
        if texts.into_iter().flatten().chain(audience.iter().map(String::as_str)).any(str::is_empty) {
            return Err("issuer, audience and the claims must not be empty: leave out what there is not".to_owned());
        }
        let role_max = match self.role_max {
            RoleMax::Attendee => UserRole::Attendee,
            RoleMax::Staff => UserRole::Staff,
            RoleMax::Organiser => UserRole::Organiser,
        };
        Ok(ProviderOptions {
            keys,
            issuer: self.issuer.clone(),
            audience,
            user_claim: self.user_claim.clone(),
            name_claim: self.name_claim.clone(),
            roles_claim: self.roles_claim.clone(),
            role_max,
        })
    }

    fn keys(&self) -> Result<KeySource, String> {
        match (&self.hs256_secret, &self.public_key_file, &self.jwks_file, &self.jwks_url) {
            (Some(secret), None, None, None) if secret.len() < MIN_SECRET_BYTES => {
                Err(format!("hs256_secret: must have at least {MIN_SECRET_BYTES} bytes"))
            }
            (Some(secret), None, None, None) => Ok(KeySource::Secret(secret.clone().into_bytes())),
            (None, Some(path), None, None) => Ok(KeySource::PublicKeyFile(path.clone())),
            (None, None, Some(path), None) => Ok(KeySource::JwksFile(path.clone())),
            (None, None, None, Some(url)) if !is_private_enough(url) => {
                Err("jwks_url: must begin with https://, or whoever is in between could sign for everybody".to_owned())
            }
            (None, None, None, Some(url)) => Ok(KeySource::JwksUrl(url.clone())),
            _ => Err("takes exactly one of hs256_secret, public_key_file, jwks_file and jwks_url".to_owned()),
        }
    }
}

/// TLS, or a network of one's own.
fn is_private_enough(url: &str) -> bool {
    if url.starts_with("https://") {
        return true;
    }
    let Some(rest) = url.strip_prefix("http://") else { return false };
    let authority = rest.split('/').next().unwrap_or_default();
    let host = match authority.strip_prefix('[') {
        Some(rest) => rest.split(']').next().unwrap_or_default(),
        None => authority.split(':').next().unwrap_or_default(),
    };
    host == "localhost" || host.parse::<IpAddr>().is_ok_and(|address| !is_public(address))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn with_keys() -> Jwt {
        let (issuer, audience) = (Some("https://id.example".into()), Some(Audience::One("app".into())));
        Jwt { jwks_url: Some("https://id.example/jwks".into()), issuer, audience, ..Jwt::default() }
    }

    #[test]
    fn what_goes_together() {
        assert!(with_keys().provider().is_ok());
        let secret = Jwt { hs256_secret: Some("s".repeat(32)), ..Jwt::default() };
        assert_eq!(secret.provider().unwrap().audience, Vec::<String>::new());
        for (wrong, word) in [
            (Jwt::default(), "exactly one"),
            (Jwt { hs256_secret: Some("s".repeat(32)), ..with_keys() }, "exactly one"),
            (Jwt { hs256_secret: Some("s".repeat(31)), ..Jwt::default() }, "32 bytes"),
            (Jwt { issuer: None, ..with_keys() }, "issuer"),
            (Jwt { audience: None, ..with_keys() }, "audience"),
            (Jwt { audience: Some(Audience::Several(Vec::new())), ..with_keys() }, "audience"),
            (Jwt { audience: Some(Audience::One(String::new())), ..with_keys() }, "empty"),
            (Jwt { roles_claim: Some(String::new()), ..with_keys() }, "empty"),
            (Jwt { jwks_url: Some("http://id.example/jwks".into()), ..with_keys() }, "https"),
            (Jwt { jwks_url: Some("http://1.1.1.1/jwks".into()), ..with_keys() }, "https"),
            (Jwt { jwks_url: Some("ftp://id.example/jwks".into()), ..with_keys() }, "https"),
        ] {
            let error = wrong.provider().unwrap_err();
            assert!(error.contains(word), "{error}");
        }
        for url in ["http://localhost:8080/jwks", "http://127.0.0.1:1/jwks", "http://10.0.0.5/jwks", "http://[::1]:80/jwks"] {
            assert!(Jwt { jwks_url: Some(url.into()), ..with_keys() }.provider().is_ok(), "{url}");
        }
    }
}
