//! What controllers may assume of all four kinds, so that they are written once.

use std::fmt::Debug;

use jiff::SignedDuration;
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::Condition;
use kube::core::object::{HasSpec, HasStatus};
use kube::{CustomResourceExt, Resource, ResourceExt};
use serde::Serialize;
use serde::de::DeserializeOwned;

use super::{CertificateAuthority, ClientCredential, Credential, GoDuration, Observed, Service, Target};

/// A custom resource that Strongroom reconciles.
pub trait Managed:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + CustomResourceExt
    + HasSpec
    + HasStatus<
        Status: AsRef<Observed>
                    + AsMut<Observed>
                    + Clone
                    + Debug
                    + Default
                    + PartialEq
                    + Serialize
                    + DeserializeOwned
                    + Send
                    + Sync,
    > + Clone
    + Debug
    + PartialEq
    + Serialize
    + DeserializeOwned
    + Send
    + Sync
    + 'static
{
    const KIND: &'static str;

    /// Where the Secret goes; none for a kind that never has one.
    fn target(&self) -> Option<&Target>;

    /// How long the record outlives the resource, where the resource says so.
    fn retain_for(&self) -> Option<SignedDuration>;

    /// Name of the Secret that this resource makes; none where it makes none.
    fn secret_name(&self) -> Option<String> {
        self.target()?.secret_name(&self.name_any())
    }

    fn conditions(&self) -> &[Condition] {
        self.status().map_or(&[], |status| &status.as_ref().conditions)
    }

    fn observed_generation(&self) -> Option<i64> {
        self.status()?.as_ref().observed_generation
    }

    /// The part of the status that all kinds share, made where there is none yet.
    fn observed_mut(&mut self) -> &mut Observed {
        self.status_mut().get_or_insert_default().as_mut()
    }
}

macro_rules! managed {
    ($($kind:ident $status:ident { target: $target:expr, retain_for: $retain_for:expr })+) => {$(
        impl Managed for $kind {
            const KIND: &'static str = stringify!($kind);

            fn target(&self) -> Option<&Target> {
                let of: fn(&$kind) -> Option<&Target> = $target;
                of(self)
            }

            fn retain_for(&self) -> Option<SignedDuration> {
                let of: fn(&$kind) -> Option<&GoDuration> = $retain_for;
                of(self).map(GoDuration::length)
            }
        }

        impl AsRef<Observed> for super::$status {
            fn as_ref(&self) -> &Observed {
                &self.observed
            }
        }

        impl AsMut<Observed> for super::$status {
            fn as_mut(&mut self) -> &mut Observed {
                &mut self.observed
            }
        }
    )+};
}

managed! {
    Credential CredentialStatus {
        target: |it| Some(&it.spec.target),
        retain_for: |it| it.spec.retain_for.as_ref()
    }
    Service ServiceStatus {
        target: |it| Some(&it.spec.target),
        retain_for: |_| None
    }
    CertificateAuthority CertificateAuthorityStatus {
        target: |_| None,
        retain_for: |it| it.spec.retain_for.as_ref()
    }
    ClientCredential ClientCredentialStatus {
        target: |it| Some(&it.spec.target),
        retain_for: |it| it.spec.retain_for.as_ref()
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn agrees_with_the_derived_resource<K: Managed>() {
        assert_eq!(K::kind(&()), K::KIND);
        assert_eq!(K::group(&()), super::super::GROUP);
    }

    #[test]
    fn every_kind_is_called_as_its_resource() {
        agrees_with_the_derived_resource::<Credential>();
        agrees_with_the_derived_resource::<Service>();
        agrees_with_the_derived_resource::<CertificateAuthority>();
        agrees_with_the_derived_resource::<ClientCredential>();
    }

    #[test]
    fn the_first_condition_makes_the_status() {
        let spec = serde_json::json!({"type": "Basic"});
        let mut client = ClientCredential::new("till", serde_json::from_value(spec).expect("a spec"));
        assert!(client.conditions().is_empty());
        client.observed_mut().observed_generation = Some(3);
        assert_eq!(client.observed_generation(), Some(3));
        assert_eq!(client.secret_name().as_deref(), Some("till"));
    }
}
