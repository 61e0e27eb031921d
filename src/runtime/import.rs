//! `strongroom import`: what another program has exported goes into the store through the use cases, as if an
//! administrator had set it. Works on the store directly, also while a server runs on it. Says names, never values.

use std::collections::{HashMap, HashSet};
use std::fs::File;
use std::io::{self, IsTerminal, Read};
use std::path::Path as FilePath;
use std::process::ExitCode;

use anyhow::{Context, anyhow};
use zeroize::Zeroizing;

use crate::api::credhub::exported::{self, Authority, Certificate, Exported, Given, Order};
use crate::app::App;
use crate::app::alarm::Alarm;
use crate::app::by_path::Setting;
use crate::config::Settings;
use crate::domain::actor::{Actor, Scheme, Standing};
use crate::domain::credential::lineage::Signed;
use crate::domain::name::{Path, Tenant};
use crate::domain::secret::SecretText;
use crate::domain::{Error, Result, Violation};
use crate::runtime::rekey::Progress;
use crate::runtime::{foundation, threads, told};

/// From here on it is told how far an import is, also where nobody looks at a terminal.
const MANY: usize = 1000;

pub fn credhub(settings: &Settings, file: &FilePath, is_dry: bool) -> anyhow::Result<ExitCode> {
    let name = if is_stdin(file) { "standard input".to_owned() } else { file.display().to_string() };
    if is_stdin(file) && io::stdin().is_terminal() {
        eprintln!("reading what `credhub export` prints from here, to the end of the input (Ctrl-D)");
    }
    let text = read(file).with_context(|| format!("reading {name}"))?;
    let list = exported::read(&text).map_err(|why| anyhow!("{name} {why}"))?;
    drop(text);
    let tally = threads()?.block_on(async {
        let app = foundation::open(settings, None, &Alarm::default()).await?;
        Import::new(&app, &list, is_dry).run().await
    })?;
    let verb = if is_dry { "would import" } else { "imported" };
    println!("{verb} {}, unchanged {}, refused {}", tally.imported, tally.unchanged, tally.refused);
    Ok(if tally.refused == 0 { ExitCode::SUCCESS } else { ExitCode::FAILURE })
}

fn is_stdin(file: &FilePath) -> bool {
    file.as_os_str() == "-"
}

/// In pieces that are wiped when they become too small: a vector that grows by itself leaves copies behind.
fn read(file: &FilePath) -> anyhow::Result<Zeroizing<String>> {
    let mut source: Box<dyn Read> =
        if is_stdin(file) { Box::new(io::stdin().lock()) } else { Box::new(File::open(file)?) };
    let mut bytes = Zeroizing::new(Vec::with_capacity(1 << 20));
    let mut piece = Zeroizing::new(vec![0; 1 << 16]);
    loop {
        let length = source.read(&mut piece)?;
        if length == 0 {
            break;
        }
        if bytes.len() + length > bytes.capacity() {
            let mut wider = Zeroizing::new(Vec::with_capacity(2 * bytes.capacity()));
            wider.extend_from_slice(&bytes);
            bytes = wider;
        }
        bytes.extend_from_slice(&piece[..length]);
    }
    String::from_utf8(std::mem::take(&mut *bytes)).map(Zeroizing::new).map_err(|error| {
        drop(Zeroizing::new(error.into_bytes()));
        anyhow!("it is not UTF-8")
    })
}

#[derive(Default)]
struct Tally {
    imported: usize,
    unchanged: usize,
    refused: usize,
}

struct Import<'a> {
    app: &'a App,
    actor: Actor,
    list: &'a [Exported],
    order: Order,
    is_dry: bool,
    /// Places in the list.
    refused: HashSet<usize>,
    /// Whose certificates the store has already, once somebody asked.
    held: Option<HashMap<String, Path>>,
}

/// What became of one of them.
enum Outcome {
    Imported,
    Unchanged,
}

