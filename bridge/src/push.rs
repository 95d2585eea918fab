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
