//! How an archive is cut: into the parts of an upload, or the slices of a download. Pure arithmetic, no I/O.

use cas_api::Part;
use cas_api::cas_http::{ArchiveSize, ByteRange, PartRange, PartSize, TreeHash};

use crate::error::Error;

/// An archive cut into pieces of one size, 1 MiB × 2ⁿ, the last of which may be shorter.
///
/// The tree hashes of such pieces combine into the tree hash of the whole.
///
/// ```
/// use cas_objects::PartPlan;
/// use cas_objects::cas_api::cas_http::{ArchiveSize, PartSize};
///
/// let plan = PartPlan::fitting(ArchiveSize::new(50_000_000)?, PartSize::DEFAULT);
/// assert_eq!(plan.count(), 3);
/// assert_eq!(plan.part(2).to_string(), "33554432-49999999");
/// # Ok::<(), cas_objects::cas_api::cas_http::InvalidValue>(())
/// ```
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct PartPlan {
    size: ArchiveSize,
    part_size: PartSize,
}

impl PartPlan {
    /// Cuts `size` bytes into parts of exactly `part_size`.
    ///
    /// # Errors
    ///
    /// When that makes more than 10 000 parts.
    pub fn new(size: ArchiveSize, part_size: PartSize) -> Result<Self, Error> {
        let plan = PartPlan { size, part_size };
        if plan.count() > PartSize::MAX_PARTS {
            return Err(Error::invalid(format!(
                "{size} bytes in parts of {part_size} make {} parts; at most {} are allowed",
                plan.count(),
                PartSize::MAX_PARTS
            )));
        }
        Ok(plan)
    }

    /// Cuts `size` bytes into parts of `at_least`, doubled until there are at most 10 000.
    #[must_use]
    pub fn fitting(size: ArchiveSize, at_least: PartSize) -> Self {
        Self::within(PartSize::MAX_PARTS, size, at_least)
    }

    /// Cuts an output of `size` bytes into slices of `at_least`, doubled until there are at most 100 000: a slice that breaks off is fetched
    /// again, so slices stay smaller than parts, and no service sets a limit to their number.
    #[must_use]
    pub(crate) fn slices(size: ArchiveSize, at_least: PartSize) -> Self {
        Self::within(100_000, size, at_least)
    }

    fn within(most: u64, size: ArchiveSize, at_least: PartSize) -> Self {
        let mut part_size = at_least;
        while part_size.parts_of(size.bytes()) > most {
            // The largest archive fits in 10 000 parts of the largest size, so there is a next size whenever one is needed.
            let Some(next) = part_size.doubled() else { break };
            part_size = next;
        }
        PartPlan { size, part_size }
    }

    /// The bytes that are cut.
    #[must_use]
    pub fn size(&self) -> u64 {
        self.size.bytes()
    }

    /// The size of every part but the last.
    #[must_use]
    pub fn part_size(&self) -> PartSize {
        self.part_size
    }

    /// How many parts there are; at least 1.
    #[must_use]
    pub fn count(&self) -> u64 {
        self.part_size.parts_of(self.size())
    }

    /// The bytes of a part, counted from 0, both ends included.
    ///
    /// # Panics
    ///
    /// When there is no such part.
    #[must_use]
    pub fn part(&self, index: u64) -> PartRange {
        assert!(index < self.count(), "part {index} of {}", self.count());
        let start = index * self.part_size.bytes();
        let len = self.part_size.bytes().min(self.size() - start);
        ByteRange::with_len(start, len).expect("a part within an archive is a range").into()
    }