impl<'a> Import<'a> {
    fn new(app: &'a App, list: &'a [Exported], is_dry: bool) -> Self {
        let (tenant, scheme, standing) = (Tenant::outside(), Scheme::Internal, Standing::Admin);
        let actor = Actor { id: "import".into(), tenant, scheme, standing, from: None };
        Self { app, actor, list, order: Order::of(list), is_dry, refused: HashSet::new(), held: None }
    }

    async fn run(mut self) -> anyhow::Result<Tally> {
        let mut tally = Tally::default();
        for (at, entry) in self.list.iter().enumerate() {
            if let Err(why) = &entry.credential {
                self.refuse(at, why);
            }
        }
        let queue = std::mem::take(&mut self.order.queue);
        let progress = Progress::default();
        let is_shown = queue.len() > MANY || io::stderr().is_terminal();
        for (done, at) in queue.iter().enumerate() {
            match self.bring(*at).await {
                Ok(Outcome::Imported) => tally.imported += 1,
                Ok(Outcome::Unchanged) => tally.unchanged += 1,
                Err(error) if is_of_the_entry(&error) => self.refuse(*at, &error.to_string()),
                // The store or its key: the next one would meet the same.
                Err(error) => {
                    let so_far =
                        format!("after {} were imported, at {}; run it again", tally.imported, self.list[*at].name);
                    return Err(told(error)).context(so_far);
                }
            }
            if is_shown {
                progress.show(done as u64 + 1, queue.len() as u64);
            }
        }
        Ok(Tally { refused: self.refused.len(), ..tally })
    }

    fn refuse(&mut self, at: usize, why: &str) {
        eprintln!("refused {}: {why}", self.list[at].name);
        self.refused.insert(at);
    }

    async fn bring(&mut self, at: usize) -> Result<Outcome> {
        let entry = &self.list[at];
        let Ok(credential) = &entry.credential else { return Err(Error::internal("an unread entry is imported")) };
        let slot = self.app.by_path.require_writable(&self.actor, &credential.path).await?;
        let setting = match &credential.given {
            Given::Material(material) => Setting {
                kind: credential.kind,
                material: material.clone(),
                metadata: credential.metadata.clone(),
                not_after: None,
                signed: Signed::default(),
            },
            Given::Certificate(certificate) => {
                let plain = Bringing { path: &credential.path, certificate, metadata: credential.metadata.clone() };
                self.certificate(at, plain).await?
            }
        };
        if slot.holds(&setting)? {
            if self.is_dry {
                println!("unchanged {}", credential.path);
            }
            return Ok(Outcome::Unchanged);
        }
        if self.is_dry {
            println!("would import {} ({})", credential.path, exported::word(credential.kind));
        } else {
            self.app.by_path.set(&self.actor, slot, setting).await?;
        }
        Ok(Outcome::Imported)
    }

    async fn certificate(&mut self, at: usize, it: Bringing<'_>) -> Result<Setting> {
        if self.order.circles.contains(&at) {
            return Err(Error::invalid("value.ca_name", "leads in a circle: certificates have signed each other"));
        }
        match self.order.authorities[at].clone() {
            Authority::Unsaid => it.setting(self.app, None),
            Authority::Own => it.own(self.app),
            Authority::Listed(above) => {
                let authority = &self.list[above];
                let Ok(known) = &authority.credential else { return Err(Error::internal("an unread authority signs")) };
                if self.refused.contains(&above) {
                    let why = format!("{} has signed it and was refused", known.path);
                    return Err(Error::invalid("authority", why));
                }
                match &it.certificate.ca_name {
                    // In a dry run it is not in the store.
                    Some(_) if self.is_dry => it
                        .under(self.app, authority.certificate(), &known.path)
                        .map_err(|error| naming(error, &known.path)),
                    Some(_) => self.named(it, &known.path).await,
                    None => it.signed_by(self.app, &known.path),
                }
            }
            Authority::Named(path) => self.named(it, &path).await,
            Authority::Held(signs) => match self.holder(&signs).await? {
                Some(path) => it.signed_by(self.app, &path),
                None => {
                    eprintln!("note: {} is kept, but nobody here has signed it: it cannot be generated again", it.path);
                    it.setting(self.app, it.certificate.ca.clone())
                }
            },
        }
    }

