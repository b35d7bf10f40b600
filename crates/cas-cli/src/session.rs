//! What a command works with: a client of the service, or of the emulator inside this program.

use std::path::Path;

use cas_api::CasApi;
use cas_emulator::Emulator;
use cas_http::{Client, VaultName};
use cas_objects::Vault;

use crate::cli::GlobalOptions;
use crate::config::{Access, Settings};
use crate::exit::{Failure, Problem};
use crate::local::Local;
use crate::output::{Output, quoted};

/// A client, and what has to stay alive for it.
#[derive(Debug)]
pub(crate) struct Session {
    api: CasApi,
    emulator: Option<Emulator>,
    /// The program's name and the options that lead to the same service again.
    again: String,
}

/// Opens a session, works with it, and closes it however the work ended.
///
/// # Errors
///
/// Those of [`Session::open`] and of the work.
pub(crate) async fn with<T>(
    options: &GlobalOptions,
    output: Output,
    work: impl AsyncFnOnce(&Session) -> Result<T, Failure>,
) -> Result<T, Failure> {
    let session = Session::open(options, output).await?;
    let outcome = work(&session).await;
    session.close().await;
    outcome
}

impl Session {
    /// Reaches for the service that the options and the environment name. Nothing is sent yet.
    ///
    /// # Errors
    ///
    /// When no service is named, or no credentials are found; when the local emulator does not start.
    async fn open(options: &GlobalOptions, output: Output) -> Result<Self, Failure> {
        if options.local { Self::open_local(options, output).await } else { Self::open_remote(options, output).await }
    }

    async fn open_local(options: &GlobalOptions, output: Output) -> Result<Self, Failure> {
        refuse_remote_options(options, "--local")?;
        let local = Local::here()?;
        let emulator = local.start().await?;
        output.notice(format_args!("local emulator, its state is in {}", local.name()));
        Ok(Session { api: client_of(&emulator)?, emulator: Some(emulator), again: "cas --local".to_owned() })
    }

    async fn open_remote(options: &GlobalOptions, output: Output) -> Result<Self, Failure> {
        let Access { endpoint, uid, source, old_file } = Settings::of_process(options).access().await?;
        if let Some(file) = old_file {
            output.notice(format_args!("keys and endpoint are those of {}", file.path().display()));
        }
        let client = Client::builder()
            .endpoint(endpoint.to_string())
            .account(uid)
            .credentials(source)
            .user_agent(USER_AGENT)
            .build()?;
        Ok(Session { api: CasApi::new(client), emulator: None, again: again(options) })
    }

    /// The typed client.
    pub(crate) fn api(&self) -> &CasApi {
        &self.api
    }

    /// A vault, without asking for it.
    pub(crate) fn vault(&self, name: &VaultName) -> Vault {
        Vault::named(&self.api, name)
    }

    /// A command that reaches the same service in the same way, ready to be pasted into a shell.
    pub(crate) fn command<'w>(&self, words: impl IntoIterator<Item = &'w str>) -> String {
        words.into_iter().fold(self.again.clone(), |command, word| command + " " + &quoted(word))
    }

    /// Ends the emulator, if there is one, when it has done what it was asked.
    async fn close(self) {
        if let Some(emulator) = self.emulator {
            // What was acknowledged is on disk already; an end that is less than graceful loses nothing.
            _ = emulator.shutdown().await;
        }
    }
}

/// A client of an emulator in this process, over a real connection and with real signatures.
pub(crate) fn client_of(emulator: &Emulator) -> Result<CasApi, Failure> {
    let client = Client::builder()
        .endpoint(emulator.endpoint())
        .credentials(emulator.credentials())
        .user_agent(USER_AGENT)
        .no_proxy()
        .build()?;
    Ok(CasApi::new(client))
}

/// Refuses options that name another service than the emulator inside this program.
///
/// # Errors
///
/// When one of them is given.
pub(crate) fn refuse_remote_options(options: &GlobalOptions, who: &str) -> Result<(), Failure> {
    let GlobalOptions { endpoint, app_id, secret_id, secret_key, profile, .. } = options;
    let given = [
        ("--endpoint", endpoint.is_some()),
        ("--app-id", app_id.is_some()),
        ("--secret-id", secret_id.is_some()),
        ("--secret-key", secret_key.is_some()),
        ("--profile", profile.is_some()),
    ];
    match given.iter().find(|(_, is_given)| *is_given) {
        None => Ok(()),
        Some((option, _)) => {
            Err(Problem::Usage(format!("{who} works on the emulator inside this program: {option} has no place there"))
                .into())
        }
    }
}

/// A path as a word of a command.
pub(crate) fn word(path: &Path) -> String {
    let text = path.to_string_lossy().into_owned();
    // A name that begins with a dash would be read as an option.
    if text.starts_with('-') { format!("./{text}") } else { text }
}

const USER_AGENT: &str = concat!("cas-cli/", env!("CARGO_PKG_VERSION"));

/// The options that were typed, without the key.
fn again(options: &GlobalOptions) -> String {
    let GlobalOptions { endpoint, app_id, secret_id, profile, .. } = options;
    let typed = [("--endpoint", endpoint), ("--app-id", app_id), ("--secret-id", secret_id), ("--profile", profile)];
    let typed = typed.into_iter().filter_map(|(name, value)| Some(format!(" {name} {}", quoted(value.as_deref()?))));
    typed.fold("cas".to_owned(), |command, option| command + &option)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_command_to_go_on_with_reaches_the_same_service_and_holds_no_key() {
        let options = GlobalOptions {
            endpoint: Some("http://127.0.0.1:9580".to_owned()),
            app_id: Some("-".to_owned()),
            secret_id: Some("my id".to_owned()),
            secret_key: "hush".parse().ok(),
            ..GlobalOptions::default()
        };
        assert_eq!(again(&options), "cas --endpoint http://127.0.0.1:9580 --app-id - --secret-id 'my id'");
        assert_eq!(again(&GlobalOptions::default()), "cas");
    }

    #[test]
    fn a_local_session_takes_no_options_of_a_remote_one() {
        let options = GlobalOptions { profile: Some("p".to_owned()), ..GlobalOptions::default() };
        assert!(refuse_remote_options(&options, "--local").is_err());
        assert!(refuse_remote_options(&GlobalOptions { json: true, ..GlobalOptions::default() }, "--local").is_ok());
    }

    #[test]
    fn a_file_is_never_read_as_an_option() {
        assert_eq!(word(Path::new("-rf")), "./-rf");
        assert_eq!(word(Path::new("a b")), "a b");
    }
}
