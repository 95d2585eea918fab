//! Tokens of a conference's own identity provider (JWT, RFC 7519), taken wherever one of our own is. In reading order: [`compact`] (a token in
//! pieces), [`keys`] and [`spki`] (what it is checked by), [`keyring`] (where those come from), [`claims`] (what it says), [`verified`] (why
//! a reconnect storm is cheap); here, which provider a token is of. Who its subject is here is in [`super::subjects`].

pub mod claims;
pub mod compact;
pub mod keyring;
pub mod keys;
pub(crate) mod spki;
#[cfg(test)]
pub(in crate::accounts) mod testing;
#[cfg(test)]
mod tests;
mod verified;

use std::sync::Arc;

use tokio::task::JoinHandle;

use crate::clock::Clock;
use crate::ids::ConferenceId;
use crate::model::UserRole;
use crate::outward::Outward;
use crate::reject::{Reason, Reject};

use claims::Claims;
use compact::Compact;
pub use compact::looks_like_one;
pub use keyring::KeySource;
use keyring::{Keyring, KeyringError};
use keys::Verdict;
pub use verified::Known;
use verified::Verified;

/// Providers that are asked about a token that comes without a conference.
const MAX_ASKED: usize = 8;

/// An identity provider, as it is configured.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct ProviderOptions {
    /// Where its keys come from.
    pub keys: KeySource,
    /// Who must have made a token.
    pub issuer: Option<String>,
    /// For whom it must be: one of these.
    pub audience: Vec<String>,
    /// The claim that names the user.
    pub user_claim: String,
    /// The claim with the display name, besides `name`.
    pub name_claim: Option<String>,
    /// The claim with the roles.
    pub roles_claim: Option<String>,
    /// The highest role that it gives.
    pub role_max: UserRole,
}

impl Default for ProviderOptions {
    fn default() -> Self {
        Self {
            keys: KeySource::Secret(Vec::new()),
            issuer: None,
            audience: Vec::new(),
            user_claim: "sub".to_owned(),
            name_claim: None,
            roles_claim: None,
            role_max: UserRole::Staff,
        }
    }
}

/// A provider cannot be used.
#[derive(Debug, thiserror::Error)]
#[error("conference.{conference}.jwt: {error}")]
pub struct ProviderError {
    /// Whose.
    pub conference: ConferenceId,
    /// Why.
    pub error: KeyringError,
}

/// One of them.
pub struct Provider {
    /// The conference that it signs people in to.
    pub conference: ConferenceId,
    options: ProviderOptions,
    keyring: Arc<Keyring>,
}

/// The identity providers of all conferences: one for each at most.
#[derive(Default)]
pub struct Providers {
    all: Vec<Provider>,
    verified: Verified,
}

impl Providers {
    /// Reads the keys of providers.
    ///
    /// # Errors
    /// The first that cannot be used.
    pub fn open(options: Vec<(ConferenceId, ProviderOptions)>, clock: &Arc<dyn Clock>) -> Result<Self, ProviderError> {
        let open = |(conference, options): (ConferenceId, ProviderOptions)| {
            let keyring = Keyring::open(options.keys.clone(), Arc::clone(clock));
            match keyring {
                Ok(keyring) => Ok(Provider { conference, options, keyring: Arc::new(keyring) }),
                Err(error) => Err(ProviderError { conference, error }),
            }
        };
        Ok(Self { all: options.into_iter().map(open).collect::<Result<_, _>>()?, verified: Verified::default() })
    }

    /// Keeps their keys new, from tasks on the runtime of the caller, until these are aborted.
    pub fn tend(&self, outward: &Arc<Outward>) -> Vec<JoinHandle<()>> {
        let tend = |provider: &Provider| {
            let (keyring, outward) = (Arc::clone(&provider.keyring), Arc::clone(outward));
            tokio::spawn(async move { keyring.tend(&outward).await })
        };
        self.all.iter().map(tend).collect()
    }

    /// Whether a conference has one, or any has.
    #[must_use]
    pub fn has(&self, conference: Option<&str>) -> bool {
        self.all.iter().any(|provider| conference.is_none_or(|conference| provider.conference.as_str() == conference))
    }

    /// Whoever a token was found to be of before, when everything is as it was then.
    #[must_use]
    pub fn known(&self, token: &str, conference: Option<&str>) -> Option<Known> {
        let known = self.verified.find(token, conference)?;
        let current = self.all.get(known.provider)?.keyring.current()?;
        (current.generation == known.generation).then_some(known)
    }

    /// Remembers whom a token is of.
    pub fn remember(&self, token: &str, conference: Option<&str>, known: Known) {
        self.verified.remember(token, conference, known);
    }

    /// The conference of the provider with this number.
    #[must_use]
    pub fn conference(&self, provider: usize) -> Option<&ConferenceId> {
        Some(&self.all.get(provider)?.conference)
    }

    /// Checks a token: the number of its provider, the generation of the keys that it was checked by, and what it says. Without a conference,
    /// its issuer says which provider it may be of.
    ///
    /// # Errors
    /// [`Reason::BadToken`], [`Reason::TokenExpired`], [`Reason::ProviderUnavailable`].
    pub async fn verify(&self, token: &str, conference: Option<&str>, clock: &dyn Clock) -> Result<(usize, u64, Claims), Reject> {
        let token = Compact::parse(token).ok_or(Reason::BadToken)?;
        let payload = token.payload().ok_or(Reason::BadToken)?;
        let issuer = claims::claimed_issuer(&payload).ok_or(Reason::BadToken)?;
        let is_meant = |provider: &Provider| match conference {
            Some(conference) => provider.conference.as_str() == conference,
            None => provider.options.issuer.as_deref().is_none_or(|expected| expected == issuer),
        };
        let mut refusal = Reason::BadToken;
        for (number, provider) in self.all.iter().enumerate().filter(|(_, provider)| is_meant(provider)).take(MAX_ASKED) {
            match provider.verify(&token, &payload, clock).await {
                Ok((generation, claims)) => return Ok((number, generation, claims)),
                Err(reason) => refusal = reason,
            }
        }
        Err(refusal.into())
    }
}

impl Provider {
    async fn verify(&self, token: &Compact<'_>, payload: &[u8], clock: &dyn Clock) -> Result<(u64, Claims), Reason> {
        let mut generation = self.judge(token);
        if matches!(generation, Err(Reason::ProviderUnavailable) | Ok(None)) {
            self.keyring.look_again().await;
            generation = self.judge(token);
        }
        let generation = generation?.ok_or(Reason::BadToken)?;
        Ok((generation, claims::read(payload, &self.options, clock.now_ms())?))
    }

    /// The generation of the keys that signed it; `None` for a key that is not known.
    fn judge(&self, token: &Compact<'_>) -> Result<Option<u64>, Reason> {
        let current = self.keyring.current().ok_or(Reason::ProviderUnavailable)?;
        match current.keys.judge(token) {
            Verdict::Signed => Ok(Some(current.generation)),
            Verdict::Forged => Err(Reason::BadToken),
            Verdict::UnknownKey => Ok(None),
        }
    }
}
