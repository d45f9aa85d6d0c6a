//! Sizes for people.

const UNITS: [&str; 5] = ["bytes", "KiB", "MiB", "GiB", "TiB"];

/// Returns the size in the unit that suits it, exact if it has few digits there.
pub(super) fn human(bytes: u64) -> String {
    let mut unit_idx = 0;
    while unit_idx + 1 < UNITS.len() && bytes >> (10 * unit_idx) >= 1024 {
        unit_idx += 1;
    }
    // Whole numbers of a smaller unit say more than a rounded one of a larger.
    let exact = unit_idx.saturating_sub(1);
    let divides = |idx: usize| bytes.is_multiple_of(1 << (10 * idx));
    match () {
        () if divides(unit_idx) => format!("{} {}", bytes >> (10 * unit_idx), UNITS[unit_idx]),
        () if divides(exact) && bytes >> (10 * exact) < 10_000 => {
            format!("{} {}", bytes >> (10 * exact), UNITS[exact])
        }
        () => format!("{:.1} {}", bytes as f64 / (1u64 << (10 * unit_idx)) as f64, UNITS[unit_idx]),
    }
}

/// As [`human`], and the exact number where that is rounded.
pub(super) fn exact(bytes: u64) -> String {
    let human = human(bytes);
    if human.contains('.') { format!("{human} ({bytes} bytes)") } else { human }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn sizes() {
        let told =
            [0, 512, 1024, 17_408, 1 << 20, 1_031_168, (1 << 30) + (1 << 20), (1 << 30) + 512].map(human);
        assert_eq!(
            told,
            ["0 bytes", "512 bytes", "1 KiB", "17 KiB", "1 MiB", "1007 KiB", "1025 MiB", "1.0 GiB"]
        );
        assert_eq!(exact((1 << 30) + 512), "1.0 GiB (1073742336 bytes)");
    }
}
