//! How the adapter takes what KMS answers when something is wrong.

use std::time::{Duration, Instant};

use strongroom::app::ports::KeyService;
use strongroom::domain::Error;
use strongroom::domain::secret::SecretBytes;

use super::Kms;
use super::contract::adapter;
use super::proxy::{Fault, assert_paced};

const CONTEXT: &[u8] = b"context";

#[tokio::test]
async fn what_somebody_must_mend_is_said_once_with_the_key_and_not_tried_again() {
    let kms = Kms::new().await;
    let service = adapter(&kms.proxy.url(), &kms.arn).await.expect("connected");
    let wrapped = service.wrap(&SecretBytes::new(vec![1; 32]), CONTEXT).await.expect("wrapped");
    for (code, said) in [
        ("DisabledException", "enable it"),
        ("KMSInvalidStateException", "deleted"),
        ("NotFoundException", "--kms-region"),
        ("AccessDeniedException", "kms:Decrypt"),
        ("UnrecognizedClientException", "credentials"),
        ("SomethingNew", "SomethingNew"),
    ] {
        kms.proxy.fail(Fault::Refuse("Decrypt", code));
        let before = kms.proxy.calls().len();
        let error = service.unwrap(&wrapped, CONTEXT).await.expect_err("refused");
        assert!(!error.retryable(), "{code}");
        let text = error.to_string();
        assert!(text.contains(&kms.arn) && text.contains(said) && !text.contains("from the proxy"), "{text}");
        assert_eq!(kms.proxy.calls().len(), before + 1, "{code}");
    }
    for code in ["IncorrectKeyException", "InvalidCiphertextException"] {
        kms.proxy.fail(Fault::Refuse("Decrypt", code));
        let error = service.unwrap(&wrapped, CONTEXT).await.expect_err("refused");
        assert!(matches!(&error, Error::Damaged { what, detail } if what == "data key" && detail.contains(&kms.arn)));
    }
}

#[tokio::test]
async fn what_time_mends_is_tried_three_times_a_second_apart() {
    let kms = Kms::new().await;
    let service = adapter(&kms.proxy.url(), &kms.arn).await.expect("connected");
    for code in ["ThrottlingException", "KMSInternalException"] {
        kms.proxy.fail(Fault::Refuse("Encrypt", code));
        let before = kms.proxy.calls().len();
        let error = service.wrap(&SecretBytes::new(vec![1; 32]), CONTEXT).await.expect_err("refused");
        assert!(error.retryable() && matches!(error, Error::Unavailable { part: "the key service", .. }), "{error:?}");
        let calls = kms.proxy.calls();
        assert_eq!(calls.len(), before + 3);
        assert_paced(&calls[before..]);
    }
    kms.proxy.fail(Fault::None);
    let begun = Instant::now();
    for _ in 0..2 {
        service.wrap(&SecretBytes::new(vec![1; 32]), CONTEXT).await.expect("wrapped");
    }
    assert!(begun.elapsed() >= Duration::from_millis(990), "soon after trouble even what succeeds is paced");
}

#[tokio::test]
async fn without_the_right_to_describe_a_key_its_arn_is_enough_and_an_alias_is_not() {
    let kms = Kms::new().await;
    kms.proxy.fail(Fault::Refuse("DescribeKey", "AccessDeniedException"));
    let service = adapter(&kms.proxy.url(), &kms.arn).await.expect("connected");
    let wrapped = service.wrap(&SecretBytes::new(vec![1; 32]), CONTEXT).await.expect("wrapped");
    assert!(service.unwrap(&wrapped, CONTEXT).await.is_ok());
    let refused = adapter(&kms.proxy.url(), "alias/x").await.err().expect("refused");
    assert!(refused.to_string().contains("kms:DescribeKey"), "{refused}");
}
