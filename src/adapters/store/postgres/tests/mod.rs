//! On real servers: sessions and their failures, and batches of writes. What a crash leaves is in `tests/it/postgres`.

mod batches;
mod schema;
mod searches;
mod sessions;
