//! Journals in a table, copied out as files: what reads and verifies files then does so with these.

use std::fs::{File, OpenOptions, Permissions};
use std::io::Write;
use std::os::unix::fs::{OpenOptionsExt, PermissionsExt};
use std::path::Path;

use super::folder::{OVER, WRITABLE, chain_of};
use super::line::render;
use super::unavailable;
use crate::app::ports::JournalTable;
use crate::domain::Result;

const PAGE: usize = 10_000;

/// The copies of journals that are still written are locked as the originals would be; drop this to let go of them.
pub struct Copies(#[expect(dead_code, reason = "held for their locks")] Vec<File>);

/// Whatever is there when it comes to it: at least all that was there when this was called.
pub async fn copy_out(table: &dyn JournalTable, folder: &Path) -> Result<Copies> {
    let mut live = Vec::new();
    for journal in table.journals().await? {
        // A name of another form is no journal of ours, and might be a path.
        if chain_of(&journal.name).is_none() {
            continue;
        }
        let path = folder.join(&journal.name);
        let made = OpenOptions::new().append(true).create_new(true).mode(WRITABLE).open(&path);
        let mut file = made.map_err(unavailable)?;
        let (mut after, mut buffer) = (0, Vec::new());
        loop {
            let notes = table.notes(&journal.name, after, PAGE).await?;
            let Some((last, _)) = notes.last() else { break };
            after = last.number;
            notes.iter().for_each(|(position, note)| render(&mut buffer, position, note.as_str()));
            file.write_all(&buffer).map_err(unavailable)?;
            buffer.clear();
        }
        if journal.is_live {
            file.lock().map_err(unavailable)?;
            live.push(file);
        } else if journal.is_closed {
            file.set_permissions(Permissions::from_mode(OVER)).map_err(unavailable)?;
        }
    }
    Ok(Copies(live))
}
