use json_patch::PatchOperation;
use proptest::prelude::*;
use serde_json::{Value, json};

use super::*;

fn service(name: &str, secret: &str, keys: &[&str]) -> Delivered {
    let keys = keys.iter().map(ToString::to_string).collect();
    Delivered { service: name.into(), secret: Some(secret.into()), keys }
}

fn wish(services: &[&str], way: Way, containers: Option<&[&str]>) -> Wish {
    let owned = |names: &[&str]| names.iter().map(ToString::to_string).collect();
    Wish { services: owned(services), way, containers: containers.map(owned) }
}

fn files() -> Way {
    Way::Files { folder: "/run/strongroom".into() }
}

fn pod(spec: Value) -> Value {
    let mut pod = json!({
        "apiVersion": "v1", "kind": "Pod",
        "metadata": {"name": "web", "annotations": {SERVICES: "shop"}},
        "spec": {"initContainers": [{"name": "migrate"}], "containers": [{"name": "app"}, {"name": "proxy"}]},
    });
    for (key, value) in spec.as_object().expect("an object") {
        pod["spec"][key] = value.clone();
    }
    pod
}

fn injected(pod: &Value, wish: &Wish, services: &[Delivered]) -> Value {
    let patch = inject(pod, wish, services).expect("injected");
    let mut after = pod.clone();
    json_patch::patch(&mut after, &patch).expect("a patch that fits");
    after
}

fn refusal(pod: &Value, wish: &Wish, services: &[Delivered]) -> String {
    inject(pod, wish, services).expect_err("refused").to_string()
}

#[test]
fn every_container_gets_the_environment_and_keeps_its_own() {
    let own = json!([{"configMapRef": {"name": "settings"}}]);
    let before = pod(json!({"containers": [{"name": "app", "envFrom": own}, {"name": "proxy"}]}));
    let services = [service("shop", "shop-env", &[]), service("mail", "mail", &[])];
    let after = injected(&before, &wish(&["shop", "mail"], Way::Env, None), &services);
    let ours = json!([
        {"secretRef": {"name": "shop-env", "optional": false}},
        {"secretRef": {"name": "mail", "optional": false}},
    ]);
    assert_eq!(after["spec"]["initContainers"][0]["envFrom"], ours);
    assert_eq!(after["spec"]["containers"][1]["envFrom"], ours);
    assert_eq!(after["spec"]["containers"][0]["envFrom"][0], own[0]);
    assert_eq!(after["spec"]["containers"][0]["envFrom"][2], ours[1]);
    assert_eq!(after["metadata"]["annotations"][INJECTED], "shop,mail as env in migrate,app,proxy");
}

#[test]
fn only_the_named_containers_receive() {
    let after = injected(&pod(json!({})), &wish(&["shop"], files(), Some(&["app"])), &[service("shop", "shop", &[])]);
    let mount = json!([{"name": "strongroom-shop", "mountPath": "/run/strongroom/shop", "readOnly": true}]);
    assert_eq!(after["spec"]["containers"][0]["volumeMounts"], mount);
    assert_eq!(after["spec"]["containers"][1], json!({"name": "proxy"}));
    assert_eq!(after["spec"]["initContainers"][0], json!({"name": "migrate"}));
    assert_eq!(after["metadata"]["annotations"][INJECTED], "shop as files in app");
}

#[test]
fn ephemeral_containers_are_left_alone() {
    let before = pod(json!({"ephemeralContainers": [{"name": "debug"}]}));
    for way in [Way::Env, files()] {
        let after = injected(&before, &wish(&["shop"], way, None), &[service("shop", "shop", &[])]);
        assert_eq!(after["spec"]["ephemeralContainers"], before["spec"]["ephemeralContainers"]);
    }
}

#[test]
fn files_are_readable_by_the_group_if_there_is_one_and_by_everybody_in_the_container_if_not() {
    for (context, mode) in [(json!({"fsGroup": 1000}), 0o440), (json!({"runAsUser": 1000}), 0o444)] {
        let before = pod(json!({"securityContext": context}));
        let after = injected(&before, &wish(&["shop"], files(), None), &[service("shop", "shop-env", &[])]);
        let volume = json!([{"name": "strongroom-shop", "secret": {"secretName": "shop-env", "defaultMode": mode}}]);
        assert_eq!(after["spec"]["volumes"], volume);
    }
}

