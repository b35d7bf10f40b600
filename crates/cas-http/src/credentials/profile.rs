//! Credentials in files: those of the official tools, and that of the old command-line program.

use std::fmt;
use std::fs::File;
use std::io::Read;
use std::path::{Path, PathBuf};

use cas_sign::Credentials;
use configparser::ini::Ini;

use super::{CredentialsError, Environment, ProvideCredentials, assemble, temporary};
use crate::call::BoxFuture;
use crate::json::JsonObject;

/// A profile in the credential files of the official tools.
///
/// Looked for, in order: the file that `TENCENTCLOUD_CREDENTIALS_FILE` names; `~/.tencentcloud/credentials` and
/// `/etc/tencentcloud/credentials`, INI files with the keys `secret_id`, `secret_key` and perhaps `token` under the profile's name;
/// `~/.tccli/<profile>.credential`, a JSON file. The profile is the one asked for, or that of `TENCENTCLOUD_PROFILE`, or `default`.
///
/// A profile or file that was asked for by name and is not there is an error; the default one may be absent.
#[derive(Clone, Debug)]
pub struct ProfileFile {
    environment: Environment,
    profile: Option<String>,
    system_file: PathBuf,
}

const NAME: &str = "profile";
/// More than any such file has.
const MAX_FILE: u64 = 1024 * 1024;

impl ProfileFile {
    /// The profile that the environment names, or the default one.
    #[must_use]
    pub fn new(environment: Environment) -> Self {
        ProfileFile { environment, profile: None, system_file: PathBuf::from("/etc/tencentcloud/credentials") }
    }

    /// The profile of this name.
    #[must_use]
    pub fn named(self, profile: impl Into<String>) -> Self {
        ProfileFile { profile: Some(profile.into()), ..self }
    }

    fn read(&self) -> Result<Credentials, CredentialsError> {
        let named = match &self.profile {
            Some(profile) => Some(profile.clone()),
            None => self.variable("TENCENTCLOUD_PROFILE")?,
        };
        let profile = named.as_deref().unwrap_or("default");
        if profile.contains(['/', '\\', '\0']) || profile.starts_with('.') {
            return Err(CredentialsError::broken(NAME, format!("{profile:.60?} is no name of a profile")));
        }
        let named_file = self.variable("TENCENTCLOUD_CREDENTIALS_FILE")?.map(PathBuf::from);
        if let Some(path) = &named_file {
            let text = read_file(path)?
                .ok_or_else(|| CredentialsError::broken(NAME, format!("{} is not there", path.display())))?;
            return ini_section(path, &text, profile)?.ok_or_else(|| {
                CredentialsError::broken(NAME, format!("{} has no section [{profile}]", path.display()))
            });
        }
        let home = self.environment.home();
        let shared = home.iter().map(|home| home.join(".tencentcloud/credentials"));
        for path in shared.chain([self.system_file.clone()]) {
            if let Some(text) = read_file(&path)?
                && let Some(credentials) = ini_section(&path, &text, profile)?
            {
                return Ok(credentials);
            }
        }
        for path in home.iter().map(|home| home.join(format!(".tccli/{profile}.credential"))) {
            if let Some(text) = read_file(&path)? {
                return tccli(&path, &text);
            }
        }
        let why = format!("no file has a profile {profile:?}");
        Err(if named.is_some() { CredentialsError::broken(NAME, why) } else { CredentialsError::absent(NAME, why) })
    }

    /// A variable that must not be empty if it is set.
    fn variable(&self, name: &str) -> Result<Option<String>, CredentialsError> {
        match self.environment.get(name) {
            Some(value) if value.is_empty() => Err(CredentialsError::broken(NAME, format!("{name} is set and empty"))),
            value => Ok(value),
        }
    }
}

impl ProvideCredentials for ProfileFile {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        let profile = self.clone();
        Box::pin(off_thread(move || profile.read()))
    }
}

/// The file of the old command-line program, `~/.cascmd_credentials`: section `[CASCredentials]` with `endpoint`, `appid`, `secretid` and
/// `secretkey`.
#[derive(Clone)]
pub struct CascmdFile {
    path: PathBuf,
}

impl CascmdFile {
    /// The file in the user's home directory; `None` without such a directory.
    #[must_use]
    pub fn of_user(environment: &Environment) -> Option<Self> {
        Some(CascmdFile::new(environment.home()?.join(".cascmd_credentials")))
    }

    /// The file of this name.
    #[must_use]
    pub fn new(path: impl Into<PathBuf>) -> Self {
        CascmdFile { path: path.into() }
    }

    /// Where the file is.
    #[must_use]
    pub fn path(&self) -> &Path {
        &self.path
    }

