//! Callers that a proxy logs in: which headers say who they are, and who is believed about that.

use ipnet::IpNet;
use serde::Deserialize;

use crate::config::{Refused, refuse};
use crate::domain::client::Fingerprint;

/// Complete and valid.
#[derive(Clone, Debug, Deserialize)]
#[serde(try_from = "Given")]
pub struct HeaderLogin {
    pub user: http::HeaderName,
    pub email: http::HeaderName,
    pub addresses: Vec<IpNet>,
    pub certificates: Vec<Fingerprint>,
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase")]
struct Given {
    user_header: String,
    email_header: String,
    #[serde(default)]
    addresses: Vec<String>,
    #[serde(default)]
    certificates: Vec<String>,
}

/// Headers that mean something else already.
const TAKEN: [&str; 6] = ["authorization", "cookie", "host", "x-auth-from", "x-auth-token", "x-xsrf-token"];

impl TryFrom<Given> for HeaderLogin {
    type Error = Refused;

    fn try_from(given: Given) -> Result<Self, Refused> {
        if given.addresses.is_empty() && given.certificates.is_empty() {
            return refuse(
                "confidant.headerLogin needs addresses or certificates: from anybody the headers would prove nothing",
            );
        }
        Ok(Self {
            user: name("userHeader", &given.user_header)?,
            email: name("emailHeader", &given.email_header)?,
            addresses: given.addresses.iter().map(|text| net(text)).collect::<Result<_, _>>()?,
            certificates: given.certificates.iter().map(|text| fingerprint(text)).collect::<Result<_, _>>()?,
        })
    }
}

fn name(field: &str, text: &str) -> Result<http::HeaderName, Refused> {
    match text.parse::<http::HeaderName>() {
        Ok(name) if !TAKEN.contains(&name.as_str()) => Ok(name),
        Ok(_) => refuse(format!("confidant.headerLogin.{field}: {text} means something else already")),
        Err(_) => refuse(format!("confidant.headerLogin.{field}: {text:?} is no name of a header")),
    }
}

fn net(text: &str) -> Result<IpNet, Refused> {
    let net = text.parse::<IpNet>().ok().or_else(|| Some(IpNet::from(text.parse::<std::net::IpAddr>().ok()?)));
    match net {
        Some(net) if net.prefix_len() > 0 => Ok(net),
        Some(_) => refuse(format!("confidant.headerLogin.addresses: {text} is everybody")),
        None => {
            refuse(format!("confidant.headerLogin.addresses: {text:?} is no address such as 10.0.0.7 or 10.0.0.0/24"))
        }
    }
}

/// As `openssl x509 -fingerprint -sha256` prints it, with or without colons.
fn fingerprint(text: &str) -> Result<Fingerprint, Refused> {
    let mut bytes = [0; 32];
    match hex::decode_to_slice(text.replace(':', ""), &mut bytes) {
        Ok(()) => Ok(Fingerprint(bytes)),
        Err(_) => refuse(format!(
            "confidant.headerLogin.certificates: {text:?} is no SHA-256 fingerprint of 64 hexadecimal digits"
        )),
    }
}

/// A name that browsers take for a cookie (RFC 6265, 4.1.1).
pub(super) fn check_cookie(text: &str) -> Result<(), Refused> {
    let fits = |byte: u8| byte.is_ascii_graphic() && !b"()<>@,;:\\\"/[]?={}".contains(&byte);
    if text.is_empty() || !text.bytes().all(fits) {
        return refuse(format!("confidant.xsrfCookie: {text:?} is no name of a cookie"));
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn read(text: &str) -> Result<HeaderLogin, String> {
        serde_yaml::from_str(text).map_err(|error| error.to_string())
    }

    const NAMES: &str = "userHeader: X-User\nemailHeader: X-Email\n";

    #[test]
    fn headers_and_who_is_believed_about_them() {
        let print = "AB:".repeat(31) + "ab";
        let text = format!("{NAMES}addresses: [10.0.0.7, '10.1.0.0/16', '::1']\ncertificates: ['{print}']\n");
        let login = read(&text).unwrap();
        assert_eq!((login.user.as_str(), login.email.as_str()), ("x-user", "x-email"));
        let nets: Vec<String> = login.addresses.iter().map(ToString::to_string).collect();
        assert_eq!(nets, ["10.0.0.7/32", "10.1.0.0/16", "::1/128"]);
        assert_eq!(login.certificates, [Fingerprint([0xab; 32])]);
    }

    #[test]
    fn what_would_believe_the_wrong_ones_is_refused_by_its_name() {
        for (text, named) in [
            (NAMES, "addresses"),
            ("emailHeader: X-Email\naddresses: [10.0.0.7]", "userHeader"),
            ("userHeader: X-User\nemailHeader: Authorization\naddresses: [10.0.0.7]", "emailHeader"),
            ("userHeader: two words\nemailHeader: X-Email\naddresses: [10.0.0.7]", "userHeader"),
            (&format!("{NAMES}addresses: [nowhere]"), "nowhere"),
            (&format!("{NAMES}addresses: ['0.0.0.0/0']"), "everybody"),
            (&format!("{NAMES}certificates: [ab]"), "certificates"),
            (&format!("{NAMES}addresses: [10.0.0.7]\nfrom: me"), "from"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
        for cookie in ["", "two words", "a=b", "a;b", "\u{fc}"] {
            assert!(check_cookie(cookie).is_err(), "{cookie:?}");
        }
        assert!(check_cookie("XSRF-TOKEN").is_ok());
    }
}
