//! How long until the next look at a job. Pure: time comes in as an argument.

use std::time::Duration;

use cas_api::JobAction;
use cas_api::cas_http::document::Tier;

/// The shortest time between two looks.
const SHORTEST: Duration = Duration::from_secs(1);

/// How long to wait before the next look at a job that has been waited for so long.
///
/// An eighth of the wait so far, at least a second, so that a job that ends early is seen early and one of hours is not asked about every
/// few seconds; at most a time that suits how long such jobs take: Expedited 1 to 5 minutes, Standard and inventories 3 to 5 hours, Bulk 5
/// to 12 hours (`docs/protocol.md` §1.6).
#[must_use]
pub fn until_next_look(action: &JobAction, tier: Option<&Tier>, waited: Duration) -> Duration {
    (waited / 8).clamp(SHORTEST, longest(action, tier))
}

fn longest(action: &JobAction, tier: Option<&Tier>) -> Duration {
    let seconds = match (action, tier) {
        (JobAction::PullFromCos, _) | (_, Some(Tier::Expedited)) => 10,
        (_, Some(Tier::Bulk)) => 600,
        _ => 300,
    };
    Duration::from_secs(seconds)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn looks(tier: Tier, takes: Duration) -> (u32, Duration) {
        let (mut count, mut waited) = (0, Duration::ZERO);
        while waited < takes {
            waited += until_next_look(&JobAction::ArchiveRetrieval, Some(&tier), waited);
            count += 1;
        }
        (count, waited - takes)
    }

    #[test]
    fn a_job_is_looked_at_often_enough_and_not_too_often() {
        let minutes = |count: u64| Duration::from_secs(60 * count);
        for (tier, takes, most_looks, latest) in [
            (Tier::Expedited, minutes(5), 50, Duration::from_secs(10)),
            (Tier::Standard, minutes(300), 120, minutes(5)),
            (Tier::Bulk, minutes(720), 130, minutes(10)),
            (Tier::Standard, Duration::from_secs(2), 3, Duration::from_secs(1)),
        ] {
            let (count, late) = looks(tier.clone(), takes);
            assert!(count <= most_looks && late <= latest, "{tier}: {count} looks, {late:?} late");
        }
    }
}