    /// Under an authority of the store.
    async fn named(&self, it: Bringing<'_>, path: &Path) -> Result<Setting> {
        let signer = self.app.by_path.signer(&self.actor, path).await?;
        let Certificate { certificate, private_key, .. } = it.certificate;
        let (certificate, private_key) = (certificate.clone(), private_key.clone());
        let setting = self.app.by_path.certificate(it.path, Some(&signer), None, certificate, private_key, it.metadata);
        setting.map_err(|error| naming(error, path))
    }

    /// Who in the store has one of these certificates, in any version.
    async fn holder(&mut self, signs: &[String]) -> Result<Option<Path>> {
        let held = match self.held.take() {
            Some(held) => held,
            None => self.look_around().await?,
        };
        let found = signs.iter().find_map(|sign| held.get(sign)).cloned();
        self.held = Some(held);
        Ok(found)
    }

    async fn look_around(&self) -> Result<HashMap<String, Path>> {
        let mut held = HashMap::new();
        for known in self.app.by_path.certificates(&self.actor).await? {
            let path = Path::parse(&known.entry.head.name)?;
            let certificates = known.versions.iter().filter_map(|version| version.material().get("certificate"));
            for sign in certificates.filter_map(exported::sign) {
                held.entry(sign).or_insert_with(|| path.clone());
            }
        }
        Ok(held)
    }
}

/// Whether it says something of what is to be written, and not of what it is written to.
fn is_of_the_entry(error: &Error) -> bool {
    let of_others = matches!(error, Error::NotFound { .. } | Error::NoAuthority { .. } | Error::Forbidden { .. });
    of_others || matches!(error, Error::Invalid(_) | Error::Conflict(_))
}

/// An authority that was generated anew has signed nothing yet, and an export has its newest certificate only.
fn naming(error: Error, path: &Path) -> Error {
    let named = |it: Violation| Violation { why: format!("{} (ca_name is {path})", it.why), ..it };
    match error {
        Error::Invalid(all) => Error::Invalid(all.into_iter().map(named).collect()),
        other => other,
    }
}

/// A certificate on its way to a path.
struct Bringing<'a> {
    path: &'a Path,
    certificate: &'a Certificate,
    metadata: Option<String>,
}

impl Bringing<'_> {
    fn setting(&self, app: &App, ca: Option<SecretText>) -> Result<Setting> {
        let Certificate { certificate, private_key, .. } = self.certificate;
        let (certificate, private_key) = (certificate.clone(), private_key.clone());
        app.by_path.certificate(self.path, None, ca, certificate, private_key, self.metadata.clone())
    }

    /// Signed with its own key, and trusted with the others that stand behind it.
    fn own(&self, app: &App) -> Result<Setting> {
        let mut setting = self.setting(app, self.certificate.certificate.clone())?;
        setting.signed.trusted = self.certificate.ca.as_ref().and_then(|ca| exported::split(ca).1);
        Ok(setting)
    }

    /// Its text says by what, and this is whose that is. What stands behind is the signer's other certificate.
    fn signed_by(&self, app: &App, path: &Path) -> Result<Setting> {
        let ca = self.certificate.ca.as_ref().map(exported::split);
        let (first, trusted) = ca.map_or((None, None), |(first, rest)| (Some(first), rest));
        let setting = self.setting(app, first)?;
        Ok(Setting { signed: Signed { by: Some(path.clone()), trusted }, ..setting })
    }

    fn under(&self, app: &App, authority: Option<&Certificate>, path: &Path) -> Result<Setting> {
        let setting = self.setting(app, authority.and_then(|it| it.certificate.clone()))?;
        Ok(Setting { signed: Signed { by: Some(path.clone()), trusted: None }, ..setting })
    }
}
