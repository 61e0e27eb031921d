//! Callers that a proxy has logged in: their names stand in headers, which count only from that proxy. From anywhere else
//! they are what anybody can write, and so nothing at all.

use std::net::IpAddr;

use ipnet::IpNet;
use warp::http::{HeaderMap, HeaderName};

use crate::app::audit::sha256;
use crate::domain::actor::{Actor, PrincipalKind, Scheme, Standing};
use crate::domain::client::Fingerprint;
use crate::domain::name::Tenant;
use crate::server::Peer;

/// What an address of mail has at most (RFC 5321, 4.5.3.1).
const NAME_LIMIT: usize = 254;

#[derive(Clone, Debug)]
pub struct HeaderLogin {
    pub user: HeaderName,
    pub email: HeaderName,
    /// Where the proxy calls from; empty: from anywhere, with one of the certificates.
    pub addresses: Vec<IpNet>,
    /// Of the certificates that the proxy shows; empty: it shows none.
    pub certificates: Vec<Fingerprint>,
}

/// What the proxy says of a request.
#[derive(Debug, PartialEq, Eq)]
pub enum Said {
    /// It is not the proxy, or says nothing: other schemes may be asked.
    Nothing,
    /// The proxy passes on somebody whom it does not know. The certificate is its own, and nobody else's.
    Nobody,
    User(Actor),
    /// One name without the other, or two of them, or one that is none.
    Unreadable,
}

impl HeaderLogin {
    pub fn said(&self, headers: &HeaderMap, peer: Option<&Peer>) -> Said {
        let Some(peer) = peer.filter(|peer| self.believes(peer)) else { return Said::Nothing };
        let [user, email] = [&self.user, &self.email].map(|name| one(headers, name));
        match (user, email) {
            (Ok(None), Ok(None)) if self.certificates.is_empty() => Said::Nothing,
            (Ok(None), Ok(None)) => Said::Nobody,
            (Ok(Some(_)), Ok(Some(email))) => Said::User(actor(email, peer.addr.ip())),
            _ => Said::Unreadable,
        }
    }

    /// Both lists count where both are given: an address alone can be somebody else's tomorrow.
    pub fn believes(&self, peer: &Peer) -> bool {
        let address = peer.addr.ip().to_canonical();
        let from = self.addresses.is_empty() || self.addresses.iter().any(|net| net.contains(&address));
        let shows = |der: &[u8]| self.certificates.contains(&Fingerprint(sha256(der)));
        let shown = self.certificates.is_empty() || peer.certificate.as_deref().is_some_and(shows);
        let anything = !self.addresses.is_empty() || !self.certificates.is_empty();
        anything && from && shown
    }
}

/// The one value of a header; one without letters is none.
fn one<'a>(headers: &'a HeaderMap, name: &HeaderName) -> Result<Option<&'a str>, ()> {
    let mut values = headers.get_all(name).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        return Err(());
    }
    // Bytes beyond ASCII have no meaning that proxies agree on.
    let text = value.to_str().map_err(|_| ())?.trim();
    if text.len() > NAME_LIMIT {
        return Err(());
    }
    Ok((!text.is_empty()).then_some(text))
}

/// Known by the address, in small letters: that is how Confidant writes it into its records.
fn actor(email: &str, from: IpAddr) -> Actor {
    Actor {
        id: email.to_lowercase(),
        tenant: Tenant::outside(),
        scheme: Scheme::Header,
        standing: Standing::Principal { kind: PrincipalKind::User, account: None },
        from: Some(from),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::sync::Arc;
    use warp::http::HeaderValue;

    fn login(addresses: &[&str], certificates: &[&[u8]]) -> HeaderLogin {
        HeaderLogin {
            user: HeaderName::from_static("x-user"),
            email: HeaderName::from_static("x-email"),
            addresses: addresses.iter().map(|net| net.parse().unwrap()).collect(),
            certificates: certificates.iter().map(|der| Fingerprint(sha256(der))).collect(),
        }
    }

    fn peer(address: &str, certificate: Option<&[u8]>) -> Peer {
        let addr = format!("{address}:4711").parse().unwrap();
        Peer { addr, local: None, certificate: certificate.map(Arc::from), shown: None }
    }

    fn said(login: &HeaderLogin, peer: &Peer, names: &[(&'static str, &str)]) -> Said {
        let mut headers = HeaderMap::new();
        for (name, value) in names {
            headers.append(*name, HeaderValue::from_bytes(value.as_bytes()).unwrap());
        }
        login.said(&headers, Some(peer))
    }

    const ANN: &[(&str, &str)] = &[("x-user", "ann"), ("x-email", " Ann@Example.com ")];

    fn is_ann(said: Said) -> bool {
        matches!(said, Said::User(actor) if actor.id == "ann@example.com" && actor.scheme == Scheme::Header)
    }

    #[test]
    fn only_the_proxy_is_believed() {
        let by_address = login(&["10.0.0.0/24", "::1/128"], &[]);
        for (address, expected) in [
            ("10.0.0.7", true),
            ("[::ffff:10.0.0.7]", true),
            ("[::1]", true),
            ("10.0.1.7", false),
            ("127.0.0.1", false),
        ] {
            let said = said(&by_address, &peer(address, None), ANN);
            assert_eq!(is_ann(said), expected, "{address}");
        }
        let by_certificate = login(&[], &[b"proxy"]);
        let both = login(&["10.0.0.0/24"], &[b"proxy"]);
        for (address, certificate, by_one, by_both) in [
            ("192.0.2.1", Some(&b"proxy"[..]), true, false),
            ("10.0.0.1", Some(b"proxy"), true, true),
            ("10.0.0.1", Some(b"other"), false, false),
            ("10.0.0.1", None, false, false),
        ] {
            let peer = peer(address, certificate);
            assert_eq!(is_ann(said(&by_certificate, &peer, ANN)), by_one, "{peer:?}");
            assert_eq!(is_ann(said(&both, &peer, ANN)), by_both, "{peer:?}");
        }
        assert_eq!(login(&[], &[]).said(&HeaderMap::new(), None), Said::Nothing);
        assert_eq!(said(&login(&[], &[]), &peer("10.0.0.1", None), ANN), Said::Nothing);
    }

    #[test]
    fn half_a_login_is_none() {
        let login = login(&["10.0.0.1/32"], &[]);
        let proxy = peer("10.0.0.1", None);
        assert_eq!(said(&login, &proxy, &[]), Said::Nothing);
        assert_eq!(said(&login, &proxy, &[("x-user", ""), ("x-email", " ")]), Said::Nothing);
        let long = "x".repeat(255);
        for names in [
            &ANN[..1],
            &ANN[1..],
            &[ANN[0], ANN[1], ANN[1]],
            &[ANN[0], ("x-email", "")],
            &[ANN[0], ("x-email", "\u{fc}@example.com")],
            &[ANN[0], ("x-email", long.as_str())],
        ] {
            assert_eq!(said(&login, &proxy, names), Said::Unreadable, "{names:?}");
        }
    }

    #[test]
    fn the_proxys_certificate_is_nobody_elses() {
        let proxy = peer("192.0.2.1", Some(b"proxy"));
        assert_eq!(said(&login(&[], &[b"proxy"]), &proxy, &[]), Said::Nobody);
    }
}
