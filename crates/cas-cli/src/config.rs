//! Which service, which account, which keys: options before environment before files. This is where the program looks at its environment.

use std::sync::Arc;

use cas_http::credentials::{
    Cached, CascmdFile, Chain, Credentials, CredentialsError, Environment, EnvironmentCredentials, InstanceRole,
    ProfileFile, ProvideCredentials, WebIdentity,
};
use cas_http::{Endpoint, Uid};

use crate::cli::GlobalOptions;
use crate::exit::{Failure, Problem};
use crate::values::Secret;

/// What the options and the environment say, not yet looked up.
#[derive(Debug)]
pub(crate) struct Settings<'o> {
    options: &'o GlobalOptions,
    environment: Environment,
}

/// The service and the account in it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Target {
    pub(crate) endpoint: Endpoint,
    pub(crate) uid: Uid,
}

/// A source of credentials that has given some, and is asked again when they end.
pub(crate) type Source = Arc<dyn ProvideCredentials>;

impl<'o> Settings<'o> {
    /// With the environment of this process.
    pub(crate) fn of_process(options: &'o GlobalOptions) -> Self {
        Settings { options, environment: Environment::of_process() }
    }

    /// What a log filter is read from, if anything.
    pub(crate) fn log_filter(&self) -> Option<String> {
        self.environment.get_filled("CAS_LOG")
    }

    /// The service and the account.
    ///
    /// # Errors
    ///
    /// When no endpoint is named anywhere, or what is named is none.
    pub(crate) async fn target(&self) -> Result<Target, Failure> {
        let given =
            |option: &Option<String>, variable| option.clone().or_else(|| self.environment.get_filled(variable));
        let (mut endpoint, mut app_id) =
            (given(&self.options.endpoint, "CAS_ENDPOINT"), given(&self.options.app_id, "CAS_APPID"));
        if let Some(file) = self.old_file().await {
            let (old_endpoint, old_app_id) = file.endpoint_and_app_id()?;
            (endpoint, app_id) = (endpoint.or(old_endpoint), app_id.or(old_app_id));
        }
        let endpoint = match (endpoint, self.environment.get_filled("TENCENTCLOUD_REGION")) {
            (Some(endpoint), _) => Endpoint::parse(endpoint)?,
            (None, Some(region)) => Endpoint::of_region(region)?,
            (None, None) => {
                let what = "no endpoint is named: give --endpoint https://cas.REGION.myqcloud.com, CAS_ENDPOINT or \
                            TENCENTCLOUD_REGION; without an account, --local";
                return Err(Problem::Usage(what.to_owned()).into());
            }
        };
        let uid = app_id.map_or(Ok(Uid::Own), |text| text.parse())?;
        Ok(Target { endpoint, uid })
    }

    /// Credentials for one signature.
    ///
    /// # Errors
    ///
    /// When no source has any, or one that somebody meant to be used is broken.
    pub(crate) async fn credentials(&self) -> Result<Credentials, Failure> {
        Ok(self.provider()?.provide().await?)
    }

    /// The source of credentials, asked once already, so that a missing key is told before anything else happens.
    ///
    /// # Errors
    ///
    /// As [`credentials`](Self::credentials).
    pub(crate) async fn source(&self) -> Result<Source, Failure> {
        let source: Source = Arc::new(Cached::new(self.provider()?));
        source.provide().await?;
        Ok(source)
    }

    /// A signing key that somebody else derived, where one is given.
    pub(crate) fn signing_key(&self, option: Option<&Secret>) -> Option<String> {
        let is_secret_key_given = self.options.secret_key.is_some();
        option
            .map(|key| key.expose().to_owned())
            .or_else(|| self.environment.get_filled("CAS_SIGNING_KEY").filter(|_| !is_secret_key_given))
    }

    /// The secret id alone, for a signing key.
    ///
    /// # Errors
    ///
    /// When none is given.
    pub(crate) fn secret_id(&self) -> Result<String, Failure> {
        self.option_or_variable(self.options.secret_id.clone(), SECRET_ID).ok_or_else(|| {
            Problem::Usage(format!("a signing key needs a secret id: give --secret-id or {SECRET_ID}")).into()
        })
    }

    /// The file of the old program, when nothing else has credentials: then it also names the service and the account.
    pub(crate) async fn old_file(&self) -> Option<CascmdFile> {
        let GlobalOptions { secret_id, secret_key, profile, .. } = self.options;
        if secret_id.is_some() || secret_key.is_some() || profile.is_some() {
            return None;
        }
        let newer = Chain::new()
            .then(EnvironmentCredentials::new(self.environment.clone()))
            .then(ProfileFile::new(self.environment.clone()));
        let is_last = newer.provide().await.is_err_and(|error| error.is_absent());
        CascmdFile::of_user(&self.environment).filter(|file| is_last && file.path().exists())
    }

