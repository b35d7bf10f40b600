//! Rows of vaults: their names, policies, notifications and totals.

use cas_http::{AppId, Timestamp, VaultName};
use rusqlite::{OptionalExtension as _, Row, Transaction, params};

use super::database::{optional_time, parsed, time};
use super::expiry::alive_since;
use crate::failure::{Failure, Outcome};

/// How many vaults an account may have.
pub(crate) const MAX_VAULTS: u64 = 1000;

/// A vault.
#[derive(Clone, Debug)]
pub(crate) struct Vault {
    pub(crate) id: i64,
    pub(crate) name: VaultName,
    pub(crate) created: Timestamp,
    pub(crate) policy: Option<String>,
    pub(crate) notification: Option<String>,
    /// As of the last inventory.
    pub(crate) totals: Option<Totals>,
}

/// What a vault held at some moment.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) struct Totals {
    pub(crate) date: Timestamp,
    pub(crate) archives: u64,
    pub(crate) bytes: u64,
}

const COLUMNS: &str =
    "id, name, created, policy, notification, inventory_date, inventory_archives, inventory_bytes, app_id";

fn vault(row: &Row<'_>) -> rusqlite::Result<Vault> {
    let totals = match optional_time(row, 5)? {
        Some(date) => Some(Totals { date, archives: row.get(6)?, bytes: row.get(7)? }),
        None => None,
    };
    Ok(Vault {
        id: row.get(0)?,
        name: parsed(row, 1)?,
        created: time(row, 2)?,
        policy: row.get(3)?,
        notification: row.get(4)?,
        totals,
    })
}

/// The vault of this name, if there is one.
pub(crate) fn find(tx: &Transaction<'_>, owner: AppId, name: &VaultName) -> Outcome<Option<Vault>> {
    let sql = format!("SELECT {COLUMNS} FROM vault WHERE app_id = ? AND name = ?");
    Ok(tx.prepare_cached(&sql)?.query_row(params![number(owner), name.as_str()], vault).optional()?)
}

/// The vault of this name.
pub(crate) fn require(tx: &Transaction<'_>, owner: AppId, name: &VaultName) -> Outcome<Vault> {
    find(tx, owner, name)?.ok_or_else(|| Failure::not_found("vault"))
}

/// The vault with this row number, and whose it is.
pub(crate) fn by_id(tx: &Transaction<'_>, id: i64) -> Outcome<(Vault, AppId)> {
    let sql = format!("SELECT {COLUMNS} FROM vault WHERE id = ?");
    let owner = |row: &Row<'_>| row.get(8).map(|number: i64| AppId::new(number.cast_unsigned()));
    Ok(tx.prepare_cached(&sql)?.query_row([id], |row| Ok((vault(row)?, owner(row)?)))?)
}

/// Makes a vault, unless there is one of this name already.
pub(crate) fn create(tx: &Transaction<'_>, owner: AppId, name: &VaultName, now: Timestamp) -> Outcome<()> {
    if find(tx, owner, name)?.is_some() {
        return Ok(());
    }
    let count: u64 = tx
        .prepare_cached("SELECT count(*) FROM vault WHERE app_id = ?")?
        .query_row([number(owner)], |row| row.get(0))?;
    if count >= MAX_VAULTS {
        let message = format!("an account has at most {MAX_VAULTS} vaults");
        return Err(Failure::new(http::StatusCode::BAD_REQUEST, cas_http::error_body::code::LIMIT_EXCEEDED, message));
    }
    tx.prepare_cached("INSERT INTO vault (app_id, name, created) VALUES (?, ?, ?)")?.execute(params![
        number(owner),
        name.as_str(),
        now.unix_millis()
    ])?;
    Ok(())
}

/// Removes a vault that holds nothing, with its policy, its jobs and what is left of deleted archives.
pub(crate) fn delete(tx: &Transaction<'_>, vault: &Vault, now: Timestamp) -> Outcome<()> {
    let sql = "SELECT EXISTS (SELECT 1 FROM archive WHERE vault = ?1 AND deleted IS NULL)
                   OR EXISTS (SELECT 1 FROM upload WHERE vault = ?1 AND created > ?2)";
    let in_use: bool = tx.prepare_cached(sql)?.query_row(params![vault.id, alive_since(now)], |row| row.get(0))?;
    if in_use {
        return Err(Failure::bad_request("vault is not empty, only empty vault can be delete"));
    }
    tx.prepare_cached("DELETE FROM vault WHERE id = ?")?.execute([vault.id])?;
    Ok(())
}

/// Removes every vault of every account, with all that is in it.
pub(crate) fn delete_all(tx: &Transaction<'_>) -> Outcome<()> {
    tx.execute("DELETE FROM vault", [])?;
    Ok(())
}

/// Up to `count` vaults in the order of their names, from the name `from` on.
pub(crate) fn list(tx: &Transaction<'_>, owner: AppId, from: &str, count: u32) -> Outcome<Vec<Vault>> {
    let sql = format!("SELECT {COLUMNS} FROM vault WHERE app_id = ? AND name >= ? ORDER BY name LIMIT ?");
    let mut select = tx.prepare_cached(&sql)?;
    let vaults = select.query_map(params![number(owner), from, count], vault)?;
    Ok(vaults.collect::<Result<_, _>>()?)
}

/// Sets or removes the policy.
pub(crate) fn set_policy(tx: &Transaction<'_>, vault: &Vault, policy: Option<&str>) -> Outcome<()> {
    tx.prepare_cached("UPDATE vault SET policy = ? WHERE id = ?")?.execute(params![policy, vault.id])?;
    Ok(())
}

/// Sets or removes the notification configuration, as JSON.
pub(crate) fn set_notification(tx: &Transaction<'_>, vault: &Vault, json: Option<&str>) -> Outcome<()> {
    tx.prepare_cached("UPDATE vault SET notification = ? WHERE id = ?")?.execute(params![json, vault.id])?;
    Ok(())
}

/// What the vault holds at this moment.
pub(crate) fn live_totals(tx: &Transaction<'_>, vault: i64, now: Timestamp) -> Outcome<Totals> {
    let sql = "SELECT count(*), coalesce(sum(size), 0) FROM archive WHERE vault = ? AND deleted IS NULL";
    let totals = tx
        .prepare_cached(sql)?
        .query_row([vault], |row| Ok(Totals { date: now, archives: row.get(0)?, bytes: row.get(1)? }))?;
    Ok(totals)
}

/// Keeps what the vault holds at this moment as its totals.
pub(crate) fn take_inventory(tx: &Transaction<'_>, vault: i64, now: Timestamp) -> Outcome<Totals> {
    let totals = live_totals(tx, vault, now)?;
    let sql = "UPDATE vault SET inventory_date = ?, inventory_archives = ?, inventory_bytes = ? WHERE id = ?";
    tx.prepare_cached(sql)?.execute(params![now.unix_millis(), totals.archives, totals.bytes, vault])?;
    Ok(totals)
}

/// The vaults whose totals are a day old, or that are a day old and have none.
pub(crate) fn due_for_inventory(tx: &Transaction<'_>, now: Timestamp) -> Outcome<Vec<i64>> {
    let mut select = tx.prepare_cached("SELECT id FROM vault WHERE coalesce(inventory_date, created) <= ?")?;
    let vaults = select.query_map([alive_since(now)], |row| row.get(0))?;
    Ok(vaults.collect::<Result<_, _>>()?)
}

/// An account's number as SQLite can hold it: the same 64 bits.
fn number(owner: AppId) -> i64 {
    owner.get().cast_signed()
}
