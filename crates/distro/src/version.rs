//! Debian version numbers: their order and what they may contain.
//!
//! The order is that of Debian Policy 5.6.12, which dpkg defines by its own code. Comparing works on borrowed
//! text and allocates nothing, since merging suites compares tens of thousands of versions.

use std::cmp::Ordering;

/// Compares two versions the way dpkg does.
///
/// The order is total on any text, also on text that [`check`] refuses: versions that differ only in what
/// the order ignores (leading zeros, an absent revision against revision 0) are equal.
pub fn compare(left: &str, right: &str) -> Ordering {
    let left = Parts::of(left);
    let right = Parts::of(right);
    compare_digits(left.epoch.as_bytes(), right.epoch.as_bytes())
        .then_with(|| compare_part(left.upstream.as_bytes(), right.upstream.as_bytes()))
        .then_with(|| compare_part(left.revision.as_bytes(), right.revision.as_bytes()))
}

/// How a relation restricts the version of its target, Policy 7.1.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum Operator {
    /// `<<`
    Earlier,
    /// `<=`, and the obsolete `<`
    EarlierOrEqual,
    /// `=`
    Equal,
    /// `>=`, and the obsolete `>`
    LaterOrEqual,
    /// `>>`
    Later,
}

impl Operator {
    /// Whether `version` stands in this relation to `bound`.
    pub fn accepts(self, version: &str, bound: &str) -> bool {
        let order = compare(version, bound);
        match self {
            Operator::Earlier => order.is_lt(),
            Operator::EarlierOrEqual => order.is_le(),
            Operator::Equal => order.is_eq(),
            Operator::LaterOrEqual => order.is_ge(),
            Operator::Later => order.is_gt(),
        }
    }

    /// The operator as a control file writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            Operator::Earlier => "<<",
            Operator::EarlierOrEqual => "<=",
            Operator::Equal => "=",
            Operator::LaterOrEqual => ">=",
            Operator::Later => ">>",
        }
    }
}

/// Why a text is not a version.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum VersionError {
    /// Nothing, or nothing after the epoch.
    #[error("the version `{0}` is empty after its epoch")]
    Empty(String),
    /// The epoch is not a number.
    #[error("the epoch of version `{0}` is not a number")]
    Epoch(String),
    /// A character that no part of a version may have.
    #[error("version `{version}` has the character {character:?}")]
    Character {
        /// The whole version.
        version: String,
        /// What does not belong there.
        character: char,
    },
}

/// Checks that `version` has only the characters of Policy 5.6.12, so that it may be part of a file name.
///
/// Like dpkg it lets the upstream version begin with a letter.
pub fn check(version: &str) -> Result<(), VersionError> {
    let parts = Parts::of(version);
    if parts.upstream.is_empty() {
        return Err(VersionError::Empty(version.to_owned()));
    }
    if version.contains(':') && (parts.epoch.is_empty() || !parts.epoch.bytes().all(|b| b.is_ascii_digit())) {
        return Err(VersionError::Epoch(version.to_owned()));
    }
    let allowed = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '+' | '-' | '~' | ':');
    match version.chars().find(|&c| !allowed(c)) {
        Some(character) => Err(VersionError::Character { version: version.to_owned(), character }),
        None => Ok(()),
    }
}

struct Parts<'a> {
    epoch: &'a str,
    upstream: &'a str,
    revision: &'a str,
}

impl<'a> Parts<'a> {
    fn of(version: &'a str) -> Self {
        // A colon after something that is no number is part of the upstream version: `check` refuses it, the
        // order need only be total.
        let (epoch, rest) = match version.split_once(':') {
            Some((epoch, rest)) if epoch.bytes().all(|b| b.is_ascii_digit()) => (epoch, rest),
            _ => ("", version),
        };
        let (upstream, revision) = rest.rsplit_once('-').unwrap_or((rest, ""));
        Parts { epoch, upstream, revision }
    }
}

/// Compares the way of dpkg's `verrevcmp`: non-digits by rank, then digits by value, and again.
fn compare_part(mut left: &[u8], mut right: &[u8]) -> Ordering {
    while !left.is_empty() || !right.is_empty() {
        loop {
            let (l, r) = (left.first().copied(), right.first().copied());
            if is_digit_or_end(l) && is_digit_or_end(r) {
                break;
            }
            match rank(l).cmp(&rank(r)) {
                // Equal ranks of which one is no digit and no end: both are the same character.
                Ordering::Equal => (left, right) = (&left[1..], &right[1..]),
                unequal => return unequal,
            }
        }
        let left_digits = left.iter().take_while(|b| b.is_ascii_digit()).count();
        let right_digits = right.iter().take_while(|b| b.is_ascii_digit()).count();
        let order = compare_digits(&left[..left_digits], &right[..right_digits]);
        if order.is_ne() {
            return order;
        }
        (left, right) = (&left[left_digits..], &right[right_digits..]);
    }
    Ordering::Equal
}

