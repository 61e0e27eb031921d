//! What grantees may is known without the store as long as nothing is written, and never later than what was: by whomever,
//! in whichever process.

use std::path::Path;

use strongroom::domain::actor::Actor;
use strongroom::domain::name::RecordId;
use strongroom::domain::permission::{Grants, Operation, Operations, Permission, Readable, Scope};
use strongroom::domain::rules::Rules;

use crate::rest::house::grantee;
use crate::watched::Process;

/// With permissions of the settings.
async fn on(folder: &Path, seeds: &[Permission]) -> Process {
    let rules = Rules { grants: Grants { seeds: seeds.to_vec(), ..Grants::default() }, ..Rules::default() };
    Process::on(folder, rules).await
}

impl Process {
    async fn allow(&self, client: &str, path: &str, operations: &[Operation]) -> RecordId {
        let made = self.app.permissions.create(&Actor::operator(), permission(client, path, operations)).await;
        made.unwrap().head.id
    }

    /// What is readable, and how often the store was asked for a record meanwhile.
    async fn readable(&self, client: &str) -> (Vec<String>, usize) {
        let before = self.finds.count();
        let granted = self.app.permissions.of(&grantee(client)).await.unwrap();
        let paths = match granted.readable() {
            Readable::Everything => vec!["everything".to_owned()],
            Readable::Only(scopes) => scopes.iter().map(|scope| scope.as_str().to_owned()).collect(),
        };
        (paths, self.finds.count() - before)
    }
}

fn permission(client: &str, path: &str, operations: &[Operation]) -> Permission {
    let operations: Operations = operations.iter().copied().collect();
    Permission { actor: format!("uaa-client:{client}"), path: Scope::parse(path).unwrap(), operations }
}

fn seen(paths: &[&str], finds: usize) -> (Vec<String>, usize) {
    (paths.iter().map(ToString::to_string).collect(), finds)
}

use Operation::{Read, Write};

#[tokio::test]
async fn what_a_grantee_may_is_looked_up_once_and_after_a_write_in_one_query() {
    let folder = tempfile::tempdir().unwrap();
    let process = on(folder.path(), &[]).await;
    assert_eq!(process.readable("till").await, seen(&[], 1));
    assert_eq!(process.readable("till").await, seen(&[], 0), "nothing is known as well");
    for number in 0..20 {
        process.allow("till", &format!("/a/{number:02}"), &[Read]).await;
    }
    assert_eq!(process.readable("till").await.1, 1, "whatever their number");
    assert_eq!(process.readable("till").await.1, 0);
    process.allow("mail", "/b", &[Read]).await;
    assert_eq!(process.readable("till").await.1, 1, "others were written");
    assert_eq!(process.readable("mail").await, seen(&["/b"], 1));
    assert_eq!(process.readable("till").await.1, 0);
}

#[tokio::test]
async fn what_another_process_grants_and_withdraws_counts_at_once() {
    let folder = tempfile::tempdir().unwrap();
    let (here, there) = (on(folder.path(), &[]).await, on(folder.path(), &[]).await);
    assert_eq!(here.readable("till").await.0, [""; 0]);
    let (first, second) = (there.allow("till", "/a/*", &[Read]).await, there.allow("till", "/B", &[Read]).await);
    assert_eq!(here.readable("till").await, seen(&["/a/*", "/b"], 1));
    let (operator, permissions) = (Actor::operator(), &there.app.permissions);
    permissions.replace(&operator, first, [Write].into_iter().collect(), None).await.unwrap();
    assert_eq!(here.readable("till").await, seen(&["/b"], 1));
    permissions.replace(&operator, first, [Read].into_iter().collect(), None).await.unwrap();
    assert_eq!(here.readable("till").await.0, ["/a/*", "/b"]);
    permissions.delete(&operator, second).await.unwrap();
    assert_eq!(here.readable("till").await, seen(&["/a/*"], 1));
    there.allow("till", "/*", &[Read]).await;
    assert_eq!(here.readable("till").await, seen(&["everything"], 1));
    assert_eq!(here.readable("till").await, seen(&["everything"], 0));
}

#[tokio::test]
async fn permissions_are_known_again_under_a_new_data_key() {
    let folder = tempfile::tempdir().unwrap();
    let process = on(folder.path(), &[]).await;
    process.allow("till", "/a", &[Read]).await;
    assert_eq!(process.readable("till").await.0, ["/a"]);
    process.app.rekey(&|_, _| ()).await.unwrap();
    assert_eq!(process.readable("till").await.0, ["/a"]);
    let verified = process.app.verify(&|_, _| ()).await.unwrap();
    assert_eq!((verified.records, verified.findings), (1, vec![]));
}

/// Replicas that start at once all seed, and none fails for it.
#[tokio::test(flavor = "multi_thread", worker_threads = 2)]
async fn seeds_of_several_processes_are_added_once() {
    let folder = tempfile::tempdir().unwrap();
    let seeds: Vec<_> = (0..10).map(|number| permission("till", &format!("/{number}"), &[Read])).collect();
    let mut replicas = Vec::new();
    for number in 0..4 {
        // Each has something of its own besides, as while settings are rolled out.
        let own = permission("till", &format!("/{number}"), &[[Write], [Read], [Operation::Delete], [Write]][number]);
        replicas.push(on(folder.path(), &[seeds.clone(), vec![own]].concat()).await);
    }
    let seeded = futures::future::join_all(replicas.iter().map(|replica| replica.app.permissions.seed())).await;
    let written: usize = seeded.into_iter().map(|seeded| seeded.unwrap()).sum();
    assert!((10..=13).contains(&written), "{written}");
    for replica in &replicas {
        assert_eq!(replica.app.permissions.seed().await.unwrap(), 0);
    }
    let granted = replicas[0].app.permissions.of(&grantee("till")).await.unwrap();
    assert_eq!(granted.readable(), replicas[1].app.permissions.of(&grantee("till")).await.unwrap().readable());
    let additions = [(Write, "/0"), (Operation::Delete, "/2"), (Write, "/3")];
    assert!(additions.iter().all(|(operation, path)| granted.allows(*operation, path)));
    assert!((0..10).all(|number| granted.allows(Read, &format!("/{number}"))));
}
