//! Writes projections: carries out what `plan` decided, and lets the API server hold us to what we knew
//! when we decided (uid and resourceVersion). It asks for metadata in every answer, so that values travel
//! in one direction only.

use std::collections::BTreeSet;
use std::sync::Arc;

use http::Request;
use http::header::{ACCEPT, HeaderValue};
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use kube::api::{DeleteParams, GetParams, Patch, PatchParams, PostParams, Preconditions};
use kube::core::PartialObjectMeta;
use kube::{Api, Client, Resource};

use crate::app::App;
use crate::app::step::step;
use crate::k8s::failure::{Failure, Next, refused};
use crate::k8s::label;
use crate::k8s::projection::body::{changed, created};
use crate::k8s::projection::held::{Held, Place, Projections, manager};
use crate::k8s::projection::plan::{self, Author, Plan, Reason};
use crate::k8s::projection::{Projection, Shelf};

/// Without this the answer to a creation would repeat the values.
const METADATA: HeaderValue = HeaderValue::from_static("application/json;as=PartialObjectMetadata;g=meta.k8s.io;v=v1");
/// How often a write is planned anew when somebody else was faster.
const ATTEMPTS: usize = 4;

pub struct Applier {
    app: Arc<App>,
    client: Client,
    pub projections: Arc<Projections>,
}

#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum Outcome {
    Kept,
    Created,
    Updated,
    Restored,
    Adopted,
    /// The values could not be restored: there are new ones.
    Replaced,
}

/// What became of a write.
enum Written {
    Done,
    /// It was changed or deleted since we looked.
    Stale,
    /// The API server does not allow this change: its type differs, or it is marked as immutable.
    Unchangeable,
}

impl Applier {
    pub fn new(app: Arc<App>, client: Client, projections: Arc<Projections>) -> Self {
        Self { app, client, projections }
    }

    /// Brings one projection to what the resource wants. Unchanged: no request at all.
    pub async fn project(&self, author: &Author, wish: &Projection) -> Result<Outcome, Failure> {
        let place = place(author, wish.sort.shelf(), &wish.name);
        let mut held = self.projections.get(&place);
        let mut looked = false;
        for _ in 0..ATTEMPTS {
            match plan::plan(held.as_ref(), author, wish) {
                Plan::Keep => return Ok(Outcome::Kept),
                // The watch selects by label: what it does not show may still be there.
                Plan::Create => match self.create(author, &place, wish).await? {
                    Written::Done => return Ok(Outcome::Created),
                    Written::Stale | Written::Unchangeable => held = self.look(author, &place).await?,
                },
                Plan::Foreign if looked => return Err(foreign(author, &place, held.as_ref())),
                Plan::Foreign => held = self.look(author, &place).await?,
                Plan::Write(reason) => {
                    let Some(known) = &held else { continue };
                    match self.write(author, &place, wish, known, reason).await? {
                        Written::Done => return Ok(outcome(reason)),
                        Written::Stale => held = self.look(author, &place).await?,
                        Written::Unchangeable => {
                            self.delete(&place, known).await?;
                            held = None;
                        }
                    }
                }
            }
            looked = true;
        }
        Err(Failure::new(Next::Retry, "Contended", format!("somebody else keeps changing {}", wish.what())))
    }

    /// Deletes what this resource projected before and does not want any more.
    pub async fn prune(&self, author: &Author, wanted: &[Projection]) -> Result<(), Failure> {
        let wanted: BTreeSet<Place> = wanted.iter().map(|wish| place(author, wish.sort.shelf(), &wish.name)).collect();
        for (place, held) in self.projections.of(&author.owner) {
            if !wanted.contains(&place) && plan::is_ours(&held, author) {
                self.delete(&place, &held).await?;
            }
        }
        Ok(())
    }

    /// The metadata of this resource's own projection, if there is one.
    pub fn own(&self, author: &Author, shelf: Shelf, name: &str) -> Option<Held> {
        self.projections.get(&place(author, shelf, name)).filter(|held| plan::is_ours(held, author))
    }

    /// A Secret with its values, by name: what a `secretRef` imports, or a client's own password.
    pub async fn read_secret(&self, namespace: &str, name: &str) -> Result<Option<Secret>, Failure> {
        let api: Api<Secret> = Api::namespaced(self.client.clone(), namespace);
        api.get_opt(name).await.map_err(|error| refused(&format!("Secret {name}"), error))
    }

    /// Values leave the store with this: recorded before they do.
    async fn record_shown(&self, author: &Author, place: &Place, wish: &Projection) -> Result<(), Failure> {
        if wish.sort.shelf() != Shelf::Secrets {
            return Ok(());
        }
        let shown = format!("Secret {}/{}", place.namespace, place.name);
        Ok(self.app.record_shown(&author.owner, wish.revision, &shown).await?)
    }

    async fn look(&self, author: &Author, place: &Place) -> Result<Option<Held>, Failure> {
        let request = request(place).get_metadata(&place.name, &GetParams::default());
        let answer = self.send(request).await;
        match answer {
            Ok(found) => Ok(Some(Held::read(&found.metadata, &manager(&author.owner.kind)))),
            Err(kube::Error::Api(status)) if status.is_not_found() => Ok(None),
            Err(error) => Err(refused(&what(place), error)),
        }
    }