    /// The endpoint and the account it names, as they are written there. It blocks: the file is read.
    ///
    /// # Errors
    ///
    /// When the file is absent, or cannot be read.
    pub fn endpoint_and_app_id(&self) -> Result<(Option<String>, Option<String>), CredentialsError> {
        let ini = self.ini()?;
        let get = |key| ini.get(SECTION, key).filter(|value| !value.is_empty());
        Ok((get("endpoint"), get("appid")))
    }

    fn read(&self) -> Result<Credentials, CredentialsError> {
        let ini = self.ini()?;
        let required = |key| {
            ini.get(SECTION, key).ok_or_else(|| {
                CredentialsError::broken(CASCMD, format!("{} has no {key} under [CASCredentials]", self.path.display()))
            })
        };
        assemble(CASCMD, &required("secretid")?, &required("secretkey")?, None, None)
    }

    fn ini(&self) -> Result<Ini, CredentialsError> {
        let text = read_file(&self.path)?
            .ok_or_else(|| CredentialsError::absent(CASCMD, format!("{} is not there", self.path.display())))?;
        parse_ini(&self.path, &text)
    }
}

const CASCMD: &str = "cascmd file";
/// The section as the parser knows it: it lowers names.
const SECTION: &str = "cascredentials";

impl ProvideCredentials for CascmdFile {
    fn provide(&self) -> BoxFuture<'_, Result<Credentials, CredentialsError>> {
        let file = self.clone();
        Box::pin(off_thread(move || file.read()))
    }
}

impl fmt::Debug for CascmdFile {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_tuple("CascmdFile").field(&self.path).finish()
    }
}

async fn off_thread(
    read: impl FnOnce() -> Result<Credentials, CredentialsError> + Send + 'static,
) -> Result<Credentials, CredentialsError> {
    let stopped = |error| CredentialsError::broken(NAME, "reading was stopped").caused_by(error);
    tokio::task::spawn_blocking(read).await.unwrap_or_else(|error| Err(stopped(error)))
}

/// The text of a file; `None` when there is none.
fn read_file(path: &Path) -> Result<Option<String>, CredentialsError> {
    let broken = |why: &str| CredentialsError::broken(NAME, format!("{} {why}", path.display()));
    let file = match File::open(path) {
        Ok(file) => file,
        Err(error) if matches!(error.kind(), std::io::ErrorKind::NotFound | std::io::ErrorKind::NotADirectory) => {
            return Ok(None);
        }
        Err(error) => return Err(broken("cannot be opened").caused_by(error)),
    };
    warn_if_open_to_others(path, &file);
    let mut text = String::new();
    let read = file.take(MAX_FILE).read_to_string(&mut text);
    read.map_err(|error| broken("cannot be read").caused_by(error))?;
    Ok(Some(text))
}

#[cfg(unix)]
fn warn_if_open_to_others(path: &Path, file: &File) {
    use std::os::unix::fs::PermissionsExt;

    let mode = file.metadata().map_or(0, |metadata| metadata.permissions().mode() & 0o777);
    if mode & 0o077 != 0 {
        tracing::warn!(path = %path.display(), mode = %format_args!("{mode:o}"), "others can read this file with secrets; 600 is enough");
    }
}

#[cfg(not(unix))]
fn warn_if_open_to_others(_: &Path, _: &File) {}

/// As Python's parser reads it, which wrote such files: no comment begins within a line, so a key may hold any character.
fn parse_ini(path: &Path, text: &str) -> Result<Ini, CredentialsError> {
    let mut ini = Ini::new();
    ini.set_inline_comment_symbols(Some(&[]));
    // The parser's message may quote a line, and a line may be a secret.
    ini.read(text.to_owned())
        .map_err(|_| CredentialsError::broken(NAME, format!("{} is not an INI file", path.display())))?;
    Ok(ini)
}

/// The credentials of a section; `None` when there is no such section.
fn ini_section(path: &Path, text: &str, profile: &str) -> Result<Option<Credentials>, CredentialsError> {
    let ini = parse_ini(path, text)?;
    let section = profile.to_lowercase();
    let get = |key| ini.get(&section, key);
    let (id, key) = match (get("secret_id"), get("secret_key")) {
        (Some(id), Some(key)) => (id, key),
        (None, None) if !ini.sections().contains(&section) => return Ok(None),
        _ => {
            let why = format!("{} has no secret_id and secret_key under [{profile}]", path.display());
            return Err(CredentialsError::broken(NAME, why));
        }
    };
    assemble(NAME, &id, &key, get("token").filter(|token| !token.is_empty()).as_deref(), None).map(Some)
}

fn tccli(path: &Path, text: &str) -> Result<Credentials, CredentialsError> {
    let object = JsonObject::from_slice(text.as_bytes())
        .map_err(|_| CredentialsError::broken(NAME, format!("{} is not a JSON object", path.display())))?;
    temporary::read(NAME, &object)
}

#[cfg(test)]
mod tests {
    use super::*;

