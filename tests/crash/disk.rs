//! The preloaded library and the record that it writes. Knows events, not what they mean for a disk.

use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;
use std::sync::OnceLock;

/// Something that happened to the watched folder, or an answer that left. Files are known by inode, names are
/// relative to the folder.
pub enum Event {
    Written { inode: u64, at: usize, bytes: Vec<u8> },
    Resized { inode: u64, size: usize },
    Made { inode: u64, name: String },
    Folder { inode: u64, name: String },
    Linked { inode: u64, name: String },
    Renamed { from: String, to: String },
    Removed { name: String },
    Synced { inode: u64 },
    SyncFailed { inode: u64 },
    Answered(Vec<u8>),
}

/// Compiled once for each run of the tests.
pub fn library() -> &'static Path {
    static LIBRARY: OnceLock<PathBuf> = OnceLock::new();
    LIBRARY.get_or_init(|| {
        let source = Path::new(env!("CARGO_MANIFEST_DIR")).join("tests/crash/disk.c");
        let library = Path::new(env!("CARGO_TARGET_TMPDIR")).join("disk.so");
        let part = library.with_extension(format!("{}.so", std::process::id()));
        let compiler = std::env::var("CC").unwrap_or_else(|_| "cc".into());
        let status = Command::new(compiler)
            .args(["-std=gnu11", "-O1", "-Wall", "-Wextra", "-Werror", "-shared", "-fPIC", "-pthread", "-o"])
            .args([&part, &source])
            .status()
            .expect("a C compiler");
        assert!(status.success(), "{} does not compile", source.display());
        fs::rename(&part, &library).expect("the library in its place");
        library
    })
}

/// The environment of a process that is watched: what it does to `root` goes into `trace`.
pub fn watching(root: &Path, trace: Option<&Path>) -> Vec<(String, String)> {
    let text = |path: &Path| path.display().to_string();
    let mut environment = vec![("LD_PRELOAD".to_owned(), text(library())), ("DISK_ROOT".to_owned(), text(root))];
    environment.extend(trace.map(|trace| ("DISK_TRACE".to_owned(), text(trace))));
    environment
}

pub fn read_trace(path: &Path) -> Vec<Event> {
    let bytes = fs::read(path).expect("a trace");
    let mut rest = bytes.as_slice();
    let mut events = Vec::new();
    while let Some((head, after)) = rest.split_first_chunk::<21>() {
        let number = |at: usize, size: usize| {
            let mut wide = [0; 8];
            wide[..size].copy_from_slice(&head[at..at + size]);
            u64::from_le_bytes(wide)
        };
        let length = usize::try_from(number(17, 4)).expect("a length");
        // The last record is half there when the process was killed while it wrote it.
        let Some((body, after)) = after.split_at_checked(length) else { break };
        rest = after;
        events.push(event(head[0], number(1, 8), usize::try_from(number(9, 8)).expect("an offset"), body));
    }
    events
}

fn event(kind: u8, inode: u64, at: usize, body: &[u8]) -> Event {
    let name = || String::from_utf8(body.to_vec()).expect("a name");
    match kind {
        b'W' => Event::Written { inode, at, bytes: body.to_vec() },
        b'T' => Event::Resized { inode, size: at },
        b'C' => Event::Made { inode, name: name() },
        b'D' => Event::Folder { inode, name: name() },
        b'L' => Event::Linked { inode, name: name() },
        b'R' => {
            let (from, to) = name().split_once('\0').map(|(from, to)| (from.into(), to.into())).expect("two names");
            Event::Renamed { from, to }
        }
        b'U' => Event::Removed { name: name() },
        b'S' => Event::Synced { inode },
        b'E' => Event::SyncFailed { inode },
        b'A' => Event::Answered(body.to_vec()),
        other => panic!("an event of kind {other}"),
    }
}
