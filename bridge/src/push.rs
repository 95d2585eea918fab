//! Push gateways: each delivers for one provider ([`hallway_broker::push::gateway::Gateway`]). Who is pushed, when and how often is the push worker's.
//!
//! In reading order: what gateways are told ([`options`]), what is wrong with an address ([`place`]), what is said within a service's bounds
//! ([`payload`], [`fit`]), what answers mean ([`answer`]), tokens that the server signs ([`sign`]). Then the providers: a URL of the user's own
//! ([`webhook`]); browsers and `UnifiedPush` ([`webpush`], sealed by [`ece`], signed by [`vapid`]); Apple ([`apns`]), Google ([`fcm`], let in by [`oauth`]), Expo
//! ([`expo`]); services of XMPP ([`xmpp`]).

pub mod answer;
pub mod apns;
pub mod ece;
pub mod expo;
pub mod fcm;
pub mod fit;
pub mod oauth;
pub mod options;
pub mod payload;
pub mod place;
pub mod sign;
pub mod vapid;
pub mod webhook;
pub mod webpush;
pub mod xmpp;

#[cfg(test)]
pub(crate) mod testing;

use std::fs;
use std::path::Path;
use std::sync::Arc;

use hallway_broker::model::Provider;
use hallway_broker::outward::{Outward, Trust};
use hallway_broker::push::gateway::Gateway;

pub use options::{ApnsOptions, ExpoOptions, FcmOptions, GatewayError, Options, WebPushOptions};

use apns::Apns;
use expo::Expo;
use fcm::Fcm;
use vapid::Vapid;
use webhook::Webhook;
use webpush::WebPush;
use xmpp::Xmpp;

use crate::xmpp::Edge;

/// The gateways that there are with these options: Web Push, `UnifiedPush`, webhooks and Expo always; APNs and FCM with their keys.
///
/// # Errors
/// What cannot be used.
pub fn gateways(options: &Options) -> Result<Vec<Arc<dyn Gateway>>, GatewayError> {
    options.check()?;
    let trust = Arc::new(trust(options.ca_file.as_deref())?);
    let vapid = Arc::new(Vapid::open(options)?);
    let of_users = || Outward::keeping(options.allow_private_urls, &trust);
    let may = options.allow_private_urls;
    let mut gateways: Vec<Arc<dyn Gateway>> = Vec::new();
    for provider in [Provider::WebPush, Provider::UnifiedPush] {
        gateways.push(Arc::new(WebPush::new(provider, of_users(), Arc::clone(&vapid), may, Arc::clone(&options.clock))));
    }
    gateways.push(Arc::new(Webhook::new(of_users(), may, Arc::clone(&options.clock))));
    // Services that are configured may be in a private network.
    if let Some(apns) = Apns::open(&options.apns, Outward::http2(true, &trust), &options.clock)? {
        gateways.push(Arc::new(apns));
    }
    if let Some(fcm) = Fcm::open(&options.fcm, Outward::keeping(true, &trust), &options.clock)? {
        gateways.push(Arc::new(fcm));
    }
    gateways.push(Arc::new(Expo::new(options.expo.clone(), Outward::keeping(true, &trust), Arc::clone(&options.clock))));
    Ok(gateways)
}

/// Whether [`gateways`] could be had: files are read, and none is made.
///
/// # Errors
/// What cannot be used.
pub fn check(options: &Options) -> Result<(), GatewayError> {
    options.check()?;
    let trust = Arc::new(trust(options.ca_file.as_deref())?);
    Vapid::check(options)?;
    Apns::open(&options.apns, Outward::http2(true, &trust), &options.clock)?;
    Fcm::open(&options.fcm, Outward::keeping(true, &trust), &options.clock)?;
    Ok(())
}

/// The gateway of the XMPP edge.
#[must_use]
pub fn of_xmpp(edge: &Arc<Edge>) -> Arc<dyn Gateway> {
    Arc::new(Xmpp::new(Arc::clone(edge)))
}

/// Whom the gateways trust.
fn trust(ca_file: Option<&Path>) -> Result<Trust, GatewayError> {
    let Some(path) = ca_file else { return Ok(Trust::default()) };
    Trust::with(&read("push.ca_file", path)?).ok_or_else(|| GatewayError::Content {
        key: "push.ca_file",
        path: path.to_owned(),
        what: "there is no certificate in PEM in it".to_owned(),
    })
}

/// What a configured file holds.
fn read(key: &'static str, path: &Path) -> Result<Vec<u8>, GatewayError> {
    fs::read(path).map_err(|error| GatewayError::File { key, path: path.to_owned(), error })
}

#[cfg(test)]
mod tests {
    use hallway_broker::clock::Clock;

    use super::testing::{Hands, options};
    use super::*;

    /// What is wrong with these options: as they are checked, and as they are started with.
    fn refused(change: impl FnOnce(&mut Options)) -> String {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::at(0));
        let mut options = options(dir.path(), &clock);
        change(&mut options);
        let checked = check(&options).unwrap_err().to_string();
        assert_eq!(gateways(&options).err().map(|error| error.to_string()), Some(checked.clone()));
        checked
    }

    #[test]
    fn what_cannot_be_meant_is_refused_by_its_key() {
        for (key, change) in [
            ("push.apns.url", (|options, url| options.apns.url = url) as fn(&mut Options, Option<String>)),
            ("push.apns.sandbox_url", |options, url| options.apns.sandbox_url = url),
            ("push.fcm.url", |options, url| options.fcm.url = url),
            ("push.fcm.token_url", |options, url| options.fcm.token_url = url),
            ("push.expo.url", |options, url| options.expo.url = url),
        ] {
            for url in ["", "nonsense", "ftp://push.example", "https://a b", "https://:443"] {
                let error = refused(|options| change(options, Some(url.to_owned())));
                assert!(error.starts_with(&format!("{key} '{url}' is not https://HOST")), "{error}");
            }
        }
        let error = refused(|options| options.apns.team_id = Some("TEAM123456".to_owned()));
        assert!(error.starts_with("push.apns.key_file is missing"), "{error}");
        let error = refused(|options| options.expo.access_token = Some("do not\ntell".to_owned()));
        assert!(error.starts_with("push.expo.access_token is no token") && !error.contains("tell"), "{error}");
        let error = refused(|options| options.ca_file = Some("/no/such/file.pem".into()));
        assert!(error.starts_with("push.ca_file: /no/such/file.pem: "), "{error}");
        let error = refused(|options| fs::write(options.data_dir.join("vapid.key"), "no key").unwrap());
        assert!(error.starts_with("the Web Push key: "), "{error}");
    }

    #[test]
    fn a_check_makes_nothing() {
        let (dir, clock) = (tempfile::tempdir().unwrap(), Hands::at(0));
        let options = Options { clock: Arc::clone(&clock) as Arc<dyn Clock>, ..options(dir.path(), &clock) };
        check(&options).unwrap();
        assert_eq!(fs::read_dir(dir.path()).unwrap().count(), 0);
        gateways(&options).unwrap();
        check(&options).unwrap();
    }
}
