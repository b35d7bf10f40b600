//! What the stories that cross the crates have in common: a rig with both ends in one process, and data to send.
//!
//! The examples of the front page and of `docs/` run here, too, because only this package sees all crates.

use std::path::PathBuf;

use anyhow::Result;
use cas_emulator::Emulator;
use cas_http::Client;
use cas_objects::{Account, Vault};

/// A server with an account, a client signed in to it, and a folder.
#[derive(Debug)]
pub struct Rig {
    /// The server.
    pub emulator: Emulator,
    /// The account, as a user holds it.
    pub account: Account,
    /// A folder of one's own.
    pub folder: tempfile::TempDir,
}

impl Rig {
    /// Starts a server on a loopback port and signs in.
    ///
    /// # Errors
    ///
    /// When the machine gives no port or no folder.
    pub async fn start() -> Result<Rig> {
        Rig::with(Emulator::start().await?)
    }

    /// Signs in to a server that was started otherwise.
    ///
    /// # Errors
    ///
    /// When the machine gives no folder.
    pub fn with(emulator: Emulator) -> Result<Rig> {
        let account = Account::new(client(&emulator)?);
        Ok(Rig { emulator, account, folder: tempfile::tempdir()? })
    }

    /// A vault of this name, created.
    ///
    /// # Errors
    ///
    /// When the name is none, or the server refuses.
    pub async fn vault(&self, name: &str) -> Result<Vault> {
        Ok(self.account.create_vault(name.parse::<cas_http::VaultName>()?).await?)
    }

    /// A file of `len` bytes in the rig's folder, and its bytes.
    ///
    /// # Errors
    ///
    /// When it cannot be written.
    pub fn file(&self, name: &str, len: usize) -> Result<(PathBuf, Vec<u8>)> {
        let (path, bytes) = (self.folder.path().join(name), data(len));
        std::fs::write(&path, &bytes)?;
        Ok((path, bytes))
    }
}

/// A low-level client for a server, with the server's own credentials. From now on no line of the log, the server's included, may tell them.
///
/// # Errors
///
/// When it cannot be built.
pub fn client(emulator: &Emulator) -> Result<Client, cas_http::Error> {
    cas_http::secret_watch::watch_the_log();
    Client::builder().endpoint(emulator.endpoint()).credentials(emulator.credentials()).build()
}

/// `len` bytes in which no two MiB are alike and no period is a power of two, so that anything out of place shows.
#[must_use]
pub fn data(len: usize) -> Vec<u8> {
    let mut state = 0x9e37_79b9_7f4a_7c15_u64 ^ len as u64;
    let mut bytes = Vec::with_capacity(len + 8);
    while bytes.len() < len {
        state ^= state >> 12;
        state ^= state << 25;
        state ^= state >> 27;
        bytes.extend_from_slice(&state.wrapping_mul(0x2545_f491_4f6c_dd1d).to_le_bytes());
    }
    bytes.truncate(len);
    bytes
}

#[doc = include_str!("../../README.md")]
#[cfg(doctest)]
pub struct FrontPage;

#[doc = include_str!("../../docs/emulator.md")]
#[cfg(doctest)]
pub struct EmulatorManual;

#[doc = include_str!("../../docs/migrating-from-python.md")]
#[cfg(doctest)]
pub struct Migrating;
