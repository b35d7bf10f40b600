//! Which service, which account, which keys: options before environment before files. This is where the program looks at its environment.

use std::sync::Arc;

use cas_http::credentials::{
    Cached, CascmdFile, Chain, Credentials, CredentialsError, Environment, EnvironmentCredentials, InstanceRole,
    ProfileFile, ProvideCredentials, WebIdentity,
};
use cas_http::{Endpoint, InvalidValue, Uid};

use crate::cli::GlobalOptions;
use crate::exit::{Failure, Problem};
use crate::values::Secret;

/// What the options and the environment say, not yet looked up.
#[derive(Debug)]
pub(crate) struct Settings<'o> {
    options: &'o GlobalOptions,
    environment: Environment,
}

/// The service, the account in it, and the keys to it.
#[derive(Debug)]
pub(crate) struct Access {
    pub(crate) endpoint: Endpoint,
    pub(crate) uid: Uid,
    /// It has given credentials already, and is asked again when they end.
    pub(crate) source: Source,
    /// The file of the old program, if everything comes from there.
    pub(crate) old_file: Option<CascmdFile>,
}

/// A source of credentials.
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

    /// Looks everything up.
    ///
    /// # Errors
    ///
    /// When no endpoint is named anywhere, or what is named is none; when no source has credentials, or one that somebody meant to be used
    /// is broken.
    pub(crate) async fn access(&self) -> Result<Access, Failure> {
        let (named, old_file) = (self.endpoint()?, self.old_file());
        // Told before anybody is asked for keys.
        if named.is_none() && old_file.is_none() {
            return Err(no_endpoint());
        }
        let (source, old_file) = self.source(old_file).await?;
        let (old_endpoint, old_app_id) = old_file.as_ref().map_or(Ok((None, None)), CascmdFile::endpoint_and_app_id)?;
        let endpoint = match (named, old_endpoint) {
            (Some(endpoint), _) => endpoint,
            (None, Some(endpoint)) => Endpoint::parse(endpoint)?,
            (None, None) => return Err(no_endpoint()),
        };
        let app_id = self.option_or_variable(self.options.app_id.clone(), "CAS_APPID").or(old_app_id);
        let uid = app_id.map_or(Ok(Uid::Own), |text| text.parse())?;
        Ok(Access { endpoint, uid, source, old_file })
    }

    /// Credentials for one signature.
    ///
    /// # Errors
    ///
    /// When no source has any, or one that somebody meant to be used is broken.
    pub(crate) async fn credentials(&self) -> Result<Credentials, Failure> {
        let (source, _) = self.source(self.old_file()).await?;
        Ok(source.provide().await?)
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

    /// The endpoint that an option or the environment names.
    fn endpoint(&self) -> Result<Option<Endpoint>, InvalidValue> {
        let endpoint = self.option_or_variable(self.options.endpoint.clone(), "CAS_ENDPOINT").map(Endpoint::parse);
        let region = || self.environment.get_filled("TENCENTCLOUD_REGION").map(Endpoint::of_region);
        endpoint.or_else(region).transpose()
    }

    /// The file of the old program, if there is one.
    fn old_file(&self) -> Option<CascmdFile> {
        CascmdFile::of_user(&self.environment).filter(|file| file.path().exists())
    }

    /// The first source that has credentials; and the file of the old program, if it is that.
    async fn source(&self, old_file: Option<CascmdFile>) -> Result<(Source, Option<CascmdFile>), Failure> {
        let environment = || self.environment.clone();
        if let Some(credentials) = self.typed()? {
            return Ok((Arc::new(credentials), None));
        }
        if let Some(profile) = &self.options.profile {
            return Ok((asked(ProfileFile::new(environment()).named(profile)).await?, None));
        }
        let newer = Chain::new().then(EnvironmentCredentials::new(environment())).then(ProfileFile::new(environment()));
        match asked(newer.clone()).await {
            Err(error) if error.is_absent() => {}
            found => return Ok((found?, None)),
        }
        if let Some(file) = old_file {
            return Ok((asked(file.clone()).await?, Some(file)));
        }
        // The absent ones once more, so that the error lists all that was looked into.
        let all = CascmdFile::of_user(&self.environment).into_iter().fold(newer, Chain::then);
        let all = all.then(WebIdentity::new(environment())).then(InstanceRole::new(&self.environment));
        Ok((asked(all).await?, None))
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

/// A source that is asked at once, so that a missing key is told before anything else happens, and keeps what it gave.
async fn asked(source: impl ProvideCredentials) -> Result<Source, CredentialsError> {
    let source = Arc::new(Cached::new(source));
    source.provide().await?;
    Ok(source)
}

fn no_endpoint() -> Failure {
    let what = "no endpoint is named: give --endpoint https://cas.REGION.myqcloud.com, CAS_ENDPOINT or TENCENTCLOUD_REGION; without an \
                account, --local";
    Problem::Usage(what.to_owned()).into()
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
        let pairs = [&PAIR[..], &[("CAS_ENDPOINT", "https://other"), ("CAS_APPID", "18")]].concat();
        let access = settings(&options, &pairs).access().await.unwrap();
        assert_eq!(access.endpoint, Endpoint::parse("http://127.0.0.1:9").unwrap());
        assert_eq!(access.uid.to_string(), "17");
    }

    #[tokio::test]
    async fn the_environment_names_an_endpoint_or_a_region() {
        let none = GlobalOptions::default();
        let host = async |pairs: &[(&str, &str)]| {
            let access = settings(&none, &[&PAIR[..], pairs].concat()).access().await;
            access.map(|access| (access.endpoint.host().to_owned(), access.uid))
        };
        let region = ("TENCENTCLOUD_REGION", "ap-x");
        assert_eq!(host(&[region]).await.unwrap(), ("cas.ap-x.myqcloud.com".to_owned(), Uid::Own));
        assert_eq!(host(&[region, ("CAS_ENDPOINT", "e")]).await.unwrap().0, "e");
        let (code, text) = report(&host(&[("CAS_ENDPOINT", "")]).await.unwrap_err());
        assert_eq!(code, Code::Usage);
        assert!(text.contains("--endpoint") && text.contains("--local"), "{text}");
        assert_eq!(report(&host(&[("CAS_ENDPOINT", "ftp://x")]).await.unwrap_err()).0, Code::Usage);
        assert_eq!(report(&host(&[region, ("CAS_APPID", "x")]).await.unwrap_err()).0, Code::Usage);
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
        let pairs = [("HOME", home.path().to_str().unwrap()), ("CAS_ENDPOINT", "e")];
        let failure = settings(&none, &pairs).access().await.unwrap_err();
        let (code, text) = report(&failure);
        assert_eq!(code, Code::Credentials);
        for expected in ["environment", "profile", "cascmd file", "pod identity", "instance role", "--local", SECRET_ID]
        {
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
        let old = settings(&none, &[home]).access().await.unwrap();
        assert_eq!((old.endpoint.host(), old.uid.to_string().as_str()), ("cas.ap-old.myqcloud.com", "1250000000"));
        assert_eq!(old.source.provide().await.unwrap().secret_id().as_str(), "old");
        assert!(old.old_file.is_some());
        let newer = [&PAIR[..], &[home, ("CAS_ENDPOINT", "e")]].concat();
        let newer = settings(&none, &newer).access().await.unwrap();
        assert_eq!((newer.endpoint.host(), newer.uid), ("e", Uid::Own));
        assert_eq!(newer.source.provide().await.unwrap().secret_id().as_str(), "id");
        assert!(newer.old_file.is_none());
        let keys_only = settings(&none, &[&PAIR[..], &[home]].concat()).access().await.unwrap_err();
        assert_eq!(report(&keys_only).0, Code::Usage, "the old file's endpoint is not for other keys");
    }
}
