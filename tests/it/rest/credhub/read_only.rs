//! A process that was told to write nothing.

use std::net::IpAddr;

use reqwest::Method;
use serde_json::json;
use strongroom::api::credhub::Credhub;
use strongroom::api::route::Dialect;

use super::bad_bodies::readers;
use super::stock::{Stock, is_sentence};
use crate::rest::house::{answer, builder};

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn in_read_only_mode_every_write_is_503_and_reads_go_on() {
    let stock = Stock::open().await;
    let readers = readers(&stock).await;
    let tell = async |on: bool| {
        let told = stock.send(Method::POST, "/management", &json!({"read_only_mode": on})).await;
        assert_eq!(told, (200, json!({"read_only_mode": on})));
        assert_eq!(stock.get("/management").await, told);
    };
    tell(true).await;
    let before = stock.position().await;
    for route in Credhub::routes() {
        if route.template == "/management" {
            continue;
        }
        let reader = readers.iter().find(|reader| (&reader.method, reader.template) == (&route.method, route.template));
        let body = reader.map_or(json!({}), |reader| reader.good.clone());
        let path = reader.map_or(route.template, |reader| &reader.path).replace(['{', '}'], "");
        let (status, told) = answer(stock.ops(route.method.clone(), &(path + "?name=/root")).json(&body)).await;
        let writes = route.method != Method::GET && route.template != "/api/v1/interpolate";
        assert_eq!(status == 503, writes, "{} {}: {status} {told}", route.method, route.template);
        assert!(!writes || is_sentence(&told, "read only"), "{told}");
    }
    assert_eq!(stock.position().await, before);
    tell(false).await;
    for reader in &readers {
        let (status, told) = stock.send(reader.method.clone(), &reader.path, &reader.good).await;
        assert!(matches!(status, 200 | 201), "{} {status} {told}", reader.template);
    }
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn whoever_calls_from_another_address_neither_sees_nor_sets_the_mode() {
    let stock = Stock::open().await;
    let elsewhere = builder(&stock.roots, None).local_address(IpAddr::from([127, 0, 0, 2])).build().unwrap();
    for method in [Method::GET, Method::POST] {
        let request =
            elsewhere.request(method, stock.url("/management")).basic_auth("ops", Some(stock.password("ops")));
        let (status, told) = answer(request.json(&json!({"read_only_mode": true}))).await;
        assert!(status == 401 && is_sentence(&told, "address"), "{status} {told}");
    }
    assert_eq!(stock.get("/management").await.1, json!({"read_only_mode": false}));
    stock.close().await;
}

#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn what_a_page_can_send_unasked_tells_nothing() {
    let stock = Stock::open().await;
    for kind in [None, Some("text/plain"), Some("multipart/form-data; boundary=x")] {
        let request = stock.client.post(stock.url("/management")).body(r#"{"read_only_mode":true}"#);
        let request = kind.into_iter().fold(request, |request, kind| request.header("content-type", kind));
        let (status, told) = answer(request).await;
        assert!(status == 400 && is_sentence(&told, "Content-Type"), "{kind:?}: {told}");
    }
    for mode in [json!(null), json!("pizza"), json!(1), json!({})] {
        let told = stock.send(Method::POST, "/management", &json!({"read_only_mode": mode})).await;
        assert!(told.0 == 400 && is_sentence(&told.1, "read_only_mode"), "{told:?}");
    }
    assert_eq!(stock.get("/management").await.1, json!({"read_only_mode": false}));
    stock.close().await;
}
