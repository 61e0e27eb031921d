//! `strongroom check`: one line for each thing that must be right, and what to do about what is not.

use std::process::ExitCode;
use std::sync::Arc;

use k8s_openapi::api::admissionregistration::v1::{MutatingWebhookConfiguration, ValidatingWebhookConfiguration};
use k8s_openapi::api::authorization::v1::{ResourceAttributes, SelfSubjectAccessReview, SelfSubjectAccessReviewSpec};
use k8s_openapi::api::coordination::v1::Lease;
use kube::api::PostParams;
use kube::{Api, Client, ResourceExt};

use crate::adapters::journal::LogJournal;
use crate::adapters::system::SystemEntropy;
use crate::app::App;
use crate::config::{Given, Settings};
use crate::k8s::leader;
use crate::k8s::rights::{LEADING, RIGHTS, Right};
use crate::runtime::foundation::Ground;
use crate::runtime::root_key::Patience;
use crate::runtime::{anchor, database, kubernetes, leadership, root_key, settle, threads};

/// What a check found: `Err` holds what is wrong and what to do.
type Finding = Result<String, String>;

struct Report {
    failed: bool,
}

impl Report {
    fn line(&mut self, what: &str, finding: Finding) -> bool {
        match finding {
            Ok(said) => println!("ok    {what:<10} {said}"),
            Err(said) => {
                self.failed = true;
                println!("FAIL  {what:<10} {said}");
                return false;
            }
        }
        true
    }

    fn skip(&self, what: &str, why: &str) {
        println!("--    {what:<10} not checked: {why}");
    }
}

pub fn run(given: Given) -> anyhow::Result<ExitCode> {
    let mut report = Report { failed: false };
    let settings = match settle(given) {
        Ok(settings) => settings,
        Err(error) => {
            report.line("settings", Err(format!("{error:#}")));
            return Ok(ExitCode::FAILURE);
        }
    };
    report.line("settings", Ok(format!("data in {}, REST on {}", settings.data_dir.display(), settings.listen)));
    threads()?.block_on(async {
        let app = check_store(&mut report, &settings).await;
        check_cluster(&mut report, &settings, app.as_ref()).await;
    });
    Ok(if report.failed { ExitCode::FAILURE } else { ExitCode::SUCCESS })
}

/// Opens what is there; makes nothing.
async fn check_store(report: &mut Report, settings: &Settings) -> Option<App> {
    let name = database::name(settings);
    match database::exists(settings).await {
        Ok(true) => {}
        Ok(false) => {
            report.line("store", Ok(format!("{name} will be made at the first start")));
            check_root_key(report, settings).await;
            return None;
        }
        Err(error) => {
            report.line("store", Err(format!("{error:#}")));
            return None;
        }
    }
    match database::examine(settings).await {
        Some(found) => drop(report.line("pages", found)),
        None => report.skip("pages", "PostgreSQL has pg_amcheck for that, and a store that does not open has none"),
    }
    match Ground::of_existing(settings).await {
        Ok(ground) => {
            report.line("store", Ok(format!("{name} opens")));
            report.line("key", Ok(format!("{} opens the data keys", root_key::described(settings))));
            report.line("anchor", anchor::standing(&ground.witness, ground.store.as_ref()).await);
            Some(ground.app(None, Arc::new(LogJournal)))
        }
        Err(error) => {
            report.line("store", Err(format!("{error:#}")));
            None
        }
    }
}

/// Where there is no store yet: a key file comes with it, a key in KMS must be there before.
async fn check_root_key(report: &mut Report, settings: &Settings) {
    if settings.kms.is_none() {
        report.skip("key", "it is made together with the store");
        return;
    }
    let entropy = Arc::new(SystemEntropy::default());
    let opened = root_key::open(settings, false, entropy, &Patience::None).await;
    let found = opened.map(|service| format!("{} can be used", service.id()));
    report.line("key", found.map_err(|error| format!("{error:#}")));
}

async fn check_cluster(report: &mut Report, settings: &Settings, app: Option<&App>) {
    let client = match kubernetes::client(settings).await {
        Ok(client) => client,
        Err(error) => {
            report.line("api server", Err(format!("{error:#}; `strongroom serve` needs no cluster")));
            return;
        }
    };
    let version = client.apiserver_version().await;
    let reached = version.map(|it| format!("Kubernetes {}", it.git_version)).map_err(|error| error.to_string());
    if !report.line("api server", reached) {
        return;
    }
    report.line("crds", crds(&client).await);
    report.line("rights", rights(&client, settings).await);
    match settings.leader_election {
        true => drop(report.line("leader", who_leads(&client, settings).await)),
        false => report.skip("leader", "without --leader-election each process leads"),
    }
    report.line("webhook", webhook(&client, settings, app).await);
}