    /// The parts in order.
    pub fn parts(&self) -> impl ExactSizeIterator<Item = PartRange> + '_ {
        (0..usize::try_from(self.count()).unwrap_or(usize::MAX)).map(|index| self.part(index as u64))
    }

    /// For each part, the tree hash the service has for it, if it has exactly these bytes' place.
    ///
    /// A listed part of another length at the place of one of ours is as good as missing: sending ours replaces it.
    ///
    /// # Errors
    ///
    /// When a listed part lies where no part of this archive does: the upload is of something else.
    pub fn standing(&self, listed: &[Part]) -> Result<Vec<Option<TreeHash>>, Error> {
        let count = usize::try_from(self.count()).unwrap_or(usize::MAX);
        let mut standing = vec![None; count];
        for part in listed {
            let start = part.range.start();
            let index = start / self.part_size.bytes();
            if !start.is_multiple_of(self.part_size.bytes()) || index >= self.count() {
                let what = format!(
                    "the upload has a part at bytes {}, and {} bytes in parts of {} have none there: it is the upload of something else",
                    part.range, self.size, self.part_size
                );
                return Err(Error::invalid(what));
            }
            if part.range == self.part(index)
                && let Some(place) = usize::try_from(index).ok().and_then(|index| standing.get_mut(index))
            {
                *place = Some(part.tree_hash);
            }
        }
        Ok(standing)
    }
}

#[cfg(test)]
mod tests {
    use cas_api::cas_http::MIB;
    use cas_api::cas_http::range::MAX_ARCHIVE_SIZE;

    use super::*;

    fn size(bytes: u64) -> ArchiveSize {
        ArchiveSize::new(bytes).unwrap()
    }

    #[test]
    fn a_plan_covers_each_byte_once() {
        for bytes in [1, MIB - 1, MIB, MIB + 1, 5 * MIB, 16 * MIB, 16 * MIB + 1, 100 * MIB + 12_345] {
            for part_size in [PartSize::MIN, PartSize::from_bytes(4 * MIB).unwrap(), PartSize::DEFAULT] {
                let plan = PartPlan::new(size(bytes), part_size).unwrap();
                let mut next = 0;
                for part in plan.parts() {
                    assert_eq!(part.start(), next);
                    assert!(part.len() == part_size.bytes() || part.end() == bytes - 1);
                    next = part.end() + 1;
                }
                assert_eq!(next, bytes, "{bytes} in {part_size}");
            }
        }
    }

    #[test]
    fn parts_grow_until_ten_thousand_are_enough() {
        let at_limit = 10_000 * PartSize::DEFAULT.bytes();
        assert_eq!(PartPlan::fitting(size(at_limit), PartSize::DEFAULT).count(), 10_000);
        assert_eq!(PartPlan::fitting(size(at_limit + 1), PartSize::DEFAULT).part_size().bytes(), 32 * MIB);
        let largest = PartPlan::fitting(size(MAX_ARCHIVE_SIZE), PartSize::MIN);
        assert!(largest.count() <= 10_000 && largest.part_size() <= PartSize::MAX, "{largest:?}");
        assert!(PartPlan::new(size(at_limit + 1), PartSize::DEFAULT).is_err());
        let slices = PartPlan::slices(size(MAX_ARCHIVE_SIZE), PartSize::DEFAULT);
        assert_eq!((slices.count(), slices.part_size().bytes()), (80_000, 512 * MIB));
    }

    #[test]
    fn what_the_service_has_is_told_from_what_is_missing() {
        let plan = PartPlan::new(size(5 * MIB / 2), PartSize::MIN).unwrap();
        let hash = TreeHash::of(b"x");
        let part = |start, len| Part::new(ByteRange::with_len(start, len).unwrap().into(), hash);
        assert_eq!(plan.standing(&[]).unwrap(), [None, None, None]);
        let listed = [part(0, MIB), part(2 * MIB, MIB / 2)];
        assert_eq!(plan.standing(&listed).unwrap(), [Some(hash), None, Some(hash)]);
        assert_eq!(plan.standing(&[part(2 * MIB, MIB)]).unwrap(), [None, None, None], "another length is replaced");
        for elsewhere in [part(3 * MIB, 1), part(MIB / 2, MIB)] {
            assert!(plan.standing(&[elsewhere]).is_err());
        }
    }
}
