//! The root key from a Secret, mounted as the kubelet mounts it into the chart's pods: in memory, not to be written,
//! root's, with mode 0440 and the pod's group, which is the process's own. Anything less is a file that others can read.

use std::fs;
use std::os::unix::fs::{PermissionsExt, chown};
use std::path::Path;
use std::process::{Command, Output};

/// As in helm/strongroom.
const USER: u32 = 65532;

/// In a mount namespace of its own: nothing stays mounted.
const SCRIPT: &str = r#"
    set -e
    mount -t "$1" -o size=64k,mode=755 strongroom "$2/secret" || exit 77
    cp "$2/key" "$2/secret/strongroom.key"
    chown "$3" "$2/secret/strongroom.key"
    chmod "$4" "$2/secret/strongroom.key"
    [ "$5" = rw ] || mount -o remount,ro "$2/secret"
    exec setpriv --reuid=65532 --regid="$6" --groups=65532 "$2/strongroom" client create ops --admin \
        --data-dir "$2/data" --key-file "$2/secret/strongroom.key"
"#;

/// Nobody but root gets into the folder of the build.
fn place() -> tempfile::TempDir {
    let dir = tempfile::tempdir().expect("a folder");
    fs::set_permissions(dir.path(), fs::Permissions::from_mode(0o755)).expect("opened");
    fs::copy(env!("CARGO_BIN_EXE_strongroom"), dir.path().join("strongroom")).expect("a copy");
    fs::write(dir.path().join("key"), [b'k'; 32]).expect("a key");
    fs::create_dir(dir.path().join("secret")).expect("a folder");
    dir
}

fn start(dir: &Path, [kind, owner, mode, access, group]: [&str; 5]) -> Output {
    let data = dir.join("data");
    let _ = fs::remove_dir_all(&data);
    fs::create_dir(&data).expect("a folder");
    chown(&data, Some(USER), Some(USER)).expect("the user's");
    let mut script = Command::new("unshare");
    script.args(["--mount", "--propagation=private", "sh", "-c", SCRIPT, "mounted", kind]).arg(dir);
    script.args([owner, mode, access, group]).output().expect("unshare")
}

#[test]
fn the_root_key_of_a_mounted_secret_is_taken_and_no_other_that_a_group_can_read() {
    if !rustix::process::geteuid().is_root() {
        return println!("a key in a mounted Secret: left out, nothing can be mounted here");
    }
    let dir = place();
    let mounted = start(dir.path(), ["tmpfs", "0:65532", "0440", "ro", "65532"]);
    if mounted.status.code() == Some(77) {
        return println!("a key in a mounted Secret: left out, tmpfs cannot be mounted here");
    }
    assert!(mounted.status.success(), "{}", String::from_utf8_lossy(&mounted.stderr));
    for (why, case) in [
        ("somebody could write it", ["tmpfs", "0:65532", "0440", "rw", "65532"]),
        ("everybody can read it", ["tmpfs", "0:65532", "0444", "ro", "65532"]),
        ("its owner can write it", ["tmpfs", "0:65532", "0640", "ro", "65532"]),
        ("it is our own, so it could be 0400", ["tmpfs", "65532:65532", "0440", "ro", "65532"]),
        ("it is nobody's that mounts Secrets", ["tmpfs", "1:65532", "0440", "ro", "65532"]),
        ("the group is one that we are in with others", ["tmpfs", "0:65532", "0440", "ro", "100"]),
        ("it is not in memory", ["ramfs", "0:65532", "0440", "ro", "65532"]),
    ] {
        let refused = start(dir.path(), case);
        let said = String::from_utf8_lossy(&refused.stderr).into_owned();
        assert!(!refused.status.success() && said.contains("is open to other users"), "{why}: {said}");
        assert!(!said.contains("kkkk"), "{said}");
    }
}