#[test]
fn what_the_user_wrote_already_is_not_written_again() {
    let services = [service("shop", "shop", &[])];
    let env = pod(
        json!({"initContainers": [], "containers": [{"name": "app", "envFrom": [{"secretRef": {"name": "shop"}}]}]}),
    );
    let after = injected(&env, &wish(&["shop"], Way::Env, None), &services);
    assert_eq!(after["spec"], env["spec"]);
    let volume = json!([{"name": "mine", "secret": {"secretName": "shop", "defaultMode": 256}}]);
    let mount = json!([{"name": "mine", "mountPath": "/run/strongroom/shop/"}]);
    let mounted =
        pod(json!({"initContainers": [], "containers": [{"name": "app", "volumeMounts": mount}], "volumes": volume}));
    let after = injected(&mounted, &wish(&["shop"], files(), None), &services);
    assert_eq!(after["spec"], mounted["spec"]);
}

#[test]
fn a_reference_that_lets_the_pod_start_without_its_credentials_is_not_enough() {
    let services = [service("shop", "shop", &[])];
    for own in [
        json!({"secretRef": {"name": "shop", "optional": true}}),
        json!({"prefix": "A_", "secretRef": {"name": "shop"}}),
    ] {
        let before = pod(json!({"containers": [{"name": "app", "envFrom": [own]}]}));
        let after = injected(&before, &wish(&["shop"], Way::Env, None), &services);
        assert_eq!(after["spec"]["containers"][0]["envFrom"].as_array().map(Vec::len), Some(2));
    }
}

#[test]
fn what_is_in_the_way_is_named() {
    let shop = [service("shop", "shop", &[])];
    let mounts = |name: &str, path: &str| json!({"containers": [{"name": "app", "volumeMounts": [{"name": name, "mountPath": path}]}]});
    let files = wish(&["shop"], files(), None);
    for (spec, says) in [
        (mounts("data", "/run/strongroom/shop"), "container app mounts its volume data at /run/strongroom/shop"),
        (mounts("data", "/run/strongroom/shop/x"), "container app mounts its volume data at /run/strongroom/shop/x"),
        (
            json!({"volumes": [{"name": "strongroom-shop", "emptyDir": {}}]}),
            "spec.volumes[strongroom-shop]: is not the Secret shop",
        ),
        (
            json!({"volumes": [{"name": "strongroom-shop", "secret": {"secretName": "shop", "items": [{"key": "a", "path": "a"}]}}]}),
            "spec.volumes[strongroom-shop]: is not the Secret shop",
        ),
    ] {
        let said = refusal(&pod(spec), &files, &shop);
        assert!(said.contains(says), "{said}");
    }
    let beside = pod(mounts("data", "/run/strongroom/shopping"));
    assert!(inject(&beside, &files, &shop).is_ok());
}

#[test]
fn an_unknown_container_is_refused_with_those_that_there_are() {
    let said = refusal(&pod(json!({})), &wish(&["shop"], Way::Env, Some(&["web"])), &[service("shop", "shop", &[])]);
    let expected = "metadata.annotations[strongroom.dev/containers]: this pod has no container \"web\": write one or more of migrate, app, proxy";
    assert_eq!(said, expected);
}

#[test]
fn a_service_without_a_secret_is_refused() {
    let none = Delivered { service: "shop".into(), secret: None, keys: Vec::new() };
    let said = refusal(&pod(json!({})), &wish(&["shop"], Way::Env, None), &[none]);
    assert!(said.contains("Service shop has target.creationPolicy None"), "{said}");
}

#[test]
fn two_services_with_one_key_cannot_share_an_environment_but_can_be_files() {
    let both = [service("shop", "shop", &["username", "password"]), service("mail", "mail", &["password"])];
    let names = ["shop", "mail"];
    let said = refusal(&pod(json!({})), &wish(&names, Way::Env, None), &both);
    assert!(said.contains("Services shop and mail both bring the key \"password\""), "{said}");
    assert!(inject(&pod(json!({})), &wish(&names, files(), None), &both).is_ok());
}

#[test]
fn a_pod_that_is_no_pod_is_refused() {
    for odd in [json!({}), json!({"spec": null}), json!({"spec": []})] {
        assert!(inject(&odd, &wish(&["shop"], Way::Env, None), &[service("shop", "shop", &[])]).is_err());
    }
}

