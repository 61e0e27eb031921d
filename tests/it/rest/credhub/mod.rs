//! CredHub's API as its callers meet it: the real server over TLS on a free port, on the real use cases.

mod answers;
mod bad_bodies;
mod bad_certificates;
mod bad_input;
mod bulk;
mod certificates;
mod converge;
mod data;
mod deletion;
mod doors;
mod example;
mod generated;
mod generation;
mod installed;
mod interpolation;
mod limits;
mod read_only;
mod rotation;
mod signing;
mod stock;

use reqwest::Method;
use serde_json::{Value, json};

use crate::rest::house::House;

const DATA: &str = "/api/v1/data";

async fn set(house: &House, name: &str, kind: &str, value: Value) -> Value {
    let body = json!({"name": name, "type": kind, "value": value});
    let (status, made) = house.send(Method::PUT, DATA, &body).await;
    assert_eq!(status, 200, "{made}");
    made
}

async fn generate(house: &House, name: &str, kind: &str, parameters: Value) -> Value {
    let body = json!({"name": name, "type": kind, "parameters": parameters});
    let (status, made) = house.send(Method::POST, DATA, &body).await;
    assert_eq!(status, 200, "{made}");
    made
}

async fn current(house: &House, name: &str) -> Value {
    let (status, found) = house.get(&format!("{DATA}?current=true&name={name}")).await;
    assert_eq!(status, 200, "{found}");
    found["data"].clone()
}

async fn value(house: &House, name: &str) -> Value {
    current(house, name).await[0]["value"].clone()
}

fn text(json: &Value) -> &str {
    json.as_str().unwrap_or_else(|| panic!("no text: {json}"))
}

fn column<'a>(list: &'a Value, field: &str) -> Vec<&'a Value> {
    list.as_array().unwrap_or_else(|| panic!("no list: {list}")).iter().map(|item| &item[field]).collect()
}

fn members(object: &Value) -> Vec<&str> {
    object.as_object().unwrap_or_else(|| panic!("no object: {object}")).keys().map(String::as_str).collect()
}

/// A certificate that is made elsewhere, valid up to the first day of this year.
fn ended_in(year: i32) -> rcgen::CertificateParams {
    let mut params = rcgen::CertificateParams::default();
    (params.not_before, params.not_after) = (rcgen::date_time_ymd(2000, 1, 1), rcgen::date_time_ymd(year, 1, 1));
    params
}
