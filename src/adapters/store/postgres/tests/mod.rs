//! On real servers: sessions, their failures, and what a crash of the server leaves.

mod sessions;
