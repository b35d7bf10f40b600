//! What the signer may choose: `SigningOptions` and its policies for headers, parameters and key time.

use crate::{Algorithm, Dialect, TimeRange};

/// Everything about a signature that is neither the request, nor the credentials, nor the time.
///
/// ```
/// use cas_sign::{HeaderPolicy, ParameterReading, SigningOptions};
///
/// let mut options = SigningOptions::cas();
/// options.headers = HeaderPolicy::OfficialPython;
/// options.dialect.reading = ParameterReading::C;
/// ```
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct SigningOptions {
    /// The service's way of speaking the scheme.
    pub dialect: Dialect,
    /// The hash of every step.
    pub algorithm: Algorithm,
    /// Which headers are signed.
    pub headers: HeaderPolicy,
    /// Which parameters are signed.
    pub parameters: ParameterPolicy,
    /// How the key time is chosen when the credentials hold a secret key. A signing key brings its own.
    pub key_time: KeyTime,
}

impl SigningOptions {
    /// The defaults for a dialect: sha1, the standard headers, every parameter, and the sign time as key time.
    pub fn new(dialect: Dialect) -> Self {
        Self {
            dialect,
            algorithm: Algorithm::Sha1,
            headers: HeaderPolicy::Standard,
            parameters: ParameterPolicy::All,
            key_time: KeyTime::SignTime,
        }
    }

    /// The defaults for CAS.
    pub fn cas() -> Self {
        Self::new(Dialect::CAS)
    }

    /// The defaults for COS.
    pub fn cos() -> Self {
        Self::new(Dialect::COS)
    }
}

/// Which headers of a request are signed. `Authorization` never is.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum HeaderPolicy {
    /// `host`, `content-length`, `content-range`, `content-type` and `range` where they are set, and every header with the dialect's prefix.
    Standard,
    /// What the official Python client of CAS signs: `host`, `range`, every header with the dialect's prefix, and `content-length` when the
    /// request carries archive data (it then has `x-cas-content-sha256`). Not `content-range`, which that client adds after signing.
    OfficialPython,
    /// Every header.
    All,
    /// No header: the official Node client. Whoever sees the request can change any of them.
    None,
    /// Those with these names, in any case, where they are set.
    Named(Vec<String>),
}

impl HeaderPolicy {
    /// Whether a header is signed, by its name in lower case. `carries_data` is whether the request has `x-cas-content-sha256`.
    pub(crate) fn signs(&self, name: &str, dialect: &Dialect, carries_data: impl FnOnce() -> bool) -> bool {
        let is_the_services = || dialect.header_prefixes.iter().any(|prefix| name.starts_with(&**prefix));
        match self {
            _ if name == "authorization" => false,
            Self::Standard => match name {
                "host" | "content-length" | "content-range" | "content-type" | "range" => true,
                _ => is_the_services(),
            },
            Self::OfficialPython => match name {
                "host" | "range" => true,
                "content-length" => carries_data(),
                _ => is_the_services(),
            },
            Self::All => true,
            Self::None => false,
            Self::Named(names) => names.iter().any(|other| other.eq_ignore_ascii_case(name)),
        }
    }
}

/// Which parameters of a request are signed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum ParameterPolicy {
    /// Every one.
    All,
    /// None: every reading accepts that, and whoever sees the request can change any of them.
    None,
}

/// How a secret key's key time is chosen.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
#[non_exhaustive]
pub enum KeyTime {
    /// The sign time, as all official clients do.
    SignTime,
    /// This one. A sign time outside it is refused.
    Fixed(TimeRange),
    /// A window that stays the same for this many seconds, so that a [`Signer`](crate::Signer) derives one key for all of them. It starts at
    /// the last multiple of that number and is twice as long, or as long as the sign time needs. The signing key never leaves the
    /// process, so the longer window gives nothing away.
    Window {
        /// How long, in seconds. 0 means the sign time.
        seconds: u64,
    },
}

impl KeyTime {
    pub(crate) fn of(self, sign_time: TimeRange) -> TimeRange {
        match self {
            Self::SignTime | Self::Window { seconds: 0 } => sign_time,
            Self::Fixed(key_time) => key_time,
            Self::Window { seconds } => {
                let start = sign_time.start() - sign_time.start() % seconds;
                let end = start.saturating_add(seconds.saturating_mul(2)).max(sign_time.end());
                TimeRange::new(start, end).unwrap_or(sign_time)
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn range(start: u64, end: u64) -> TimeRange {
        TimeRange::new(start, end).unwrap()
    }

    #[test]
    fn a_window_covers_every_sign_time_and_moves_seldom() {
        let window = KeyTime::Window { seconds: 100 };
        assert_eq!(window.of(range(300, 350)), range(300, 500));
        assert_eq!(window.of(range(399, 499)), range(300, 500));
        assert_eq!(window.of(range(400, 500)), range(400, 600));
        assert_eq!(window.of(range(399, 900)), range(300, 900));
        assert_eq!(KeyTime::Window { seconds: 0 }.of(range(1, 2)), range(1, 2));
        assert_eq!(KeyTime::Window { seconds: u64::MAX }.of(range(1, 2)), range(0, u64::MAX));
    }

    #[test]
    fn each_policy_signs_what_it_says() {
        let names =
            ["host", "content-length", "content-range", "content-type", "range", "x-cas-foo", "date", "authorization"];
        let signed = |policy: HeaderPolicy, carries_data| {
            let flags = names.map(|name| policy.signs(name, &Dialect::CAS, || carries_data));
            names.into_iter().zip(flags).filter(|(_, signed)| *signed).map(|(name, _)| name).collect::<Vec<_>>()
        };
        assert_eq!(signed(HeaderPolicy::Standard, false), &names[..6]);
        assert_eq!(signed(HeaderPolicy::OfficialPython, true), ["host", "content-length", "range", "x-cas-foo"]);
        assert_eq!(signed(HeaderPolicy::OfficialPython, false), ["host", "range", "x-cas-foo"]);
        assert_eq!(signed(HeaderPolicy::All, false), &names[..7]);
        assert_eq!(signed(HeaderPolicy::None, false), [""; 0]);
        assert_eq!(signed(HeaderPolicy::Named(vec!["Date".into(), "authorization".into()]), false), ["date"]);
    }
}
