//! Everything in one binary: each further one would link the whole again.

mod cluster;
mod crd_rules;
mod house;
mod process;
mod rest;
mod usecases;
