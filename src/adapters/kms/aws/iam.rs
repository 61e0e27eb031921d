//! Roles in AWS IAM, by two signed queries: the whole SDK of IAM would take longer to build than the rest of this folder.

use std::sync::Arc;
use std::time::{Duration, SystemTime};

use async_trait::async_trait;
use aws_sdk_kms::config::{ProvideCredentials, SharedCredentialsProvider};
use aws_sigv4::http_request::{SignableBody, SignableRequest, SigningSettings, sign};
use aws_sigv4::sign::v4;
use aws_smithy_xml::decode::{Document, try_data};
use reqwest::Client;
use tokio::sync::OnceCell;

use super::client;
use crate::adapters::roots;
use crate::app::ports::{Clock, RoleBook};
use crate::domain::{Error, Result};

const PART: &str = "AWS IAM";
const VERSION: &str = "2010-05-08";
const ENDPOINT: &str = "https://iam.amazonaws.com";
/// Where IAM is, whatever region the rest is in.
const REGION: &str = "us-east-1";
const ANSWER: Duration = Duration::from_secs(10);
/// Of 1000 roles each: more than an account can have.
const PAGES: usize = 20;
/// What one answer may be long: a page of roles with their policies has less.
const SIZE: usize = 16 * 1024 * 1024;

#[derive(Clone, Debug, Default)]
pub struct IamPlace {
    pub endpoint: Option<String>,
    pub region: Option<String>,
}

pub struct IamRoles {
    place: IamPlace,
    clock: Arc<dyn Clock>,
    http: Client,
    credentials: OnceCell<SharedCredentialsProvider>,
}

impl IamRoles {
    /// Credentials come from where the AWS SDKs look for them.
    pub fn new(place: IamPlace, clock: Arc<dyn Clock>) -> Result<Self> {
        let http = Client::builder().tls_certs_only(roots::certificates()?).timeout(ANSWER).build();
        Ok(Self { place, clock, http: http.map_err(Error::internal)?, credentials: OnceCell::new() })
    }

    /// With these credentials instead.
    pub fn with(self, credentials: SharedCredentialsProvider) -> Self {
        Self { credentials: OnceCell::new_with(Some(credentials)), ..self }
    }

    /// `None`: there is no such role.
    pub async fn arn(&self, name: &str) -> Result<Option<String>> {
        if !is_name(name) {
            return Ok(None);
        }
        match self.ask("GetRole", &[("RoleName", name)]).await? {
            Answer::Said(text) => read(&text, "Arn").map(|found| found.into_iter().next()),
            Answer::NoSuchRole => Ok(None),
        }
    }

    fn region(&self) -> &str {
        self.place.region.as_deref().unwrap_or(REGION)
    }

    async fn credentials(&self) -> Result<&SharedCredentialsProvider> {
        let find = || async {
            let shared = client::shared(Some(self.region().to_owned())).await?;
            shared.credentials_provider().ok_or_else(|| later("there are no AWS credentials"))
        };
        self.credentials.get_or_try_init(find).await
    }

    async fn ask(&self, action: &str, parameters: &[(&str, &str)]) -> Result<Answer> {
        let request = self.signed(query(action, parameters)).await?;
        let answered = self.http.execute(request).await.map_err(|error| later(error.without_url().to_string()))?;
        let status = answered.status();
        let text = text(answered).await?;
        match (status.as_u16(), read(&text, "Code").unwrap_or_default().first().map(String::as_str)) {
            (200, _) => Ok(Answer::Said(text)),
            (404, Some("NoSuchEntity")) => Ok(Answer::NoSuchRole),
            // In our own words: what IAM says names accounts and who we are there.
            (_, Some(code)) if code.len() <= 64 && code.bytes().all(|byte| byte.is_ascii_alphanumeric()) => {
                Err(later(format!("{action} was refused with {code}; allow iam:{action} for these credentials")))
            }
            (status, _) => Err(later(format!("{action} was answered with {status}"))),
        }
    }

