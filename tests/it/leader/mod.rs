//! Several processes on one store: which of them works, and that no other can.

mod bench;
mod late;
mod outage;
mod processes;
mod rounds;
