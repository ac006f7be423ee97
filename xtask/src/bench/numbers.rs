//! Numbers for people.

/// The middle one, or the mean of the two in the middle. Nothing has the median 0.
pub(crate) fn median(mut values: Vec<f64>) -> f64 {
    values.sort_unstable_by(f64::total_cmp);
    let upper = values.len() / 2;
    let lower = values.len().saturating_sub(1) / 2;
    values
        .get(lower)
        .zip(values.get(upper))
        .map_or(0.0, |(lower, upper)| f64::midpoint(*lower, *upper))
}

/// Three digits that count, and thousands apart: `6,130`.
pub(crate) fn rounded(value: f64) -> String {
    if value == 0.0 || !value.is_finite() {
        return format!("{value}");
    }
    let before_point = value.abs().log10().floor() + 1.0;
    let step = 10_f64.powf(before_point - 3.0);
    let rounded = (value / step).round() * step;
    if before_point >= 3.0 {
        return thousands(&format!("{rounded:.0}"));
    }
    let decimals = if before_point >= 2.0 { 1 } else { 2 };
    format!("{rounded:.decimals$}")
}

/// A whole number in decimal digits, with thousands apart.
pub(crate) fn thousands(digits: &str) -> String {
    let mut grouped = String::new();
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    grouped
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn medians() {
        for (values, expected) in [
            (vec![], 0.0),
            (vec![3.0], 3.0),
            (vec![9.0, 1.0, 2.0], 2.0),
            (vec![4.0, 1.0, 9.0, 2.0], 3.0),
        ] {
            assert!((median(values) - expected).abs() < 1e-9, "{expected}");
        }
    }

    #[test]
    fn three_digits_remain() {
        for (value, text) in [
            (0.0, "0"),
            (0.954, "0.95"),
            (6.128, "6.13"),
            (12.34, "12.3"),
            (126.4, "126"),
            (999.6, "1,000"),
            (6_128.0, "6,130"),
            (2_941_499.0, "2,940,000"),
        ] {
            assert_eq!(rounded(value), text);
        }
    }
}
