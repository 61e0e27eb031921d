//! What others may see of this process's memory: nothing that the kernel can be told to keep from them.

use anyhow::Context;
#[cfg(target_os = "linux")]
use rustix::process::{DumpableBehavior, set_dumpable_behavior};
use rustix::process::{Resource, Rlimit, setrlimit};

/// No core dumps, and no other process of the same user may read the memory or attach to it. To be called before
/// anything secret is there.
pub fn close() -> anyhow::Result<()> {
    let nothing = Rlimit { current: Some(0), maximum: Some(0) };
    setrlimit(Resource::Core, nothing).context("core dumps cannot be turned off")?;
    #[cfg(target_os = "linux")]
    set_dumpable_behavior(DumpableBehavior::NotDumpable).context("the memory cannot be closed to other processes")?;
    Ok(())
}