fn compare_digits(left: &[u8], right: &[u8]) -> Ordering {
    let (left, right) = (without_leading_zeros(left), without_leading_zeros(right));
    left.len().cmp(&right.len()).then_with(|| left.cmp(right))
}

fn without_leading_zeros(digits: &[u8]) -> &[u8] {
    let zeros = digits.iter().take_while(|&&b| b == b'0').count();
    &digits[zeros..]
}

fn is_digit_or_end(byte: Option<u8>) -> bool {
    byte.is_none_or(|b| b.is_ascii_digit())
}

/// `~` before the end, the end before letters, letters before everything else.
fn rank(byte: Option<u8>) -> i32 {
    match byte {
        None | Some(b'0'..=b'9') => 0,
        Some(b'~') => -1,
        Some(letter) if letter.is_ascii_alphabetic() => i32::from(letter),
        Some(other) => i32::from(other) + 256,
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn check_order(ascending: &[&str]) {
        for (i, left) in ascending.iter().enumerate() {
            for (j, right) in ascending.iter().enumerate() {
                assert_eq!(compare(left, right), i.cmp(&j), "`{left}` against `{right}`");
            }
        }
    }

    #[track_caller]
    fn check_equal(versions: &[&str]) {
        for left in versions {
            for right in versions {
                assert_eq!(compare(left, right), Ordering::Equal, "`{left}` against `{right}`");
            }
        }
    }

    #[test]
    fn policys_own_example_of_the_tilde() {
        check_order(&["~~", "~~a", "~", "", "a"]);
    }

    #[test]
    fn tildes_sort_before_the_end_and_letters_before_signs() {
        check_order(&["1.0~beta1~svn1245", "1.0~beta1", "1.0", "1.0a", "1.0+dfsg", "1.0.1"]);
    }

    #[test]
    fn numbers_compare_by_value_of_any_length() {
        check_order(&["1.9", "1.10", "1.010.1", "1.99999999999999999999998", "1.99999999999999999999999"]);
        check_equal(&["1.01", "1.1", "1.001"]);
    }

    #[test]
    fn epochs_come_first_and_revisions_last() {
        check_order(&[
            "9.9",
            "9.9-0ubuntu1",
            "9.9-1~bpo12+1",
            "9.9-1",
            "9.9-1+b1",
            "9.9-1.1",
            "9.10-1",
            "1:0.1-1",
        ]);
        check_equal(&["0:1.0", "1.0", "1.0-0", "00:1.0-"]);
    }

    #[test]
    fn only_the_last_hyphen_begins_the_revision() {
        check_order(&["1-2-3", "1-2-10", "1-10-3"]);
    }

    #[test]
    fn real_pairs_from_the_archive() {
        check_order(&["2.36-9+deb12u9", "2.36-9+deb12u10", "2.36-10"]);
        check_order(&["6.1.0~rc1-1", "6.1.0-1", "6.1.20-1", "6.1.123-1"]);
        check_order(&["1:7.2+dfsg-7+deb12u7", "1:7.2+dfsg-7+deb12u13", "1:8.0.0+dfsg-1~exp1"]);
        check_order(&["5.36.0-7+deb12u1", "5.36.0-7+deb12u2", "5.36.0+really5.34"]);
    }

    #[test]
    fn check_names_what_is_wrong() {
        assert_eq!(check("1:2.36-9+deb12u10~x"), Ok(()));
        assert_eq!(check(""), Err(VersionError::Empty(String::new())));
        assert_eq!(check("1:"), Err(VersionError::Empty("1:".into())));
        assert_eq!(check("a:1"), Err(VersionError::Epoch("a:1".into())));
        assert_eq!(
            check("1/../2"),
            Err(VersionError::Character { version: "1/../2".into(), character: '/' })
        );
    }

    fn any_version() -> impl Strategy<Value = String> {
        prop_oneof!["[0-9a-c~+.:-]{0,8}", "([0-2]:)?[0-9.~a]{1,4}(-[0-9~+b]{1,3})?", ".{0,6}"]
    }

    proptest! {
        #[test]
        fn order_is_antisymmetric(left in any_version(), right in any_version()) {
            prop_assert_eq!(compare(&left, &right), compare(&right, &left).reverse());
        }

        #[test]
        fn order_is_transitive(mut versions in proptest::collection::vec(any_version(), 3)) {
            versions.sort_by(|a, b| compare(a, b));
            prop_assert!(compare(&versions[0], &versions[1]).is_le());
            prop_assert!(compare(&versions[1], &versions[2]).is_le());
            prop_assert!(compare(&versions[0], &versions[2]).is_le());
        }
    }
}
