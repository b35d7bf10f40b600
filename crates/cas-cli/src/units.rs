//! Numbers as people read them: sizes, times and rates.

use std::time::Duration;

/// A size in the largest unit that leaves at least one before the point, and bytes as they are: `640 bytes`, `1.5 MiB`.
pub(crate) fn size(bytes: u64) -> String {
    const UNITS: [&str; 5] = ["KiB", "MiB", "GiB", "TiB", "PiB"];
    let Some(power) = bytes.checked_ilog2().map(|log| (log / 10) as usize).filter(|power| *power > 0) else {
        return if bytes == 1 { "1 byte".to_owned() } else { format!("{bytes} bytes") };
    };
    let power = power.min(UNITS.len());
    let mut tenths = u128::from(bytes) * 10;
    for _ in 0..power {
        tenths /= 1024;
    }
    format!("{}.{} {}", tenths / 10, tenths % 10, UNITS[power - 1])
}

/// A size with its exact number of bytes: `1.5 MiB (1572864 bytes)`.
pub(crate) fn exact_size(bytes: u64) -> String {
    if bytes < 1024 { size(bytes) } else { format!("{} ({bytes} bytes)", size(bytes)) }
}

/// A time with the digits that matter: `4.2 ms`, `1.40 s`, `3 min 20 s`, `4 h 05 min`.
pub(crate) fn time(time: Duration) -> String {
    match time.as_secs() {
        0 if time < Duration::from_secs(1) => format!("{:.1} ms", time.as_secs_f64() * 1e3),
        0..60 => format!("{:.2} s", time.as_secs_f64()),
        seconds @ 60..3600 => format!("{} min {:02} s", seconds / 60, seconds % 60),
        seconds => format!("{} h {:02} min", seconds / 3600, seconds / 60 % 60),
    }
}

/// Bytes in a time: `118.2 MiB/s`.
pub(crate) fn rate(bytes: u64, time: Duration) -> String {
    let per_second = u128::from(bytes) * 1_000_000_000 / time.as_nanos().max(1);
    format!("{}/s", size(u64::try_from(per_second).unwrap_or(u64::MAX)))
}

/// A number of things: `1 archive`, `3 archives`.
pub(crate) fn count(number: u64, thing: &str) -> String {
    format!("{number} {thing}{}", if number == 1 { "" } else { "s" })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_size_has_the_unit_that_fits() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (1, "1 byte"),
            (1023, "1023 bytes"),
            (1024, "1.0 KiB"),
            (1536, "1.5 KiB"),
            (1 << 20, "1.0 MiB"),
            ((1 << 20) - 1, "1023.9 KiB"),
            (160 << 20, "160.0 MiB"),
            (u64::MAX, "16383.9 PiB"),
        ] {
            assert_eq!(size(bytes), text);
        }
        assert_eq!(exact_size(5), "5 bytes");
        assert_eq!(exact_size(1 << 20), "1.0 MiB (1048576 bytes)");
    }

    #[test]
    fn one_thing_is_not_several() {
        assert_eq!([0, 1, 2].map(|number| count(number, "part")), ["0 parts", "1 part", "2 parts"]);
    }

    #[test]
    fn a_time_has_the_unit_that_fits() {
        for (millis, text) in [
            (0, "0.0 ms"),
            (4, "4.0 ms"),
            (999, "999.0 ms"),
            (1400, "1.40 s"),
            (200_000, "3 min 20 s"),
            (14_700_000, "4 h 05 min"),
        ] {
            assert_eq!(time(Duration::from_millis(millis)), text);
        }
    }

    #[test]
    fn a_rate_survives_no_time_at_all() {
        assert_eq!(rate(10 << 20, Duration::from_secs(2)), "5.0 MiB/s");
        assert_eq!(rate(0, Duration::ZERO), "0 bytes/s");
        assert!(rate(u64::MAX, Duration::ZERO).ends_with("PiB/s"));
    }
}
