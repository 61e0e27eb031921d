//! Programs of others beside the tests: they end when this process does, by returning, panicking or SIGKILL alike.

use std::ffi::OsStr;
use std::io::{BufRead, BufReader};
use std::os::unix::process::CommandExt;
use std::process::{Command, Stdio};

/// Runs `begin` in a shell, which says one line when the program is up: that line. `end` follows when this process is over.
/// The arguments are `$1`, `$2` and so on to both.
///
/// In between the shell reads from a pipe. Only this process has the other end, and never writes: the pipe ends with it.
/// It stands in a process group of its own, so that Ctrl-C on the tests does not end it before it has done its work.
pub fn beside(begin: &str, end: &str, arguments: &[&OsStr]) -> String {
    let mut guard = Command::new("sh")
        .args(["-c", &format!("trap : HUP PIPE\n{begin}\ncat > /dev/null\n{end}"), "guard"])
        .args(arguments)
        .process_group(0)
        .stdin(Stdio::piped())
        .stdout(Stdio::piped())
        .stderr(Stdio::null())
        .spawn()
        .expect("sh");
    let mut line = String::new();
    BufReader::new(guard.stdout.take().expect("piped")).read_line(&mut line).expect("a line");
    std::mem::forget(guard);
    line
}
