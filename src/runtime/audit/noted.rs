//! Every record against what the chain of writes says of it: each is at the revision that was noted last,
//! and none is there or gone without a note. That revisions are dense and whole is `app::verify`'s.

use std::collections::HashMap;

use super::walk::Findings;
use super::writes::Latest;
use crate::app::ports::{HeadRow, Snapshot};
use crate::domain::Result;
use crate::domain::name::RecordId;

const PAGE: usize = 500;

pub async fn check(
    snapshot: &mut dyn Snapshot,
    mut noted: HashMap<RecordId, Latest>,
    findings: &mut Findings,
) -> Result<()> {
    let mut after = None;
    loop {
        let heads = snapshot.heads(after, PAGE).await?;
        let Some(last) = heads.last() else { break };
        after = Some(last.head.id);
        for row in &heads {
            check_one(row, noted.remove(&row.head.id), findings);
        }
    }
    for (id, latest) in noted {
        findings.add(format!(
            "record {id} is gone, and no audit record says so: number {} wrote its revision {}",
            latest.noted, latest.revision
        ));
    }
    Ok(())
}

fn check_one(HeadRow { head, stamp, .. }: &HeadRow, latest: Option<Latest>, findings: &mut Findings) {
    let name = format!("{} {}", head.class.singular(), head.name);
    match latest {
        Some(latest) if latest.revision == stamp.number => {}
        Some(latest) => findings.add(format!(
            "{name} is at revision {}, and audit record {} wrote revision {}",
            stamp.number, latest.noted, latest.revision
        )),
        None => findings.add(format!("{name} is there, and no audit record says that it was written")),
    }
}
