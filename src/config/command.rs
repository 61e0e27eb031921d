//! The command line: subcommands and what belongs to one of them alone.

use std::path::PathBuf;

use clap::{Args, Parser, Subcommand};

use jiff::SignedDuration;

use super::settings::duration;
use super::{Given, KmsKey, Refused};
use crate::domain::actor::PrincipalKind;

/// Credentials for everything that runs on, beside and outside a Kubernetes cluster.
#[derive(Debug, Parser)]
#[command(name = "strongroom", version, max_term_width = 100, arg_required_else_help = true)]
#[command(after_help = "Every flag can also be given as an environment variable (STRONGROOM_ and the flag in \
capitals) or in the YAML file of --config (the flag in camelCase). Flags are strongest, the file is weakest.")]
pub struct Cli {
    #[command(subcommand)]
    pub command: Command,
}

#[derive(Debug, Subcommand)]
pub enum Command {
    /// Run the operator, the admission webhook and the REST server against a Kubernetes cluster
    Run(Given),
    /// Run the REST server alone; no cluster is needed
    Serve(Given),
    /// Make client credentials without a cluster
    Client {
        #[command(subcommand)]
        command: ClientCommand,
    },
    /// Bring back credentials that were archived over REST
    Archive {
        #[command(subcommand)]
        command: ArchiveCommand,
    },
    /// Bring in what another program has exported
    Import {
        #[command(subcommand)]
        command: ImportCommand,
    },
    /// Look at the record of every read, write and denial
    Audit {
        #[command(subcommand)]
        command: AuditCommand,
    },
    /// Replace the data keys, or the root key, while servers run on the store; may be ended and run again
    Rekey {
        #[command(flatten)]
        to: NextRoot,
        /// Let no root key but the configured one open the store any more; replaces no data key
        #[arg(long, conflicts_with_all = ["to_key_file", "to_kms_key"])]
        retire_other_roots: bool,
        #[command(flatten)]
        given: Given,
    },
    /// Write a copy of the whole store into one file, also while a server runs on it; needs no key
    Backup {
        /// Where to; - is standard output. A file that is there is replaced by the complete new one
        #[arg(long, short, value_name = "FILE", default_value = "strongroom.backup")]
        output: PathBuf,
        #[command(flatten)]
        given: Given,
    },
    /// Put a backup into an empty store, with the root key that it was made under
    Restore {
        /// What `strongroom backup` wrote; - is standard input
        file: PathBuf,
        #[command(flatten)]
        given: Given,
    },
    /// Take a store that is older than its anchor for the right one: says what is missing, and lets writes go on
    #[command(
        after_help = "A store that was put back to an older state, or whose log was damaged, ends before what its \
anchor saw. Servers on it then answer reads and refuse writes. If you can, put the right store back: they go on by \
themselves. If you cannot, or have put an older one there on purpose, accept it here; what is missing is then lost, and \
the audit says that you accepted that. With --database each replica that refuses writes has an anchor of its own: run \
this once for each of them."
    )]
    AcceptRollback {
        /// Do not ask
        #[arg(long)]
        yes: bool,
        #[command(flatten)]
        given: Given,
    },
    /// Make a kmsauth token, as Confidant's clients do, with a key that the settings name
    #[command(
        after_help = "A token says who its caller is and for how long: whoever may use the key vouches for that. The \
keys stand in the part confidant.kmsauth of the file that --config names, which is the server's own: a key file \
(keyFile), or keys in AWS KMS, which takes AWS credentials with kms:Encrypt.\n\nExamples:\n  \
strongroom kmsauth-token --config strongroom.yaml --from till\n  \
curl --user \"$(strongroom kmsauth-token --config strongroom.yaml --from till --basic)\" \
https://strongroom.example/v1/services/till"
    )]
    KmsauthToken {
        #[command(flatten)]
        wish: TokenWish,
        #[command(flatten)]
        given: Given,
    },
    /// Print the custom resource definitions as YAML
    Crds,
    /// Check settings, store, key, API server, rights and webhook, and say what to do about what fails
    Check(Given),
    /// Print the version
    Version,
}

