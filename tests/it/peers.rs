//! Other people's programs, which tests/peers/peers puts below target/.

use std::path::{Path, PathBuf};

/// The environment that they are in.
pub fn place() -> PathBuf {
    let project = Path::new(env!("CARGO_MANIFEST_DIR"));
    std::env::var_os("PEERS").map_or_else(|| project.join("target/peers"), PathBuf::from)
}

/// The program of this name, from this list.
pub fn program(name: &str, list: &str) -> PathBuf {
    let program = place().join("bin").join(name);
    assert!(program.exists(), "{} is missing: run tests/peers/peers {list}", program.display());
    program
}
