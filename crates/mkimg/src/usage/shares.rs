//! Dividing what several have in common.

/// Divides `whole` among parts in proportion to their weights. The shares come to `whole`, unless nothing has a weight.
pub(crate) fn share(whole: u64, weights: &[u64]) -> Vec<u64> {
    let total: u128 = weights.iter().map(|weight| u128::from(*weight)).sum();
    // What an image says of itself may be too much to multiply: then the lowest bits do not matter.
    let shift = (u128::BITS - total.leading_zeros()).saturating_sub(u64::BITS);
    let mut before = 0_u128;
    let mut given = 0;
    let shares = weights.iter().map(|weight| {
        before += u128::from(*weight);
        // Up to here, rounded down: what is lost by that comes to the next one.
        let until = (u128::from(whole) * (before >> shift)).checked_div(total >> shift).unwrap_or(0) as u64;
        let share = until - given;
        given = until;
        share
    });
    shares.collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn shares_come_to_the_whole() {
        assert_eq!(share(10, &[1, 1, 1]), [3, 3, 4]);
        assert_eq!(share(100, &[1, 0, 99]), [1, 0, 99]);
        assert_eq!(share(u64::MAX, &[u64::MAX, u64::MAX]).iter().sum::<u64>(), u64::MAX);
        assert_eq!(share(10, &[0, 0]), [0, 0]);
        assert_eq!(share(10, &[]), [0; 0]);
    }
}
