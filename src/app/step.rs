//! Named places between two effects, where a test may end the process as SIGKILL would.

/// Does nothing, except in builds with the feature `failpoints`: there `FAILPOINTS="<name>=return"` in
/// the environment ends the process here, at once and without unwinding.
pub fn step(name: &'static str) {
    #[cfg(feature = "failpoints")]
    fail::fail_point!(name, |_| std::process::abort());
    #[cfg(not(feature = "failpoints"))]
    let _ = name;
}