    async fn create(&self, author: &Author, place: &Place, wish: &Projection) -> Result<Written, Failure> {
        let body = created(author, wish)?.to_string().into_bytes();
        let parameters = PostParams { field_manager: Some(manager(&author.owner.kind)), ..PostParams::default() };
        let request = request(place).create(&parameters, body).map(|mut request| {
            request.headers_mut().insert(ACCEPT, METADATA);
            request
        });
        self.record_shown(author, place, wish).await?;
        step("secret.create");
        let answer = self.send(request).await;
        step("secret.created");
        match answer {
            Ok(made) => {
                self.record(author, place, &made, true);
                Ok(Written::Done)
            }
            Err(kube::Error::Api(status)) if status.is_already_exists() => Ok(Written::Stale),
            Err(error) => Err(refused(&wish.what(), error)),
        }
    }

    async fn write(
        &self,
        author: &Author,
        place: &Place,
        wish: &Projection,
        held: &Held,
        reason: Reason,
    ) -> Result<Written, Failure> {
        let body = Patch::Merge(changed(author, wish, held, reason)?);
        let parameters = PatchParams { field_manager: Some(manager(&author.owner.kind)), ..PatchParams::default() };
        let request = request(place).patch_metadata(&place.name, &parameters, &body);
        if reason.writes_values() {
            self.record_shown(author, place, wish).await?;
        }
        step("secret.patch");
        let answer = self.send(request).await;
        step("secret.patched");
        match answer {
            Ok(made) => {
                self.record(author, place, &made, reason.writes_values());
                Ok(Written::Done)
            }
            Err(kube::Error::Api(status)) if status.is_conflict() || status.is_not_found() => Ok(Written::Stale),
            Err(kube::Error::Api(status)) if status.is_invalid() && is_unchangeable(&status) => {
                Ok(Written::Unchangeable)
            }
            Err(error) => Err(refused(&wish.what(), error)),
        }
    }

    async fn delete(&self, place: &Place, held: &Held) -> Result<(), Failure> {
        let (uid, resource_version) = (Some(held.uid.clone()), None);
        let preconditions = Some(Preconditions { uid, resource_version });
        let request = request(place).delete(&place.name, &DeleteParams { preconditions, ..DeleteParams::default() });
        let request = request.map_err(|error| refused(&what(place), kube::Error::BuildRequest(error)))?;
        step("secret.delete");
        let answer = self.client.request_status::<PartialObjectMeta>(request).await;
        step("secret.deleted");
        match answer {
            Ok(_) => {}
            // Gone, or another object by now: the one that we meant is not there any more.
            Err(kube::Error::Api(status)) if status.is_not_found() || status.is_conflict() => {}
            Err(error) => return Err(refused(&what(place), error)),
        }
        self.projections.remove(place, &held.uid);
        Ok(())
    }

    fn record(&self, author: &Author, place: &Place, made: &PartialObjectMeta, verified: bool) {
        let held = Held { verified, ..Held::read(&made.metadata, &manager(&author.owner.kind)) };
        self.projections.record(place.clone(), held);
    }

    async fn send(
        &self,
        request: Result<Request<Vec<u8>>, kube::core::request::Error>,
    ) -> kube::Result<PartialObjectMeta> {
        self.client.request(request.map_err(kube::Error::BuildRequest)?).await
    }
}

fn outcome(reason: Reason) -> Outcome {
    match reason {
        Reason::Adopted => Outcome::Adopted,
        Reason::NewContent | Reason::Metadata => Outcome::Updated,
        Reason::Edited => Outcome::Restored,
    }
}

pub fn place(author: &Author, shelf: Shelf, name: &str) -> Place {
    Place { namespace: author.owner.namespace.clone(), shelf, name: name.to_owned() }
}

fn what(place: &Place) -> String {
    format!("{} {}", place.shelf.kind(), place.name)
}

fn request(place: &Place) -> kube::core::Request {
    let namespace = Some(place.namespace.as_str());
    kube::core::Request::new(match place.shelf {
        Shelf::Secrets => Secret::url_path(&(), namespace),
        Shelf::ConfigMaps => ConfigMap::url_path(&(), namespace),
    })
}

/// Only these two: everything else that is invalid would be so in a new object too.
fn is_unchangeable(status: &kube::core::Status) -> bool {
    let causes = status.details.iter().flat_map(|details| &details.causes);
    causes.into_iter().any(|cause| cause.field == "type" || cause.message.contains("immutable"))
}

fn foreign(author: &Author, place: &Place, held: Option<&Held>) -> Failure {
    let what = what(place);
    let owner = held.and_then(|held| held.claimed_owner(&place.namespace));
    let message = match owner.filter(|owner| *owner != author.owner) {
        Some(owner) => format!("{what} belongs to {} {}: choose another name", owner.kind, owner.name),
        None => format!(
            "{what} exists and is not this {}'s: delete it, choose another name, or hand it over with \
             conflictPolicy: Adopt here and the annotation {}: {} there",
            author.owner.kind,
            label::ADOPT,
            plan::consent(author)
        ),
    };
    Failure::wait("ForeignObject", message)
}
