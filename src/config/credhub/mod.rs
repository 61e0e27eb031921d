//! Settings of CredHub's API: the part `credhub` of the YAML file. They are structured, so they have no flags.

mod certificates;
mod issuer;
mod mutual_tls;
mod permissions;

use serde::Deserialize;

use super::kms::check_endpoint;
use super::{Refused, refuse};
pub use certificates::Certificates;
pub use issuer::{Issuer, IssuerKeys};
pub use mutual_tls::MutualTls;
pub use permissions::Permissions;

#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Credhub {
    /// Where `/info` says that clients get their tokens.
    auth_server: Option<String>,
    pub auth: Auth,
    /// What callers may.
    pub permissions: Permissions,
    pub certificates: Certificates,
}

/// Who may call, beside those who may call any API.
#[derive(Clone, Debug, Default, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "camelCase", default)]
pub struct Auth {
    /// Issuers of bearer tokens.
    pub issuers: Vec<Issuer>,
    /// Authorities of certificates; absent: none.
    pub mutual_tls: Option<MutualTls>,
}

impl Credhub {
    pub(super) fn check(&self) -> Result<(), Refused> {
        self.certificates.check()?;
        if let Some(url) = &self.auth_server {
            check_endpoint("credhub.authServer", url)?;
        }
        let mut urls: Vec<&str> = self.auth.issuers.iter().map(|issuer| issuer.url.as_str()).collect();
        urls.sort_unstable();
        if let Some(twice) = urls.windows(2).find(|pair| pair[0] == pair[1]) {
            return refuse(format!("credhub.auth.issuers has {} twice", twice[0]));
        }
        Ok(())
    }

    /// Where clients get their tokens; empty: nowhere that is known here.
    pub fn auth_server(&self) -> &str {
        let first = self.auth.issuers.first().map(|issuer| issuer.url.as_str());
        self.auth_server.as_deref().or(first).unwrap_or_default()
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::domain::subject::{Attribute, Subject};

    fn read(text: &str) -> Result<Credhub, String> {
        let credhub: Credhub = serde_yaml::from_str(text).map_err(|error| error.to_string())?;
        credhub.check().map_err(|error| error.to_string())?;
        Ok(credhub)
    }

    #[test]
    fn an_address_is_enough_for_an_issuer() {
        let credhub = read("auth: {issuers: [{url: 'https://uaa.example/'}]}").unwrap();
        let [issuer] = &credhub.auth.issuers[..] else { panic!("one issuer") };
        assert_eq!(
            (issuer.url.as_str(), &issuer.name, &issuer.keys),
            ("https://uaa.example", &None, &IssuerKeys::Discovery)
        );
        assert_eq!(issuer.terms.scopes, ["credhub.read", "credhub.write"]);
        assert_eq!((issuer.terms.prefix.as_str(), issuer.terms.audiences.len()), ("uaa", 0));
        assert_eq!(credhub.auth_server(), "https://uaa.example");
        assert_eq!(read("").unwrap().auth_server(), "");
        let other = "authServer: https://login.example\nauth: {issuers: [{url: https://uaa.example}]}";
        assert_eq!(read(other).unwrap().auth_server(), "https://login.example");
    }

    #[test]
    fn an_issuer_without_a_document_is_called_as_its_address_is_written() {
        let text = "auth: {issuers: [{url: 'https://a.example/', jwksUrl: 'https://b.example/keys', audiences: [x],
            requiredScopes: [], actorPrefix: ci, caFile: /ca}, {url: https://c.example, keyFile: /key, issuer: c}]}";
        let [first, second] = &read(text).unwrap().auth.issuers[..] else { panic!("two issuers") };
        assert_eq!(first.name.as_deref(), Some("https://a.example/"));
        assert_eq!(first.keys, IssuerKeys::Set("https://b.example/keys".into()));
        assert!(first.terms.scopes.is_empty() && first.ca_file.is_some());
        assert_eq!((second.name.as_deref(), &second.keys), (Some("c"), &IssuerKeys::File("/key".into())));
    }

    #[test]
    fn certificates_name_applications_if_nothing_else_is_said() {
        let named = |text: &str, unit: &str| {
            let given = read(text).unwrap().auth.mutual_tls.unwrap();
            let subject = Subject(vec![vec![(Attribute::OrganizationalUnit, unit.to_owned())]]);
            given.subjects.iter().find_map(|pattern| pattern.actor(&subject))
        };
        let app = "app:a12345e5-b2b0-4648-a0d0-772d3d399dcb";
        assert_eq!(named("auth: {mutualTls: {caFile: /ca}}", app).unwrap(), format!("mtls-{app}"));
        let text = "auth: {mutualTls: {caFile: /ca, subjects: [{pattern: 'OU={name}', actor: 'mtls-{name}'}]}}";
        assert_eq!(named(text, "till").as_deref(), Some("mtls-till"));
    }

    #[test]
    fn what_is_unknown_missing_or_contradictory_is_refused_by_its_name() {
        let issuer = |more: &str| format!("auth: {{issuers: [{{url: https://a.example, {more}}}]}}");
        for (text, named) in [
            ("authserver: x", "authserver"),
            ("authServer: http://a.example", "credhub.authServer"),
            ("auth: {issuer: x}", "issuer"),
            ("auth: {issuers: [{}]}", "url"),
            ("auth: {issuers: [{url: a.example}]}", "credhub.auth.issuers.url"),
            ("auth: {issuers: [{url: http://a.example}]}", "credhub.auth.issuers.url"),
            ("auth: {issuers: [{url: 'https://a.example/?x'}]}", "credhub.auth.issuers.url"),
            ("auth: {issuers: [{url: https://a.example}, {url: 'https://a.example/'}]}", "twice"),
            (&issuer("jwksurl: x"), "jwksurl"),
            (&issuer("jwksUrl: http://b.example"), "jwksUrl"),
            (&issuer("jwksUrl: https://b.example, keyFile: /k"), "keyFile"),
            (&issuer("keyFile: /k, caFile: /ca"), "caFile"),
            (&issuer("issuer: ''"), "issuer"),
            (&issuer("audiences: ['']"), "audiences"),
            (&issuer("requiredScopes: ['a b']"), "requiredScopes"),
            (&issuer("actorPrefix: 'UAA'"), "actorPrefix"),
            (&issuer("actorPrefix: mtls"), "actorPrefix"),
            ("auth: {mutualTls: {}}", "caFile"),
            ("auth: {mutualTls: {caFile: /ca, subjects: []}}", "subjects"),
            ("auth: {mutualTls: {caFile: /ca, subjects: [{pattern: 'O=x', actor: y}]}}", "O=x"),
            ("auth: {mutualTls: {caFile: /ca, subjects: [{pattern: 'OU=x'}]}}", "actor"),
        ] {
            let refused = read(text).expect_err(text);
            assert!(refused.contains(named), "{text}: {refused}");
        }
    }
}