    fn provider(&self) -> Result<Chain, Failure> {
        let environment = || self.environment.clone();
        if let Some(credentials) = self.typed()? {
            return Ok(Chain::new().then(credentials));
        }
        if let Some(profile) = &self.options.profile {
            return Ok(Chain::new().then(ProfileFile::new(environment()).named(profile)));
        }
        let mut chain =
            Chain::new().then(EnvironmentCredentials::new(environment())).then(ProfileFile::new(environment()));
        if let Some(file) = CascmdFile::of_user(&self.environment) {
            chain = chain.then(file);
        }
        Ok(chain.then(WebIdentity::new(environment())).then(InstanceRole::new(&self.environment)))
    }

    /// The credentials of the options. One half may stand in the environment, so that the key need not be typed.
    fn typed(&self) -> Result<Option<Credentials>, Failure> {
        let GlobalOptions { secret_id, secret_key, .. } = self.options;
        let key = secret_key.as_ref().map(|key| key.expose().to_owned());
        if secret_id.is_none() && key.is_none() {
            return Ok(None);
        }
        let is_all_typed = secret_id.is_some() && key.is_some();
        let missing = |what: &str, option: &str, variable: &str| {
            let why = format!("the {what} is missing: give it as {variable} or with {option}");
            CredentialsError::broken("options", why)
        };
        let id = self.option_or_variable(secret_id.clone(), SECRET_ID);
        let key = self.option_or_variable(key, SECRET_KEY);
        let id = id.ok_or_else(|| missing("secret id", "--secret-id", SECRET_ID))?;
        let key = key.ok_or_else(|| missing("secret key", "--secret-key", SECRET_KEY))?;
        let unusable = |error| CredentialsError::broken("options", "they cannot be used").caused_by(error);
        let mut credentials = Credentials::new(id, key).map_err(unusable)?;
        // A token in the environment belongs to a key in the environment.
        if let Some(token) = TOKENS.iter().find_map(|name| self.environment.get_filled(name)).filter(|_| !is_all_typed)
        {
            credentials = credentials.with_token(token).map_err(unusable)?;
        }
        Ok(Some(credentials))
    }

    fn option_or_variable(&self, option: Option<String>, variable: &str) -> Option<String> {
        option.or_else(|| self.environment.get_filled(variable))
    }
}

const SECRET_ID: &str = "TENCENTCLOUD_SECRET_ID";
const SECRET_KEY: &str = "TENCENTCLOUD_SECRET_KEY";
const TOKENS: [&str; 3] = ["TENCENTCLOUD_SESSION_TOKEN", "TENCENTCLOUD_TOKEN", "TENCENTCLOUD_SECURITY_TOKEN"];

#[cfg(test)]
mod tests {
    use super::*;
    use crate::exit::{Code, Report};

