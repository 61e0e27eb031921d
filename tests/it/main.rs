//! Everything in one binary: each further one would link the whole again. Tests start in the order of their names.

mod admission;
mod alone;
mod audit;
mod backup;
mod canary;
mod clients;
mod cluster;
#[path = "../crash/mod.rs"]
mod crash;
mod crashes;
mod crd_rules;
mod credhub_certificates;
mod credhub_races;
mod ground;
mod guard;
mod house;
mod import;
mod issuer;
mod key_file;
mod kms;
mod leader;
mod memory;
mod oidc;
mod opened;
mod peers;
mod permissions;
mod postgres;
mod process;
mod reconcile;
mod rekey;
mod rest;
mod rights;
mod rollback;
mod running;
mod usecases;
mod watched;