/// By discovery, which lists what is established: reading the definitions themselves is not among our rights.
async fn crds(client: &Client) -> Finding {
    let served: Vec<String> = match client.list_api_group_resources("strongroom.dev/v1alpha1").await {
        Ok(list) => list.resources.into_iter().map(|it| it.name).collect(),
        // None of them is there.
        Err(kube::Error::Api(status)) if status.is_not_found() => Vec::new(),
        Err(error) => return Err(error.to_string()),
    };
    let wanted = crate::k8s::crd::all();
    let missing = wanted.iter().filter(|crd| !served.contains(&crd.spec.names.plural));
    let missing: Vec<String> = missing.map(|crd| crd.name_any()).collect();
    if missing.is_empty() {
        return Ok("all four are served".into());
    }
    Err(format!("{} not served: kubectl apply -f crds/, or `strongroom crds | kubectl apply -f -`", missing.join(", ")))
}

async fn rights(client: &Client, settings: &Settings) -> Finding {
    let api: Api<SelfSubjectAccessReview> = Api::all(client.clone());
    let mut missing = Vec::new();
    let leading = if settings.leader_election { LEADING } else { &[] };
    let cluster = RIGHTS.iter().map(|right| (right, None, settings.webhook_config.clone()));
    let namespace = leadership::namespace(settings);
    let own = leading.iter().map(|right| (right, Some(namespace.clone()), leader::NAME.to_owned()));
    for (right, namespace, name) in cluster.chain(own) {
        for verb in right.verbs {
            let attributes = ResourceAttributes {
                namespace: namespace.clone(),
                name: right.named.then(|| name.clone()),
                ..question(right, verb)
            };
            let spec = SelfSubjectAccessReviewSpec { resource_attributes: Some(attributes), ..Default::default() };
            let review = SelfSubjectAccessReview { spec, ..Default::default() };
            let answer = api.create(&PostParams::default(), &review).await.map_err(|error| error.to_string())?;
            if !answer.status.is_some_and(|status| status.allowed) {
                missing.push(format!("{verb} {}", described(right)));
            }
        }
    }
    if missing.is_empty() {
        return Ok(format!("all {} are granted", RIGHTS.len() + leading.len()));
    }
    Err(format!("may not {}: apply the RBAC of manifests/install.yaml or of the chart", missing.join(", ")))
}

fn question(right: &Right, verb: &str) -> ResourceAttributes {
    ResourceAttributes {
        group: Some(right.group.into()),
        resource: Some(right.resource.into()),
        subresource: right.subresource.map(Into::into),
        verb: Some(verb.into()),
        ..ResourceAttributes::default()
    }
}

fn described(right: &Right) -> String {
    right.subresource.map_or_else(|| right.resource.to_owned(), |part| format!("{}/{part}", right.resource))
}

/// Whom the Lease names. Its times are another machine's, so this is said for people and decides nothing.
async fn who_leads(client: &Client, settings: &Settings) -> Finding {
    let namespace = leadership::namespace(settings);
    let api: Api<Lease> = Api::namespaced(client.clone(), &namespace);
    let found = api.get_opt(leader::NAME).await;
    let found = found.map_err(|error| format!("Lease {namespace}/{}: {error}", leader::NAME))?;
    let lease = found.and_then(|lease| lease.spec).unwrap_or_default();
    let epoch = lease.lease_transitions.unwrap_or_default();
    let renewed = lease
        .renew_time
        .map_or_else(|| "never".to_owned(), |time| format!("at {}", time.0.strftime("%Y-%m-%dT%H:%M:%SZ")));
    Ok(match lease.holder_identity.filter(|holder| !holder.is_empty()) {
        Some(holder) => format!("{holder} leads, under number {epoch}; its Lease was renewed {renewed}"),
        None => "nobody leads: `strongroom run` does when it is started".into(),
    })
}

/// Both configurations exist and carry the root that the webhook is served under.
async fn webhook(client: &Client, settings: &Settings, app: Option<&App>) -> Finding {
    let name = &settings.webhook_config;
    let absent = |error: kube::Error| format!("configuration {name}: {error}; apply manifests/install.yaml");
    let mutating = Api::<MutatingWebhookConfiguration>::all(client.clone()).get(name).await.map_err(absent)?;
    let validating = Api::<ValidatingWebhookConfiguration>::all(client.clone()).get(name).await.map_err(absent)?;
    let mutating = mutating.webhooks.unwrap_or_default().into_iter().map(|hook| hook.client_config);
    let validating = validating.webhooks.unwrap_or_default().into_iter().map(|hook| hook.client_config);
    let bundles: Vec<_> = mutating.chain(validating).map(|config| config.ca_bundle.unwrap_or_default().0).collect();
    if bundles.iter().any(Vec::is_empty) {
        return Err(format!("configuration {name} has no caBundle yet: a running `strongroom run` puts it there"));
    }
    let Some(app) = app else { return Ok(format!("configuration {name} has a caBundle")) };
    let root = app.own.published_root("webhook").await.map_err(|error| error.to_string())?;
    match root {
        Some(root) if bundles.iter().all(|bundle| String::from_utf8_lossy(bundle).contains(root.trim())) => {
            Ok(format!("configuration {name} carries this store's root"))
        }
        Some(_) => {
            Err(format!("configuration {name} carries another store's root: restart the process that runs on it"))
        }
        None => Err("this store has no webhook root yet: start `strongroom run` once".into()),
    }
}
