//! What goes by itself: uploads and job outputs after a day, and the totals of a vault that are made anew every day.
//!
//! Reads look at the time themselves, so nothing that has expired is ever seen; what is here frees the space.

use std::time::Duration;

use cas_http::Timestamp;
use rusqlite::Transaction;

use super::{archives, vaults};
use crate::clock::later;
use crate::failure::Outcome;

/// How long an upload, an output and the record of a job are kept (`docs/protocol.md` §1.5), and how old totals get.
pub(crate) const LIFE: Duration = Duration::from_secs(24 * 3600);

/// What was made at this moment or before, in milliseconds, has expired.
pub(crate) fn alive_since(now: Timestamp) -> i64 {
    now.unix_millis().saturating_sub(24 * 3600 * 1000)
}

/// Removes what has expired, and makes the totals that are due.
pub(crate) fn sweep(tx: &Transaction<'_>, now: Timestamp) -> Outcome<()> {
    tx.prepare_cached("DELETE FROM upload WHERE created <= ?")?.execute([alive_since(now)])?;
    tx.prepare_cached("DELETE FROM job WHERE completed <= ?")?.execute([alive_since(now)])?;
    archives::release(tx, now)?;
    for vault in vaults::due_for_inventory(tx, now)? {
        vaults::take_inventory(tx, vault, now)?;
    }
    Ok(())
}

/// Whether [`sweep`] would find something to do.
pub(crate) fn is_due(tx: &Transaction<'_>, now: Timestamp) -> Outcome<bool> {
    Ok(next(tx)?.is_some_and(|due| due <= now))
}

/// When there will be something to sweep next.
pub(crate) fn next(tx: &Transaction<'_>) -> Outcome<Option<Timestamp>> {
    let sql = "SELECT min(at) FROM (
                   SELECT min(created) AS at FROM upload
                   UNION ALL SELECT min(completed) FROM job WHERE completed IS NOT NULL
                   UNION ALL SELECT min(coalesce(inventory_date, created)) FROM vault)";
    let oldest: Option<i64> = tx.prepare_cached(sql)?.query_row([], |row| row.get(0))?;
    Ok(oldest.and_then(|millis| Timestamp::from_unix_millis(millis).ok()).map(|oldest| later(oldest, LIFE)))
}
