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

/// Reads `SECRET_ID:SECRET_KEY:APPID`, after which `;uin=NUMBER` may follow, and `;token=TEXT;expires=SECONDS` for a temporary key pair, with the end
/// in seconds since 1970. The secret id has no colon; the key may have some, the token none. No message repeats the text.
impl FromStr for Account {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        let form = || config("expected SECRET_ID:SECRET_KEY:APPID");
        let (secret_id, rest) = text.split_once(':').ok_or_else(form)?;
        let (secret_key, rest) = rest.rsplit_once(':').ok_or_else(form)?;
        let mut rest = rest.split(';');
        let app_id = rest.next().unwrap_or_default().parse();
        let app_id = app_id.map_err(|_| config("what follows the last colon is not a decimal APPID"))?;
        let mut account = Account::new(secret_id, secret_key, app_id)?;
        let temporary = || config("a temporary key pair needs its token, and its end in seconds since 1970");
        let (mut token, mut expires) = (None, None);
        for addition in rest {
            match addition.split_once('=') {
                Some(("uin", uin)) => account = account.uin(uin),
                Some(("token", text)) => token = Some(text),
                Some(("expires", seconds)) => expires = Some(seconds.parse().ok().and_then(at).ok_or_else(temporary)?),
                _ => return Err(config("expected uin=, token= or expires= after a semicolon")),
            }
        }
        match (token, expires) {
            (None, None) => Ok(account),
            (Some(token), Some(expires)) => account.temporary(token, expires),
            _ => Err(temporary()),
        }
    }
}

fn at(seconds: i64) -> Option<Timestamp> {
    Timestamp::from_unix_millis(seconds.checked_mul(1000)?).ok()
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
    fn an_account_may_have_a_number_of_its_owner_a_token_and_an_end() {
        let account: Account = "id:ke:y:12;uin=100;token=tok=en;expires=1700000000".parse().unwrap();
        assert_eq!((account.secret_key(), account.app_id(), account.owner()), ("ke:y", AppId::new(12), "100"));
        assert_eq!(account.credentials().token().map(|token| token.expose()), Some("tok=en"));
        assert_eq!(account.expires(), at(1_700_000_000));
        for wrong in [
            "token=t",
            "expires=1",
            "expires=soon",
            "token=t;expires=soon",
            "token=t;expires=9223372036854775807",
            "what=1",
            "",
        ] {
            assert!(format!("id:key:12;{wrong}").parse::<Account>().is_err(), "{wrong}");
        }
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
