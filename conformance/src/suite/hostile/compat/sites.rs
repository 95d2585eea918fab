//! A page of another site, and a name that an attacker has made to lead here, at everything that a browser can be sent to.

use anyhow::{Result, ensure};
use serde_json::json;

use super::upgrade;
use crate::http::Request;
use crate::server::Server;

/// Every upgrade.
const UPGRADES: &[&str] = &[
    "/ws",
    "/mqtt",
    "/xmpp-websocket",
    "/sock?accessToken=TOKEN",
    "/lobby?accessToken=TOKEN",
    "/socket.io/?EIO=4&transport=websocket&token=TOKEN",
];
/// Every request that does or tells something for somebody.
const REQUESTS: &[(&str, &str)] = &[
    ("POST", "/rpc?accessToken=TOKEN"),
    ("POST", "/ticket?accessToken=TOKEN"),
    ("GET", "/ticket?accessToken=TOKEN"),
    ("GET", "/api/conversations?accessToken=TOKEN"),
    ("POST", "/api/groups/leave?accessToken=TOKEN"),
    ("POST", "/api/notify?accessToken=TOKEN"),
    ("POST", "/api/register"),
    ("POST", "/api/login"),
    ("GET", "/socket.io/?EIO=4&transport=polling"),
    ("POST", "/socket.io/?EIO=4&transport=polling"),
];
/// The same, of what a server need not have.
const OPTIONAL: &[(&str, &str)] =
    &[("GET", "/events?accessToken=TOKEN"), ("POST", "/files?accessToken=TOKEN&name=x"), ("POST", "/http-bind")];

/// 403 for each, and for nobody from here.
pub(super) fn run(server: &Server, token: &str) -> Result<String> {
    let own = server.http().to_string();
    // What a page of another site sends, and one that was loaded from a name that now leads here.
    let foreign: [&[(&str, &str)]; 5] = [
        &[("Origin", "https://evil.example")],
        &[("Origin", "null")],
        &[("Host", "evil.example"), ("Origin", "http://evil.example")],
        &[("Host", "evil.example")],
        &[("Host", &own), ("Origin", "http://localhost.evil.example")],
    ];
    let mut tried = 0;
    for path in UPGRADES.iter().map(|path| path.replace("TOKEN", token)) {
        ensure!(upgrade(server, &path, &[])? == 101, "{path:.40} does not open for a client without an origin");
        for headers in foreign {
            let status = upgrade(server, &path, headers)?;
            ensure!(status == 403, "{path:.40} with {headers:?}: {status}");
            tried += 1;
        }
    }
    for (method, path) in REQUESTS.iter().chain(OPTIONAL) {
        let request = |headers: &[(&str, &str)]| {
            let request = Request::new(method, &path.replace("TOKEN", token)).json(&json!({}));
            headers.iter().fold(request, |request, (name, value)| request.header(name, value)).send(server.http())
        };
        let is_missing = OPTIONAL.contains(&(*method, *path)) && request(foreign[0])?.status() == 404;
        for headers in foreign.iter().filter(|_| !is_missing) {
            let answer = request(headers)?;
            ensure!(answer.status() == 403, "{method} {path} with {headers:?}: {}", answer.status());
            ensure!(answer.head.header("access-control-allow-origin").is_none(), "{method} {path} may be read by {headers:?}");
            tried += 1;
        }
    }
    Ok(format!("{tried} tried"))
}