fn any_container(name: &'static str) -> impl Strategy<Value = Value> {
    let env = prop::option::of(prop::collection::vec(
        prop_oneof![
            Just(json!({"configMapRef": {"name": "settings"}})),
            Just(json!({"secretRef": {"name": "shop"}})),
            Just(json!({"secretRef": {"name": "shop", "optional": true}})),
            Just(json!({"prefix": "X_", "secretRef": {"name": "mail"}})),
        ],
        0..3,
    ));
    let mounts = prop::option::of(prop::collection::vec(
        prop_oneof![
            Just(json!({"name": "data", "mountPath": "/data"})),
            Just(json!({"name": "data", "mountPath": "/run/strongroom"})),
            Just(json!({"name": "own", "mountPath": "/run/strongroom/shop", "readOnly": true})),
            Just(json!({"name": "data", "mountPath": "/run/strongroom/mail"})),
        ],
        0..3,
    ));
    (env, mounts, prop::option::of("[a-z]{1,9}")).prop_map(move |(env, mounts, image)| {
        let mut container = json!({"name": name});
        let fields = [
            ("envFrom", env.map(Value::from)),
            ("volumeMounts", mounts.map(Value::from)),
            ("image", image.map(Value::from)),
        ];
        for (key, value) in fields.into_iter().filter_map(|(key, value)| Some((key, value?))) {
            container[key] = value;
        }
        container
    })
}

fn any_pod() -> impl Strategy<Value = Value> {
    let volumes = prop::option::of(Just(
        json!([{"name": "data", "emptyDir": {}}, {"name": "own", "secret": {"secretName": "shop"}}]),
    ));
    let group = prop::option::of(Just(json!({"fsGroup": 7})));
    (any_container("app"), any_container("proxy"), prop::option::of(any_container("migrate")), volumes, group).prop_map(
        |(app, proxy, migrate, volumes, group)| {
            let mut spec = json!({"containers": [app, proxy], "unknownYet": {"kept": [1, null]}});
            let fields =
                [("initContainers", migrate.map(|it| json!([it]))), ("volumes", volumes), ("securityContext", group)];
            for (key, value) in fields.into_iter().filter_map(|(key, value)| Some((key, value?))) {
                spec[key] = value;
            }
            json!({"metadata": {"labels": {"a": "b"}, "annotations": {SERVICES: "shop,mail"}}, "spec": spec})
        },
    )
}

fn any_wish() -> impl Strategy<Value = Wish> {
    let containers = prop_oneof![Just(None), Just(Some(&["app"][..])), Just(Some(&["proxy", "app"][..]))];
    (prop_oneof![Just(Way::Env), Just(files())], containers)
        .prop_map(|(way, containers)| wish(&["shop", "mail"], way, containers))
}

proptest! {
    #[test]
    fn asking_again_changes_nothing(pod in any_pod(), wish in any_wish()) {
        let services = [service("shop", "shop", &[]), service("mail", "mail.v2", &[])];
        if let Ok(patch) = inject(&pod, &wish, &services) {
            let mut after = pod.clone();
            json_patch::patch(&mut after, &patch).expect("a patch that fits");
            prop_assert_eq!(inject(&after, &wish, &services).expect("still fine").0, vec![]);
        }
    }

    #[test]
    fn injection_only_ever_adds(pod in any_pod(), wish in any_wish()) {
        let services = [service("shop", "shop", &[]), service("mail", "mail.v2", &[])];
        if let Ok(patch) = inject(&pod, &wish, &services) {
            for operation in &patch.0 {
                let PatchOperation::Add(add) = operation else { panic!("{operation:?}") };
                let path = add.path.as_str();
                let ours = ["envFrom", "volumeMounts", "volumes", "strongroom.dev~1injected"];
                prop_assert!(path.split('/').any(|part| ours.contains(&part)), "{}", path);
            }
            let mut after = pod.clone();
            json_patch::patch(&mut after, &patch).expect("a patch that fits");
            prop_assert_eq!(without_ours(after), without_ours(pod));
        }
    }
}

/// The pod without what injection may have added, also where it stood before.
fn without_ours(mut pod: Value) -> Value {
    pod["metadata"]["annotations"].as_object_mut().expect("annotations").remove(INJECTED);
    let spec = pod["spec"].as_object_mut().expect("a spec");
    let bare = |of: &mut Map<String, Value>, name: &str, ours: &dyn Fn(&Value) -> bool| {
        list(of, name).retain(|item| !ours(item));
    };
    bare(spec, "volumes", &|volume| volume["name"].as_str().is_some_and(|name| name.starts_with("strongroom-")));
    for name in ["containers", "initContainers"] {
        for container in list(spec, name) {
            let container = container.as_object_mut().expect("a container");
            bare(container, "envFrom", &|source| source["secretRef"]["optional"] == false);
            bare(container, "volumeMounts", &|mount| {
                mount["name"].as_str().is_some_and(|name| name.starts_with("strongroom-"))
            });
        }
    }
    pod
}
