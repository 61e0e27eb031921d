//! The PostgreSQL store on real servers that are killed, restarted and replaced under load.

mod doubt;
mod failover;
mod journal;
mod load;
mod replicas;
#[path = "../../peers/postgres/server.rs"]
pub mod server;
mod sessions;
mod tail;
mod verify;
mod wire;