    async fn signed(&self, body: String) -> Result<reqwest::Request> {
        let found = self.credentials().await?.provide_credentials().await;
        let identity = found.map_err(|_| later("AWS credentials could not be had"))?.into();
        let params = v4::SigningParams::builder().identity(&identity).region(self.region()).name("iam");
        let params = params.time(SystemTime::from(self.clock.now())).settings(SigningSettings::default());
        let params = params.build().map_err(Error::internal)?.into();
        let endpoint = self.place.endpoint.as_deref().unwrap_or(ENDPOINT).trim_end_matches('/');
        let uri = format!("{endpoint}/");
        let headers = [("content-type", "application/x-www-form-urlencoded")];
        let signable = SignableRequest::new("POST", &uri, headers.into_iter(), SignableBody::Bytes(body.as_bytes()));
        let (instructions, _) =
            sign(signable.map_err(Error::internal)?, &params).map_err(Error::internal)?.into_parts();
        let mut request =
            http::Request::post(&uri).header(headers[0].0, headers[0].1).body(body).map_err(Error::internal)?;
        instructions.apply_to_request_http1x(&mut request);
        reqwest::Request::try_from(request).map_err(Error::internal)
    }
}

fn query(action: &str, parameters: &[(&str, &str)]) -> String {
    let mut query = form_urlencoded::Serializer::new(String::new());
    query.append_pair("Action", action).append_pair("Version", VERSION).extend_pairs(parameters);
    query.finish()
}

enum Answer {
    Said(String),
    NoSuchRole,
}

/// No more of it than an answer can have.
async fn text(mut answered: reqwest::Response) -> Result<String> {
    let mut bytes = Vec::new();
    while let Some(chunk) = answered.chunk().await.map_err(|error| later(error.without_url().to_string()))? {
        bytes.extend_from_slice(&chunk);
        if bytes.len() > SIZE {
            return Err(later("an answer has no end"));
        }
    }
    String::from_utf8(bytes).map_err(|_| later("an answer is no text"))
}

/// What IAM takes for a role's name; any other has no role, and need not be asked for.
fn is_name(text: &str) -> bool {
    (1..=64).contains(&text.len())
        && text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b"_+=,.@-".contains(&byte))
}

/// Every text of an element of this name, in their order.
fn read(xml: &str, element: &str) -> Result<Vec<String>> {
    let unreadable = |_| later("an answer is not XML; is confidant.iam.endpoint right?");
    let mut document = Document::new(xml);
    let mut found = Vec::new();
    while let Some(start) = document.next_start_element() {
        if start.local() == element {
            found.push(try_data(&mut document).map_err(unreadable)?.into_owned());
        }
    }
    Ok(found)
}

fn later(detail: impl Into<String>) -> Error {
    Error::Unavailable { part: PART, detail: detail.into() }
}

#[async_trait]
impl RoleBook for IamRoles {
    async fn names(&self) -> Result<Vec<String>> {
        let (mut names, mut marker) = (Vec::new(), None::<String>);
        for _ in 0..PAGES {
            let mut parameters = vec![("MaxItems", "1000")];
            parameters.extend(marker.as_deref().map(|marker| ("Marker", marker)));
            let Answer::Said(text) = self.ask("ListRoles", &parameters).await? else {
                return Err(later("ListRoles found no roles at all"));
            };
            names.extend(read(&text, "RoleName")?);
            marker = read(&text, "Marker")?.into_iter().next();
            if marker.is_none() {
                names.sort_unstable();
                return Ok(names);
            }
        }
        Err(later("there are more roles than an account can have"))
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    const PAGE: &str = r#"<ListRolesResponse xmlns="https://iam.amazonaws.com/doc/2010-05-08/">
  <ListRolesResult><IsTruncated>true</IsTruncated><Marker>abc==</Marker><Roles>
    <member><Path>/</Path><Arn>arn:aws:iam::1:role/till</Arn><RoleName>till</RoleName></member>
    <member><Path>/a/</Path><Arn>arn:aws:iam::1:role/a/x&amp;y</Arn><RoleName>x&amp;y</RoleName></member>
  </Roles></ListRolesResult></ListRolesResponse>"#;

    #[test]
    fn an_answer_is_read_by_the_names_of_its_elements() {
        assert_eq!(read(PAGE, "RoleName").unwrap(), ["till", "x&y"]);
        assert_eq!(read(PAGE, "Arn").unwrap()[0], "arn:aws:iam::1:role/till");
        assert_eq!(read(PAGE, "Marker").unwrap(), ["abc=="]);
        assert!(read("<html>no such page", "Marker").unwrap().is_empty());
    }

    #[test]
    fn only_what_can_be_a_roles_name_is_asked_for() {
        for (name, expected) in [
            ("till", true),
            ("a+b=c,d.e@f-g_h", true),
            ("", false),
            ("a/b", false),
            ("two words", false),
            ("\u{fc}", false),
        ] {
            assert_eq!(is_name(name), expected, "{name}");
        }
        assert!(!is_name(&"x".repeat(65)));
    }
}
