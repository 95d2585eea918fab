//! Who is at the other end: the peer, or who a trusted proxy says it is.

use std::net::IpAddr;
use std::str::FromStr;

use hyper::HeaderMap;
use hyper::header::{HOST, HeaderName};

use super::plain;

const FORWARDED_FOR: HeaderName = HeaderName::from_static("x-forwarded-for");
const FORWARDED_PROTO: HeaderName = HeaderName::from_static("x-forwarded-proto");
const FORWARDED_HOST: HeaderName = HeaderName::from_static("x-forwarded-host");

/// Neither an address nor a network.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
#[error("{0:?} is neither an address nor a network as 10.0.0.0/8")]
pub struct BadNetwork(pub String);

/// An address, or a network of them.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub struct Network {
    address: IpAddr,
    prefix_bits: u32,
}

impl FromStr for Network {
    type Err = BadNetwork;

    fn from_str(text: &str) -> Result<Self, BadNetwork> {
        let bad = || BadNetwork(text.into());
        let (address, prefix) = text.split_once('/').map_or((text, None), |(address, prefix)| (address, Some(prefix)));
        let address = plain(address.parse().map_err(|_| bad())?);
        let most = if address.is_ipv4() { 32 } else { 128 };
        let prefix_bits = prefix.map_or(Ok(most), str::parse).map_err(|_| bad())?;
        if prefix_bits > most { Err(bad()) } else { Ok(Self { address, prefix_bits }) }
    }
}

impl Network {
    /// Whether `ip` is in it.
    #[must_use]
    pub fn contains(&self, ip: IpAddr) -> bool {
        let differing = match (self.address, plain(ip)) {
            (IpAddr::V4(a), IpAddr::V4(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            (IpAddr::V6(a), IpAddr::V6(b)) => (a.to_bits() ^ b.to_bits()).leading_zeros(),
            _ => return false,
        };
        differing >= self.prefix_bits
    }
}

/// The client of a request.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Client {
    /// Its address.
    pub address: IpAddr,
    /// Whether it speaks TLS to the proxy in front. This listener itself has none.
    pub secure: bool,
}

/// The client and the host that it asked for. `X-Forwarded-*` of anybody but a trusted proxy is not looked at.
pub fn identify(headers: &HeaderMap, peer: IpAddr, trusted: &[Network]) -> (Client, Option<String>) {
    let is_trusted = |ip: IpAddr| trusted.iter().any(|network| network.contains(ip));
    let text = |name: &HeaderName| headers.get(name).and_then(|value| value.to_str().ok());
    let host = single_host(headers);
    if !is_trusted(peer) {
        return (Client { address: plain(peer), secure: false }, host);
    }
    let client = Client {
        address: forwarded_for(headers, peer, is_trusted),
        secure: text(&FORWARDED_PROTO).is_some_and(|proto| last(proto).eq_ignore_ascii_case("https")),
    };
    (client, text(&FORWARDED_HOST).map(|host| last(host).to_owned()).or(host))
}

/// What the nearest proxy added: headers are appended to from left to right.
fn last(list: &str) -> &str {
    list.rsplit(',').next().unwrap_or(list).trim()
}

/// The Host header, when there is exactly one (RFC 9112 §3.2).
fn single_host(headers: &HeaderMap) -> Option<String> {
    let mut all = headers.get_all(HOST).iter();
    let host = all.next()?.to_str().ok()?.to_owned();
    all.next().is_none().then_some(host)
}

/// From right to left, the first address that is not a trusted proxy's: everything left of it may be made up.
fn forwarded_for(headers: &HeaderMap, peer: IpAddr, is_trusted: impl Fn(IpAddr) -> bool) -> IpAddr {
    let mut address = plain(peer);
    let lines: Vec<&str> = headers.get_all(FORWARDED_FOR).iter().filter_map(|line| line.to_str().ok()).collect();
    for entry in lines.iter().rev().flat_map(|line| line.rsplit(',')) {
        let Ok(ip) = entry.trim().parse::<IpAddr>() else { break };
        address = plain(ip);
        if !is_trusted(address) {
            break;
        }
    }
    address
}

#[cfg(test)]
mod tests {
    use super::*;

