//! Chains from texts in any order.

use super::*;
use crate::app::ports::Chain;

const CA: Role = Role::Authority { path_length: None };

fn chain(own: &Material, others: &[&Material]) -> Chain {
    let texts: Vec<SecretText> = others.iter().map(|it| it.require("certificate").unwrap().clone()).collect();
    Workshop::new().chain(own.require("certificate").unwrap(), &texts.iter().collect::<Vec<_>>()).unwrap()
}

fn is(chain: &Chain, of: &[&Material], is_whole: bool) {
    let first = |it: &&Material| {
        let text = field(it, "certificate");
        text[..text.find("-----END CERTIFICATE-----").unwrap()].to_owned()
    };
    let texts: Vec<&str> = chain.certificates.iter().map(SecretText::expose).collect();
    assert_eq!((texts.len(), chain.is_whole), (of.len(), is_whole));
    assert!(texts.iter().zip(of.iter().map(first)).all(|(text, begin)| text.starts_with(&begin)));
}

#[tokio::test]
async fn signatures_say_which_of_two_of_one_name_it_was() {
    let named = |name: &str, key| plan(name, key, CA);
    let root = make(&named("root", KeyAlgorithm::Ed25519), None).await;
    let later = make(&named("root", KeyAlgorithm::Ed25519), None).await;
    let mid = make(&named("mid", KeyAlgorithm::Rsa2048), Some(&root)).await;
    let low = make(&named("low", KeyAlgorithm::EcdsaP384), Some(&mid)).await;
    let leaf = make(&plan("leaf", KeyAlgorithm::EcdsaP256, Role::Leaf), Some(&low)).await;
    is(&chain(&leaf, &[&later, &root, &mid, &low]), &[&leaf, &low, &mid, &root], true);
    // A text with several is as good as each alone.
    is(&chain(&leaf, &[&leaf, &later, &root]), &[&leaf, &low, &mid, &root], true);
    is(&chain(&leaf, &[&low, &mid, &later]), &[&leaf, &low, &mid], false);
    is(&chain(&leaf, &[&root]), &[&leaf], false);
    is(&chain(&root, &[&root, &later]), &[&root], true);
}

#[tokio::test]
async fn what_is_no_certificate_is_passed_over_and_the_first_must_be_one() {
    let workshop = Workshop::new();
    let root = make(&plan("root", KeyAlgorithm::EcdsaP256, CA), None).await;
    let (own, noise) = (root.require("certificate").unwrap(), SecretText::from("noise"));
    assert!(workshop.chain(own, &[&noise, &SecretText::EMPTY]).unwrap().is_whole);
    let Err(error) = workshop.chain(&noise, &[own]) else { panic!("accepted") };
    assert!(error.to_string().starts_with("certificate "), "{error}");
}
