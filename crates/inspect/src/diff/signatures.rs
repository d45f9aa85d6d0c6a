//! Leaving signatures out of a comparison.

use layer::ReadAt as _;
use mkimg::pe::{Pe, authenticode};

use super::first_difference;
use crate::source::{Source, Window, some};

/// What a signed kernel module ends with (`include/linux/module_signature.h`).
const MODULE: &[u8] = b"~Module signature appended~\n";
/// What is in front of that: eight bytes, then the size of the signature.
const INFO_LEN: u64 = 12;
/// The largest program for firmware that is read.
const MOST_PROGRAM: usize = 256 << 20;

/// Says whether two files are the same without their signatures.
pub(super) fn differ_alone(a: &Source, b: &Source) -> bool {
    are_same_modules(a, b) || are_same_programs(a, b)
}

fn are_same_modules(a: &Source, b: &Source) -> bool {
    // One of them may have none.
    match (unsigned(a), unsigned(b)) {
        (None, None) => false,
        (left, right) => {
            let left = left.unwrap_or_else(|| a.clone());
            let right = right.unwrap_or_else(|| b.clone());
            matches!(first_difference(&left, &right), Ok(None))
        }
    }
}

/// Returns a module without its signature, if it has one.
fn unsigned(source: &Source) -> Option<Source> {
    let size = source.size().ok()?;
    let info_at = size.checked_sub(MODULE.len() as u64 + INFO_LEN)?;
    let end = some(&**source, info_at, MODULE.len() + INFO_LEN as usize).ok()?;
    let (info, mark) = end.split_at_checked(INFO_LEN as usize)?;
    let length = info.last_chunk::<4>().map(|bytes| u64::from(u32::from_be_bytes(*bytes)))?;
    let without = info_at.checked_sub(length)?;
    (mark == MODULE).then(|| Window::of(source, 0, without))
}

fn are_same_programs(a: &Source, b: &Source) -> bool {
    let hash = |source: &Source| {
        let bytes = some(&**source, 0, MOST_PROGRAM).ok()?;
        authenticode(&Pe::parse(&bytes).ok()?).ok()
    };
    matches!((hash(a), hash(b)), (Some(left), Some(right)) if left == right)
}

#[cfg(test)]
mod tests {
    use std::sync::Arc;

    use super::*;

    fn module(contents: &[u8], signature: &[u8]) -> Source {
        let mut bytes = contents.to_vec();
        bytes.extend_from_slice(signature);
        bytes.extend_from_slice(&[0, 0, 2, 0, 0, 0, 0, 0]);
        bytes.extend_from_slice(&(signature.len() as u32).to_be_bytes());
        bytes.extend_from_slice(MODULE);
        Arc::new(bytes)
    }

    #[test]
    fn modules_are_compared_without_their_signatures() {
        let plain: Source = Arc::new(b"code".to_vec());
        assert!(differ_alone(&module(b"code", b"one"), &module(b"code", b"another")));
        assert!(differ_alone(&module(b"code", b"one"), &plain));
        assert!(!differ_alone(&module(b"code", b"one"), &module(b"core", b"one")));
        assert!(!differ_alone(&plain, &plain));
    }

    #[test]
    fn a_signature_that_is_longer_than_the_module_is_none() {
        let mut bytes = vec![0; 8];
        bytes.extend_from_slice(&u32::MAX.to_be_bytes());
        bytes.extend_from_slice(MODULE);
        let lying: Source = Arc::new(bytes);
        assert!(!differ_alone(&lying, &lying));
    }
}
