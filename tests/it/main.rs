//! Everything in one binary: each further one would link the whole again.

mod alone;
mod cluster;
mod crd_rules;
mod house;
mod process;
mod rest;
mod rights;
mod usecases;
mod webhook;