    struct Home(tempfile::TempDir);

    impl Home {
        fn new(files: &[(&str, &str)]) -> Self {
            let home = tempfile::tempdir().unwrap();
            for (name, text) in files {
                let path = home.path().join(name);
                std::fs::create_dir_all(path.parent().unwrap()).unwrap();
                std::fs::write(path, text).unwrap();
            }
            Home(home)
        }

        fn profile(&self, more: &[(&str, &str)]) -> ProfileFile {
            let home = self.0.path().to_str().unwrap();
            let environment =
                Environment::from_pairs([("HOME", home), ("USERPROFILE", home)].iter().chain(more).copied());
            ProfileFile { system_file: self.0.path().join("etc"), ..ProfileFile::new(environment) }
        }

        fn read(&self, more: &[(&str, &str)]) -> Result<String, CredentialsError> {
            self.profile(more).read().map(|credentials| credentials.secret_id().to_string())
        }
    }

    const SHARED: &str =
        "[default]\nsecret_id = id-1\nsecret_key = k;ey#=:\n\n[Work]\nsecret_id=id-2\nsecret_key=k\ntoken=t\n";

    #[test]
    fn profiles_are_found_by_name() {
        let home = Home::new(&[(".tencentcloud/credentials", SHARED)]);
        assert_eq!(home.read(&[]).unwrap(), "id-1");
        assert_eq!(home.read(&[("TENCENTCLOUD_PROFILE", "Work")]).unwrap(), "id-2");
        let work = home.profile(&[("TENCENTCLOUD_PROFILE", "default")]).named("work").read().unwrap();
        assert_eq!(work.token().unwrap().expose(), "t");
    }

    #[test]
    fn a_secret_key_may_hold_any_character() {
        let ini = parse_ini(Path::new("x"), SHARED).unwrap();
        assert_eq!(ini.get("default", "secret_key").unwrap(), "k;ey#=:");
    }

    #[test]
    fn files_are_looked_into_in_order() {
        let tccli = (".tccli/default.credential", r#"{"secretId":"id-4","secretKey":"k","token":""}"#);
        let system = ("etc", "[default]\nsecret_id=id-3\nsecret_key=k\n");
        assert_eq!(Home::new(&[(".tencentcloud/credentials", SHARED), tccli, system]).read(&[]).unwrap(), "id-1");
        assert_eq!(Home::new(&[tccli, system]).read(&[]).unwrap(), "id-3");
        assert_eq!(Home::new(&[tccli]).read(&[]).unwrap(), "id-4");
    }

    #[test]
    fn what_was_asked_for_by_name_must_be_there() {
        let home = Home::new(&[(".tencentcloud/credentials", "[other]\nsecret_id=i\nsecret_key=k\n")]);
        assert!(home.read(&[]).unwrap_err().is_absent());
        let file = home.0.path().join(".tencentcloud/credentials");
        for named in [
            ("TENCENTCLOUD_PROFILE", "nobody"),
            ("TENCENTCLOUD_PROFILE", ""),
            ("TENCENTCLOUD_PROFILE", "../../etc/passwd"),
            ("TENCENTCLOUD_CREDENTIALS_FILE", "/no/such/file"),
            ("TENCENTCLOUD_CREDENTIALS_FILE", file.to_str().unwrap()),
        ] {
            assert!(!home.read(&[named]).unwrap_err().is_absent(), "{named:?}");
        }
    }

    #[test]
    fn a_file_without_keys_is_broken_and_shows_nothing() {
        for text in [
            "[default]\nsecret_id=hunter2\n",
            "[default]\n",
            "secret hunter2",
            "[default]\nsecret_id=\nsecret_key=hunter2\n",
        ] {
            let home = Home::new(&[(".tencentcloud/credentials", text)]);
            let outcome = home.read(&[]);
            if text == "[default]\n" {
                assert!(outcome.is_err());
                continue;
            }
            let error = outcome.unwrap_err();
            assert!(!error.is_absent(), "{text:?}");
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error:?}");
        }
    }

    #[test]
    fn the_file_of_the_old_program_is_read() {
        let text = "[CASCredentials]\nendpoint = cas.ap-chengdu.myqcloud.com\nappid = 1250000000\nsecretid = i\nsecretkey = k\n";
        let home = Home::new(&[(".cascmd_credentials", text)]);
        let environment = home.profile(&[]).environment;
        let file = CascmdFile::of_user(&environment).unwrap();
        assert_eq!(file.read().unwrap().secret_id().as_str(), "i");
        let (endpoint, app_id) = file.endpoint_and_app_id().unwrap();
        assert_eq!((endpoint.as_deref(), app_id.as_deref()), (Some("cas.ap-chengdu.myqcloud.com"), Some("1250000000")));
        assert!(CascmdFile::new("/no/such/file").read().unwrap_err().is_absent());
    }
}
