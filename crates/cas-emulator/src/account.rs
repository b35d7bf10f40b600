//! Who may use an emulator: key pairs, and the accounts they belong to.

use std::fmt;
use std::str::FromStr;

use cas_http::{AppId, Timestamp};
use cas_sign::{Credentials, Key};

use crate::error::{Error, ErrorKind};

/// A key pair and the account it belongs to.
///
/// Several key pairs may belong to one account. `Debug` hides the secrets.
///
/// ```
/// use cas_emulator::Account;
///
/// let account: Account = "my-secret-id:my-secret-key:1250000001".parse()?;
/// assert_eq!(account.app_id().get(), 1_250_000_001);
/// # Ok::<(), cas_emulator::Error>(())
/// ```
#[derive(Clone, Debug)]
pub struct Account {
    credentials: Credentials,
    app_id: AppId,
    uin: Box<str>,
    expires: Option<Timestamp>,
}

impl Account {
    /// The secret id of the account that an emulator has when none is given.
    pub const DEFAULT_SECRET_ID: &str = "emulator";
    /// Its secret key. It protects nothing: everybody can read it here.
    pub const DEFAULT_SECRET_KEY: &str = "emulator-secret-key";
    /// Its number.
    pub const DEFAULT_APP_ID: AppId = AppId::new(1_250_000_000);

    /// A key pair of the account with this number.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the secret id or key is empty or holds a character that no header can carry.
    pub fn new(secret_id: impl Into<String>, secret_key: impl Into<String>, app_id: AppId) -> Result<Self, Error> {
        let credentials = Credentials::new(secret_id, secret_key).map_err(config)?;
        Ok(Account { credentials, app_id, uin: app_id.to_string().into(), expires: None })
    }

    /// Makes the key pair a temporary one: requests must carry this token, and are refused from `expires` on.
    ///
    /// No document tells how the service takes tokens; the header `x-cas-security-token` is a guess.
    ///
    /// # Errors
    ///
    /// [`ErrorKind::Config`] when the token is empty or holds a character that no header can carry.
    pub fn temporary(mut self, token: impl Into<String>, expires: Timestamp) -> Result<Self, Error> {
        self.credentials = self.credentials.with_token(token).map_err(config)?;
        self.expires = Some(expires);
        Ok(self)
    }

    /// Sets the number by which access policies name the account's owner (`qcs::cam::uin/<number>:uin/<number>`); otherwise it is the APPID.
    #[must_use]
    pub fn uin(mut self, uin: impl Into<Box<str>>) -> Self {
        self.uin = uin.into();
        self
    }

    /// The public half of the key pair.
    #[must_use]
    pub fn secret_id(&self) -> &str {
        self.credentials.secret_id().as_str()
    }

    /// The secret half of the key pair.
    #[must_use]
    pub fn secret_key(&self) -> &str {
        match self.credentials.key() {
            Key::Secret(key) => key.expose(),
            Key::Signing(key) => key.expose(),
        }
    }

    /// What it takes to sign in the account's name.
    #[must_use]
    pub fn credentials(&self) -> &Credentials {
        &self.credentials
    }

    /// The account's number.
    #[must_use]
    pub fn app_id(&self) -> AppId {
        self.app_id
    }

    /// The number by which access policies name the owner.
    pub(crate) fn owner(&self) -> &str {
        &self.uin
    }

    /// When a temporary key pair ends.
    pub(crate) fn expires(&self) -> Option<Timestamp> {
        self.expires
    }
}

/// The account whose key everybody knows.
impl Default for Account {
    fn default() -> Self {
        Account::new(Self::DEFAULT_SECRET_ID, Self::DEFAULT_SECRET_KEY, Self::DEFAULT_APP_ID)
            .expect("the three constants are an account")
    }
}

/// Reads `SECRET_ID:SECRET_KEY:APPID`. The secret id has no colon; the key may have some. No message repeats the text.
impl FromStr for Account {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let form = || Error::new(ErrorKind::Config, "account: expected SECRET_ID:SECRET_KEY:APPID");
        let (secret_id, rest) = text.split_once(':').ok_or_else(form)?;
        let (secret_key, app_id) = rest.rsplit_once(':').ok_or_else(form)?;
        let app_id = app_id.parse().map_err(|_| {
            Error::new(ErrorKind::Config, "account: what follows the last colon is not a decimal APPID")
        })?;
        Account::new(secret_id, secret_key, app_id)
    }
}

fn config(error: impl fmt::Display) -> Error {
    Error::new(ErrorKind::Config, format!("account: {error}"))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_account_is_read_from_three_parts() {
        let account: Account = "id:ke:y:12".parse().unwrap();
        assert_eq!((account.secret_id(), account.secret_key(), account.app_id()), ("id", "ke:y", AppId::new(12)));
    }

    #[test]
    fn no_message_and_no_debug_tells_the_secret() {
        for text in ["hush", "hush:hush", "id:hush:x", "id:hush:", "id:hush\n:1", ":hush:1"] {
            let error = text.parse::<Account>().unwrap_err();
            assert_eq!(error.kind(), ErrorKind::Config);
            assert!(!format!("{error} {error:?}").contains("hush"), "{error:?}");
        }
        let account: Account = "id:hush:1".parse().unwrap();
        assert!(!format!("{account:?}").contains("hush"));
    }
}