/// A root key that is to open the store besides the configured one.
#[derive(Debug, Args)]
pub struct NextRoot {
    /// Wrap the data keys with this key file as well, made if it is not there
    #[arg(long, value_name = "FILE")]
    pub to_key_file: Option<PathBuf>,
    /// Wrap the data keys with this AWS KMS key as well: ARN, id or alias
    #[arg(long, value_name = "KEY", conflicts_with = "to_key_file")]
    to_kms_key: Option<String>,
    /// Where AWS KMS answers for --to-kms-key [default: the region's]
    #[arg(long, value_name = "URL", requires = "to_kms_key")]
    to_kms_endpoint: Option<String>,
    /// Region of --to-kms-key [default: the one in its ARN, else the AWS configuration's]
    #[arg(long, value_name = "REGION", requires = "to_kms_key")]
    to_kms_region: Option<String>,
}

impl NextRoot {
    pub fn kms(&self) -> Result<Option<KmsKey>, Refused> {
        let [kms_key, kms_endpoint, kms_region] =
            [&self.to_kms_key, &self.to_kms_endpoint, &self.to_kms_region].map(Clone::clone);
        KmsKey::given(&Given { kms_key, kms_endpoint, kms_region, ..Given::default() })
    }
}

/// What a token is to say.
#[derive(Debug, Args)]
pub struct TokenWish {
    /// The caller's name; a service reads the Confidant service of the same name
    #[arg(long, value_name = "NAME")]
    pub from: String,
    /// The server's name [default: confidant.kmsauth.context]
    #[arg(long, value_name = "NAME")]
    pub to: Option<String>,
    /// What the caller is: service or user
    #[arg(long, value_name = "SORT", default_value = "service", value_parser = sort)]
    pub user_type: PrincipalKind,
    /// How long it counts from now on; at most confidant.kmsauth.maxLifetime
    #[arg(long, value_name = "DURATION", default_value = "10m")]
    lifetime: String,
    /// Which of the keys makes it [default: the first for this sort of caller]
    #[arg(long, value_name = "KEY")]
    pub key: Option<String>,
    /// Print user name and password with a colon between them, as curl --user takes them
    #[arg(long)]
    pub basic: bool,
}

impl TokenWish {
    pub fn lifetime(&self) -> Result<SignedDuration, Refused> {
        duration("--lifetime", &self.lifetime, "10m, of 1s or more", |lasts| *lasts >= SignedDuration::from_secs(1))
    }
}

fn sort(text: &str) -> Result<PrincipalKind, String> {
    PrincipalKind::parse(text).ok_or_else(|| "there are service and user".to_owned())
}

#[derive(Debug, Subcommand)]
pub enum ClientCommand {
    /// Make one, print its password once, and never again
    Create {
        /// Its user name: 1 to 64 letters, digits and -_.@
        name: String,
        /// It may do everything over REST, not only read the service of its own name
        #[arg(long)]
        admin: bool,
        #[command(flatten)]
        given: Given,
    },
}

#[derive(Debug, Subcommand)]
pub enum ArchiveCommand {
    /// Print id, time of archiving and name of each
    List(Given),
    /// Make one readable again, with its history and as another revision; also while a server runs
    Restore {
        /// As `strongroom archive list` prints it
        id: String,
        #[command(flatten)]
        given: Given,
    },
}

#[derive(Debug, Subcommand)]
pub enum AuditCommand {
    /// Find what was removed, changed or reordered; also while a server runs
    Verify(Given),
    /// Print the last records as JSON lines
    Tail {
        /// How many
        #[arg(long, short = 'n', default_value_t = 10)]
        lines: usize,
        /// Go on with what is recorded from now on
        #[arg(long, short)]
        follow: bool,
        #[command(flatten)]
        given: Given,
    },
}

#[derive(Debug, Subcommand)]
pub enum ImportCommand {
    /// Write what `credhub export` prints into the store, also while a server runs on it; may be ended and run again
    #[command(after_help = "Names, types, values and metadata are kept, and which certificate was signed by which: \
authorities are written first, and certificates can be generated again under them. What is there already as it is in \
the file is left as it is; what differs gets another version. What is refused is told by its name, the rest goes on, and \
the exit code is 1.\n\nExamples:\n  \
credhub export | strongroom import credhub --dry-run\n  \
credhub export | strongroom import credhub\n  \
credhub export --path /team --output-json > team.json && strongroom import credhub team.json\n\n\
The export holds every value in the clear: better a pipe than a file.")]
    Credhub {
        /// YAML or JSON as `credhub export` prints it; - is standard input
        #[arg(default_value = "-")]
        file: PathBuf,
        /// Say what would be done, and write nothing
        #[arg(long)]
        dry_run: bool,
        #[command(flatten)]
        given: Given,
    },
}
