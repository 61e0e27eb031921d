//! What a refusal calls the fields: as they are found in the resource.

use crate::domain::{Error, Violation};

/// The fields of a refusal as they are found in the resource.
pub fn under(parent: &'static str) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Invalid(violations) => Error::Invalid(violations.into_iter().map(|found| found.under(parent)).collect()),
        other => other,
    }
}

/// The same, where the resource calls some fields otherwise than the domain.
pub fn renamed(names: &'static [(&'static str, &'static str)]) -> impl Fn(Error) -> Error {
    move |error| match error {
        Error::Invalid(violations) => Error::Invalid(
            violations
                .into_iter()
                .map(|found| match names.iter().find(|(domain, _)| *domain == found.field) {
                    Some((_, field)) => Violation { field: (*field).to_owned(), ..found },
                    None => found.under("spec"),
                })
                .collect(),
        ),
        other => other,
    }
}

impl Violation {
    fn under(self, parent: &str) -> Self {
        match self.field.starts_with("spec.") {
            true => self,
            false => Self { field: format!("{parent}.{}", self.field), ..self },
        }
    }
}

/// Domain errors in the fields of a `CertificateAuthority`.
pub const AUTHORITY_FIELDS: fn(Error) -> Error = |error| {
    renamed(&[("duration", "spec.validity"), ("ca", "spec.parentRef"), ("commonName", "spec.subject.commonName")])(
        error,
    )
};

/// Domain errors in the fields of a `ClientCredential`.
pub const CLIENT_FIELDS: fn(Error) -> Error =
    |error| renamed(&[("duration", "spec.ttl"), ("ca", "spec.authorityRef")])(error);
