//! The controllers in this process, on a real store and the real API server, with the rights of the install
//! and no more. They look at every namespace, so one test at a time runs them.

mod audit;
mod authorities;
mod clients;
mod credentials;
mod deletion;
mod identity;
mod operator;
mod parents;
mod projections;
mod restart;
mod served;
mod services;
mod writes;
