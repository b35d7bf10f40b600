//! How an emulator behaves where there is a choice.

use std::str::FromStr;
use std::time::Duration;

use cas_http::document::Tier;

use crate::error::{Error, ErrorKind};

/// How long jobs take, by the emulator's clock. What is pulled from COS never waits.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub enum JobDelay {
    /// All the same time.
    Fixed(Duration),
    /// As long as the service takes: 3 minutes for Expedited, 4 hours for Standard and for inventories, 8 hours for Bulk.
    ByTier,
}

impl JobDelay {
    pub(crate) fn of(self, tier: &Tier) -> Duration {
        const MINUTE: u64 = 60;
        match (self, tier) {
            (JobDelay::Fixed(time), _) => time,
            (JobDelay::ByTier, Tier::Expedited) => Duration::from_secs(3 * MINUTE),
            (JobDelay::ByTier, Tier::Bulk) => Duration::from_secs(8 * 60 * MINUTE),
            (JobDelay::ByTier, _) => Duration::from_secs(4 * 60 * MINUTE),
        }
    }
}

/// At once.
impl Default for JobDelay {
    fn default() -> Self {
        JobDelay::Fixed(Duration::ZERO)
    }
}

/// Reads `tier`, or a number with a unit: `0s`, `500ms`, `3m`, `4h`, `1d`.
impl FromStr for JobDelay {
    type Err = Error;

    fn from_str(text: &str) -> Result<Self, Error> {
        if text == "tier" {
            return Ok(JobDelay::ByTier);
        }
        let invalid = || {
            let message = format!("job delay: expected tier, or a time such as 0s, 500ms, 3m or 4h, found {text:?}");
            Error::new(ErrorKind::Config, message)
        };
        let digits = text.bytes().take_while(u8::is_ascii_digit).count();
        let (number, unit) = text.split_at(digits);
        let number: u64 = number.parse().map_err(|_| invalid())?;
        let millis = match unit {
            "ms" => 1,
            "s" => 1000,
            "m" => 60 * 1000,
            "h" => 3600 * 1000,
            "d" => 24 * 3600 * 1000,
            _ => return Err(invalid()),
        };
        number.checked_mul(millis).map(|millis| JobDelay::Fixed(Duration::from_millis(millis))).ok_or_else(invalid)
    }
}

/// How much one client, or many at once, may ask of an emulator. `Limits::default()` suits a machine of one's own.
#[derive(Clone, Debug, PartialEq, Eq)]
#[non_exhaustive]
pub struct Limits {
    /// How many connections are served at once: 1024. Further ones wait to be accepted.
    pub connections: usize,
    /// How long a connection may take to send the head of its next request, idle time included: 90 s.
    pub head_time: Duration,
    /// How many bytes a request's head may have: 64 KiB.
    pub head_size: usize,
    /// How long nothing may come of a body that was announced: 30 s.
    pub body_silence: Duration,
    /// How long a client may take to read nothing of an answer: 30 s.
    pub write_silence: Duration,
    /// How many bytes a JSON body may have: 1 MiB.
    pub document_size: usize,
}

impl Default for Limits {
    fn default() -> Self {
        Limits {
            connections: 1024,
            head_time: Duration::from_secs(90),
            head_size: 64 << 10,
            body_silence: Duration::from_secs(30),
            write_silence: Duration::from_secs(30),
            document_size: 1 << 20,
        }
    }
}

/// The choices a service looks at while it answers.
#[derive(Clone, Debug)]
pub(crate) struct Settings {
    pub(crate) region: String,
    pub(crate) job_delay: JobDelay,
    /// Whether totals of vaults are those of the moment, rather than those of the last inventory.
    pub(crate) live_totals: bool,
    /// The numbers of the tolerances that are turned off.
    pub(crate) refused: Vec<u8>,
    pub(crate) limits: Limits,
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_delay_is_a_number_with_a_unit() {
        let fixed = |millis| JobDelay::Fixed(Duration::from_millis(millis));
        for (text, delay) in [
            ("0s", fixed(0)),
            ("500ms", fixed(500)),
            ("3m", fixed(180_000)),
            ("4h", fixed(14_400_000)),
            ("1d", fixed(86_400_000)),
            ("tier", JobDelay::ByTier),
        ] {
            assert_eq!(text.parse::<JobDelay>().unwrap(), delay, "{text}");
        }
        for bad in ["", "5", "s", "1w", "-1s", "1.5s", "99999999999999999999s", "9999999999999999999h"] {
            assert!(bad.parse::<JobDelay>().is_err(), "{bad}");
        }
    }

    #[test]
    fn faster_tiers_are_faster() {
        let [expedited, standard, bulk] =
            [Tier::Expedited, Tier::Standard, Tier::Bulk].map(|tier| JobDelay::ByTier.of(&tier));
        assert!(expedited < standard && standard < bulk);
    }
}
