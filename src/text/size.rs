//! Sizes as people type and read them.
//!
//! The one parser and the one formatter of byte counts. Typed suffixes follow
//! the coreutils: `K`, `M`, `G`, `T` and `KiB` ... are powers of 1024, `KB` ...
//! powers of 1000. Shown sizes are decimal, as on a drive's label.

use thiserror::Error;

/// 1024 bytes.
pub(crate) const KIB: u64 = 1024;
/// 1024 KiB.
pub(crate) const MIB: u64 = 1024 * KIB;

/// Why a typed size is not one.
#[derive(Debug, Clone, PartialEq, Eq, Error)]
pub enum SizeError {
    /// No digits, a sign, or an unknown suffix.
    #[error("is not a size")]
    Malformed,
    /// More than 2^64 - 1 bytes.
    #[error("is too large")]
    TooLarge,
}

/// Parses a typed size into bytes.
pub fn parse(text: &str) -> Result<u64, SizeError> {
    let digits = text.bytes().take_while(u8::is_ascii_digit).count();
    if digits == 0 {
        return Err(SizeError::Malformed);
    }
    let (number, suffix) = text.split_at(digits);
    let number: u64 = number.parse().map_err(|_| SizeError::TooLarge)?;
    let factor = factor_of(suffix).ok_or(SizeError::Malformed)?;
    number.checked_mul(factor).ok_or(SizeError::TooLarge)
}

fn factor_of(suffix: &str) -> Option<u64> {
    let suffix = suffix.to_ascii_lowercase();
    if matches!(suffix.as_str(), "" | "b") {
        return Some(1);
    }
    let power = match suffix.chars().next()? {
        'k' => 1,
        'm' => 2,
        'g' => 3,
        't' => 4,
        _ => return None,
    };
    match &suffix[1..] {
        "" | "ib" => Some(1024_u64.pow(power)),
        "b" => Some(1000_u64.pow(power)),
        _ => None,
    }
}

/// A size as it may be typed, exactly, in as few characters as there are.
pub(crate) fn typed(bytes: u64) -> String {
    let factors = (1..=4).rev().flat_map(|power| {
        let letter = ["", "K", "M", "G", "T"][power as usize];
        [
            (1024_u64.pow(power), letter, ""),
            (1000_u64.pow(power), letter, "B"),
        ]
    });
    factors
        .filter(|(factor, ..)| bytes > 0 && bytes.is_multiple_of(*factor))
        .map(|(factor, letter, end)| format!("{}{letter}{end}", bytes / factor))
        .min_by_key(String::len)
        .unwrap_or_else(|| bytes.to_string())
}

/// A size for people: decimal, three significant digits, as `18.0 TB`.
pub(crate) fn decimal(bytes: u64) -> String {
    let (divisor, unit) = unit_of(bytes);
    format!("{} {unit}", digits(bytes, divisor))
}

/// Part of a whole in the unit of the whole, as `7.74 of 18.0 TB`.
pub(crate) fn part_of(part: u64, whole: u64, between: &str) -> String {
    let divisor = unit_of(whole).0;
    format!("{}{between}{}", digits(part, divisor), decimal(whole))
}

const UNITS: [(u64, &str); 6] = [
    (1_000_000_000_000_000_000, "EB"),
    (1_000_000_000_000_000, "PB"),
    (1_000_000_000_000, "TB"),
    (1_000_000_000, "GB"),
    (1_000_000, "MB"),
    (1_000, "kB"),
];

fn unit_of(bytes: u64) -> (u64, &'static str) {
    let fits = |(divisor, _): &&(u64, _)| bytes >= *divisor;
    *UNITS.iter().find(fits).unwrap_or(&(1, "bytes"))
}

/// Three significant digits of `bytes / divisor`, rounded down: what is shown
/// as done must be done.
fn digits(bytes: u64, divisor: u64) -> String {
    let whole = bytes / divisor;
    // 128 bits, as the remainder of an exabyte times 100 exceeds 64.
    let hundredths = u128::from(bytes % divisor) * 100 / u128::from(divisor);
    match (divisor, whole) {
        (1, _) | (_, 100..) => whole.to_string(),
        (_, 10..) => format!("{whole}.{}", hundredths / 10),
        _ => format!("{whole}.{hundredths:02}"),
    }
}