    /// Settings of these options and variables, far from metadata services.
    fn settings<'o>(options: &'o GlobalOptions, pairs: &[(&str, &str)]) -> Settings<'o> {
        let pairs = pairs.iter().copied().chain([("CAS_METADATA_DISABLED", "true")]);
        Settings { options, environment: Environment::from_pairs(pairs) }
    }

    fn options(change: impl FnOnce(&mut GlobalOptions)) -> GlobalOptions {
        let mut options = GlobalOptions::default();
        change(&mut options);
        options
    }

    fn report(failure: &Failure) -> (Code, String) {
        let report = Report::of(failure);
        (report.code, report.to_string())
    }

    const PAIR: [(&str, &str); 2] = [(SECRET_ID, "id"), (SECRET_KEY, "key-in-environment")];

    #[tokio::test]
    async fn an_option_wins_over_the_environment() {
        let options = options(|options| {
            options.endpoint = Some("http://127.0.0.1:9".to_owned());
            options.app_id = Some("17".to_owned());
        });
        let target =
            settings(&options, &[("CAS_ENDPOINT", "https://other"), ("CAS_APPID", "18")]).target().await.unwrap();
        assert_eq!(target.endpoint, Endpoint::parse("http://127.0.0.1:9").unwrap());
        assert_eq!(target.uid.to_string(), "17");
    }

    #[tokio::test]
    async fn the_environment_names_an_endpoint_or_a_region() {
        let none = GlobalOptions::default();
        let host = async |pairs: &[(&str, &str)]| {
            let target = settings(&none, pairs).target().await;
            target.map(|target| (target.endpoint.host().to_owned(), target.uid))
        };
        assert_eq!(
            host(&[("TENCENTCLOUD_REGION", "ap-x")]).await.unwrap(),
            ("cas.ap-x.myqcloud.com".to_owned(), Uid::Own)
        );
        assert_eq!(host(&[("TENCENTCLOUD_REGION", "ap-x"), ("CAS_ENDPOINT", "e")]).await.unwrap().0, "e");
        let (code, text) = report(&host(&[("CAS_ENDPOINT", "")]).await.unwrap_err());
        assert_eq!(code, Code::Usage);
        assert!(text.contains("--endpoint") && text.contains("--local"), "{text}");
    }

    #[tokio::test]
    async fn the_key_may_stand_in_the_environment_while_the_id_is_typed() {
        let options = options(|options| options.secret_id = Some("typed".to_owned()));
        let pairs = [&PAIR[..], &[("TENCENTCLOUD_TOKEN", "t")]].concat();
        let credentials = settings(&options, &pairs).credentials().await.unwrap();
        assert_eq!(credentials.secret_id().as_str(), "typed");
        assert!(credentials.token().is_some());
        let (code, text) = report(&settings(&options, &[]).credentials().await.unwrap_err());
        assert_eq!(code, Code::Credentials);
        assert!(text.contains("the secret key is missing"), "{text}");
    }

    #[tokio::test]
    async fn a_token_of_the_environment_is_not_sent_with_a_typed_key() {
        let options = options(|options| {
            options.secret_id = Some("typed".to_owned());
            options.secret_key = "also typed".parse().ok();
        });
        let pairs = [&PAIR[..], &[("TENCENTCLOUD_TOKEN", "t")]].concat();
        assert!(settings(&options, &pairs).credentials().await.unwrap().token().is_none());
    }

    #[tokio::test]
    async fn without_any_credentials_every_source_is_listed() {
        let home = tempfile::tempdir().unwrap();
        let none = GlobalOptions::default();
        let failure = settings(&none, &[("HOME", home.path().to_str().unwrap())]).source().await.unwrap_err();
        let (code, text) = report(&failure);
        assert_eq!(code, Code::Credentials);
        for expected in ["environment", "profile", "cascmd", "instance role", "--local", SECRET_ID] {
            assert!(text.contains(expected), "{expected}: {text}");
        }
    }

    #[tokio::test]
    async fn a_profile_that_was_asked_for_wins_over_the_environment() {
        let home = tempfile::tempdir().unwrap();
        std::fs::create_dir(home.path().join(".tencentcloud")).unwrap();
        let file = "[work]\nsecret_id = of-the-profile\nsecret_key = k\n";
        std::fs::write(home.path().join(".tencentcloud/credentials"), file).unwrap();
        let pairs = [&PAIR[..], &[("HOME", home.path().to_str().unwrap())]].concat();
        let of = async |profile: Option<&str>| {
            let options = options(|options| options.profile = profile.map(String::from));
            settings(&options, &pairs).credentials().await.map(|credentials| credentials.secret_id().to_string())
        };
        assert_eq!(of(Some("work")).await.unwrap(), "of-the-profile");
        assert_eq!(of(None).await.unwrap(), "id");
        assert_eq!(report(&of(Some("play")).await.unwrap_err()).0, Code::Credentials);
    }

    #[tokio::test]
    async fn the_old_file_names_everything_when_nothing_newer_does() {
        let home = tempfile::tempdir().unwrap();
        let file =
            "[CASCredentials]\nendpoint = cas.ap-old.myqcloud.com\nappid = 1250000000\nsecretid = old\nsecretkey = k\n";
        std::fs::write(home.path().join(".cascmd_credentials"), file).unwrap();
        let none = GlobalOptions::default();
        let home = ("HOME", home.path().to_str().unwrap());
        let old = settings(&none, &[home]);
        let target = old.target().await.unwrap();
        assert_eq!(
            (target.endpoint.host(), target.uid.to_string().as_str()),
            ("cas.ap-old.myqcloud.com", "1250000000")
        );
        assert_eq!(old.credentials().await.unwrap().secret_id().as_str(), "old");
        let newer = [&PAIR[..], &[home, ("CAS_ENDPOINT", "e")]].concat();
        let newer = settings(&none, &newer);
        assert_eq!(newer.target().await.unwrap().uid, Uid::Own);
        assert_eq!(newer.credentials().await.unwrap().secret_id().as_str(), "id");
    }
}