    fn headers(rows: &[(&'static str, &str)]) -> HeaderMap {
        rows.iter().map(|(name, value)| (HeaderName::from_static(name), value.parse().unwrap())).collect()
    }

    fn trusted() -> Vec<Network> {
        ["127.0.0.1", "10.0.0.0/8", "fd00::/8"].iter().map(|text| text.parse().unwrap()).collect()
    }

    #[test]
    fn networks() {
        let rows = [
            ("10.0.0.0/8", "10.255.1.2", true),
            ("10.0.0.0/8", "11.0.0.1", false),
            ("10.0.0.0/8", "::ffff:10.1.1.1", true),
            ("10.0.0.0/8", "fd00::1", false),
            ("127.0.0.1", "127.0.0.1", true),
            ("127.0.0.1", "127.0.0.2", false),
            ("0.0.0.0/0", "8.8.8.8", true),
            ("fd00::/8", "fdff::1", true),
            ("fd00::/8", "fe00::1", false),
        ];
        for (network, ip, within) in rows {
            let network: Network = network.parse().unwrap();
            assert_eq!(network.contains(ip.parse().unwrap()), within, "{ip} in {network:?}");
        }
        for bad in ["", "10.0.0.0/33", "10.0.0.0/", "10.0.0/8", "::/129", "proxy.example"] {
            assert_eq!(bad.parse::<Network>(), Err(BadNetwork(bad.into())));
        }
    }

    #[test]
    fn the_client_is_who_a_trusted_proxy_says() {
        type Row = (&'static str, &'static [(&'static str, &'static str)], &'static str);
        let rows: [Row; 8] = [
            ("203.0.113.9", &[("x-forwarded-for", "1.1.1.1")], "203.0.113.9"),
            ("127.0.0.1", &[("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
            ("127.0.0.1", &[("x-forwarded-for", "1.1.1.1, 203.0.113.9")], "203.0.113.9"),
            ("127.0.0.1", &[("x-forwarded-for", "1.1.1.1, 203.0.113.9, 10.0.0.7")], "203.0.113.9"),
            ("127.0.0.1", &[("x-forwarded-for", "1.1.1.1"), ("x-forwarded-for", "203.0.113.9")], "203.0.113.9"),
            ("127.0.0.1", &[("x-forwarded-for", "203.0.113.9, nonsense")], "127.0.0.1"),
            ("::ffff:127.0.0.1", &[("x-forwarded-for", "2001:db8::1")], "2001:db8::1"),
            ("127.0.0.1", &[], "127.0.0.1"),
        ];
        for (peer, lines, client) in rows {
            let (found, _) = identify(&headers(lines), peer.parse().unwrap(), &trusted());
            assert_eq!(found.address, client.parse::<IpAddr>().unwrap(), "{lines:?}");
        }
    }

    #[test]
    fn host_and_scheme_too() {
        let lines = [("host", "127.0.0.1:8080"), ("x-forwarded-host", "chat.example"), ("x-forwarded-proto", "https")];
        let (client, host) = identify(&headers(&lines), "10.0.0.1".parse().unwrap(), &trusted());
        assert_eq!((client.secure, host.as_deref()), (true, Some("chat.example")));
        let (client, host) = identify(&headers(&lines), "203.0.113.9".parse().unwrap(), &trusted());
        assert_eq!((client.secure, host.as_deref()), (false, Some("127.0.0.1:8080")));
        let mut twice = headers(&[("host", "a")]);
        twice.append("host", "b".parse().unwrap());
        assert_eq!(identify(&twice, "203.0.113.9".parse().unwrap(), &[]).1, None);
    }
}