/// Part of a whole as `43.0%`, rounded down: never 100 before the end.
pub(crate) fn percent_text(part: u64, whole: u64) -> String {
    let points = basis_points(part, whole);
    format!("{}.{}%", points / 100, points / 10 % 10)
}

/// Exact bytes with separators, as `18,000,207,937,536`.
pub(crate) fn grouped(bytes: u64) -> String {
    let digits = bytes.to_string();
    let mut out = String::with_capacity(digits.len() + digits.len() / 3);
    for (i, c) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i).is_multiple_of(3) {
            out.push(',');
        }
        out.push(c);
    }
    out
}

/// Hundredths of a percent, rounded down; an empty whole is complete.
pub(crate) fn basis_points(part: u64, whole: u64) -> u16 {
    if whole == 0 {
        return 10_000;
    }
    let points = u128::from(part.min(whole)) * 10_000 / u128::from(whole);
    u16::try_from(points).unwrap_or(10_000)
}

/// A length of memory. wipeit's buffers are far below the limits of any
/// platform it runs on; a larger value saturates and fails where it is used.
pub fn memory(bytes: u64) -> usize {
    usize::try_from(bytes).unwrap_or(usize::MAX)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn suffixes_are_powers_of_1024_and_with_b_of_1000() {
        for (text, bytes) in [
            ("1", 1),
            ("512", 512),
            ("4K", 4096),
            ("4k", 4096),
            ("4KiB", 4096),
            ("4KB", 4000),
            ("100M", 104_857_600),
            ("100MB", 100_000_000),
            ("2G", 2_147_483_648),
            ("1TiB", 1_099_511_627_776),
            ("0", 0),
            ("16777215T", 16_777_215 * 1_099_511_627_776),
        ] {
            assert_eq!(parse(text), Ok(bytes), "{text}");
        }
    }

    #[test]
    fn what_is_not_a_size_is_refused() {
        for text in [
            "", "-1", "+1", "1X", "M", "1.5G", "1 M", "0x10", "1KiBB", "1é",
        ] {
            assert_eq!(parse(text), Err(SizeError::Malformed), "{text}");
        }
        for text in [
            "99999999T",
            "18446744073709551616",
            "99999999999999999999999",
        ] {
            assert_eq!(parse(text), Err(SizeError::TooLarge), "{text}");
        }
    }

    #[test]
    fn shown_sizes_are_decimal_with_three_digits_and_never_rounded_up() {
        for (bytes, text) in [
            (0, "0 bytes"),
            (999, "999 bytes"),
            (1_000, "1.00 kB"),
            (1_999, "1.99 kB"),
            (999_999, "999 kB"),
            (18_000_207_937_536, "18.0 TB"),
            (u64::MAX, "18.4 EB"),
        ] {
            assert_eq!(decimal(bytes), text);
        }
        assert_eq!(
            part_of(7_740_089_270_272, 18_000_207_937_536, " of "),
            "7.74 of 18.0 TB"
        );
        assert_eq!(part_of(5, 900, " of "), "5 of 900 bytes");
    }

    #[test]
    fn exact_bytes_are_grouped_by_thousands() {
        assert_eq!(grouped(0), "0");
        assert_eq!(grouped(999), "999");
        assert_eq!(grouped(1000), "1,000");
        assert_eq!(grouped(18_000_207_937_536), "18,000,207,937,536");
    }

    #[test]
    fn percentages_are_rounded_down_and_capped() {
        assert_eq!(basis_points(0, 100), 0);
        assert_eq!(basis_points(u64::MAX - 1, u64::MAX), 9_999);
        assert_eq!(basis_points(3, 2), 10_000);
        assert_eq!(basis_points(0, 0), 10_000);
    }
}
