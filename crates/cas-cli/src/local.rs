//! The emulator inside this program, for `--local` and `cas demo`: its folder, its account, and how it is started.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use cas_emulator::{Account, Emulator};
use cas_http::AppId;
use ring::rand::{SecureRandom, SystemRandom};
use serde::{Deserialize, Serialize};

use crate::exit::{Failure, Problem};

/// The folder in the current directory that keeps everything.
const FOLDER: &str = ".cas-local";

/// The account of everybody's local emulator.
const APP_ID: AppId = AppId::new(1_250_000_000);

/// The folder of the local emulator.
#[derive(Clone, Debug)]
pub(crate) struct Local {
    folder: PathBuf,
}

/// What `account.json` holds: a key pair made on this machine, good for this folder only.
#[derive(Serialize, Deserialize)]
struct Keys {
    secret_id: String,
    secret_key: String,
}

impl Local {
    /// The folder below the current directory, made if it is not there.
    pub(crate) fn here() -> Result<Self, Failure> {
        Self::in_folder(Path::new("."))
    }

    fn in_folder(parent: &Path) -> Result<Self, Failure> {
        // Shown to people, so without a dot and a slash before it.
        let folder = if parent == Path::new(".") { PathBuf::from(FOLDER) } else { parent.join(FOLDER) };
        let local = Local { folder };
        local
            .prepare()
            .map_err(|error| Failure::from(error).doing(format!("{} cannot be made", local.folder.display())))?;
        Ok(local)
    }

    /// A file in the folder.
    pub(crate) fn file(&self, name: &str) -> PathBuf {
        self.folder.join(name)
    }

    /// The folder's name as people should see it.
    pub(crate) fn name(&self) -> String {
        format!("{}/", self.folder.display())
    }

    /// Where the emulator keeps what it was told.
    pub(crate) fn data_dir(&self) -> PathBuf {
        self.file("emulator")
    }

    /// The account, whose key pair is made when the folder has none.
    pub(crate) fn account(&self) -> Result<Account, Failure> {
        let keys = self.keys()?;
        Ok(Account::new(keys.secret_id, keys.secret_key, APP_ID)?)
    }

    /// Starts the emulator on a free loopback port, with everything it was told in earlier runs.
    pub(crate) async fn start(&self) -> Result<Emulator, Failure> {
        let builder = Emulator::builder().data_dir(self.data_dir()).account(self.account()?).live_totals(true);
        let doing = || format!("the local emulator did not start in {}", self.name());
        builder.start().await.map_err(|error| Failure::from(error).doing(doing()))
    }

    fn prepare(&self) -> io::Result<()> {
        fs::create_dir_all(&self.folder)?;
        let ignore = self.file(".gitignore");
        if !ignore.exists() {
            fs::write(ignore, "*\n")?;
        }
        Ok(())
    }

    /// The key pair, made when the folder has none.
    fn keys(&self) -> Result<Keys, Failure> {
        let path = self.file("account.json");
        let broken = |error: io::Error| Failure::from(error).doing(format!("{} cannot be read", path.display()));
        match fs::read(&path) {
            Ok(text) => serde_json::from_slice(&text).map_err(|error| broken(error.into())),
            Err(error) if error.kind() == io::ErrorKind::NotFound => {
                let keys =
                    Keys { secret_id: format!("local-{}", random_text::<8>()?), secret_key: random_text::<32>()? };
                save_privately(&path, &serde_json::to_vec(&keys)?)?;
                Ok(keys)
            }
            Err(error) => Err(broken(error)),
        }
    }
}

/// Lower-case letters and digits that nobody can guess.
fn random_text<const LEN: usize>() -> Result<String, Failure> {
    // 32 characters, so that each stands for five bits and none is likelier than another.
    const ALPHABET: &[u8; 32] = b"abcdefghijkmnpqrstuvwxyz23456789";
    let mut bytes = [0; LEN];
    SystemRandom::new()
        .fill(&mut bytes)
        .map_err(|_| Problem::Input("the system gives no random numbers".to_owned()))?;
    Ok(bytes.iter().map(|byte| char::from(ALPHABET[usize::from(byte % 32)])).collect())
}

/// Writes a file that only its owner can read; it is there whole or not at all.
fn save_privately(path: &Path, text: &[u8]) -> Result<(), Failure> {
    let unfinished = path.with_extension("new");
    let write = || {
        let mut file = create_private(&unfinished)?;
        file.write_all(text)?;
        file.sync_all()?;
        fs::rename(&unfinished, path)
    };
    write().map_err(|error| Failure::from(error).doing(format!("{} cannot be written", path.display())))
}

fn create_private(path: &Path) -> io::Result<File> {
    let mut options = OpenOptions::new();
    options.write(true).create(true).truncate(true);
    #[cfg(unix)]
    std::os::unix::fs::OpenOptionsExt::mode(&mut options, 0o600);
    options.open(path)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_key_pair_is_made_once_and_kept_private() {
        let parent = tempfile::tempdir().unwrap();
        let first = Local::in_folder(parent.path()).unwrap().keys().unwrap();
        let second = Local::in_folder(parent.path()).unwrap().keys().unwrap();
        assert_eq!(first.secret_key, second.secret_key);
        assert_eq!(first.secret_key.len(), 32);
        #[cfg(unix)]
        {
            use std::os::unix::fs::PermissionsExt;
            let metadata = fs::metadata(parent.path().join(".cas-local/account.json")).unwrap();
            assert_eq!(metadata.permissions().mode() & 0o777, 0o600);
        }
    }

    #[test]
    fn two_folders_have_two_keys() {
        let keys = || Local::in_folder(tempfile::tempdir().unwrap().path()).unwrap().keys().unwrap();
        assert_ne!(keys().secret_key, keys().secret_key);
    }

    #[test]
    fn a_damaged_key_pair_is_an_error_that_names_the_file() {
        let parent = tempfile::tempdir().unwrap();
        let local = Local::in_folder(parent.path()).unwrap();
        fs::write(local.file("account.json"), "{").unwrap();
        let Err(failure) = local.keys() else { panic!("a damaged file was read") };
        assert!(crate::exit::Report::of(&failure).to_string().contains("account.json"));
    }

    #[test]
    fn git_looks_away() {
        let parent = tempfile::tempdir().unwrap();
        let local = Local::in_folder(parent.path()).unwrap();
        assert_eq!(fs::read_to_string(local.file(".gitignore")).unwrap(), "*\n");
    }
}
