//! Leaving signatures out of a comparison.

use layer::ReadAt as _;
use mkimg::pe::{Pe, authenticode};
use x509_cert::Certificate;
use x509_cert::der::Decode as _;

use super::bytes::Comparer;
use crate::source::{Source, Window, some};

/// What a signed kernel module ends with (`include/linux/module_signature.h`).
const MODULE: &[u8] = b"~Module signature appended~\n";
/// What is in front of that: eight bytes, then the size of the signature.
const INFO_LEN: u64 = 12;
/// The largest program for firmware that is read.
const MOST_PROGRAM: usize = 256 << 20;

/// A program that is compared without the certificates in it has at most so many bytes.
const MOST_KERNEL: usize = 1 << 30;
/// A certificate in a program has at most so many bytes.
const MOST_CERTIFICATE: usize = 8 << 10;

/// Says whether two files are the same without their signatures.
pub(super) fn differ_alone(a: &Source, b: &Source, comparer: &Comparer) -> bool {
    are_same_modules(a, b, comparer) || are_same_programs(a, b)
}

/// Says whether two programs are the same but for certificates in them, which are at the same places and as long: a
/// kernel has those that it believes in (`CONFIG_SYSTEM_TRUSTED_KEYS`, and that of its modules' signatures).
pub(super) fn certificates_differ_alone(a: &Source, b: &Source) -> bool {
    let read =
        |source: &Source| some(&**source, 0, MOST_KERNEL + 1).ok().filter(|bytes| bytes.len() <= MOST_KERNEL);
    let (Some(a), Some(b)) = (read(a), read(b)) else { return false };
    if a.len() != b.len() {
        return false;
    }
    let mut at = 0;
    loop {
        let Some(n_same) = a[at..].iter().zip(&b[at..]).position(|(a, b)| a != b) else { return true };
        let Some(end) = certificate_around(&a, &b, at + n_same) else { return false };
        at = end;
    }
}

/// Returns where the certificates end that both have around the byte `at`.
fn certificate_around(a: &[u8], b: &[u8], at: usize) -> Option<usize> {
    let starts = (at.saturating_sub(MOST_CERTIFICATE)..=at).rev();
    starts.into_iter().find_map(|start| {
        let end = [a, b].map(|bytes| {
            let length = match bytes.get(start..start.checked_add(4)?)? {
                // A sequence whose length has two bytes (X.690, section 8.1.3).
                [0x30, 0x82, high, low] => usize::from(u16::from_be_bytes([*high, *low])) + 4,
                _ => return None,
            };
            let end = start.checked_add(length)?;
            if end <= at {
                return None;
            }
            Certificate::from_der(bytes.get(start..end)?).ok()?;
            Some(end)
        });
        (end[0] == end[1]).then_some(end[0]).flatten()
    })
}

fn are_same_modules(a: &Source, b: &Source, comparer: &Comparer) -> bool {
    // One of them may have none.
    match (unsigned(a), unsigned(b)) {
        (None, None) => false,
        (left, right) => {
            let left = left.unwrap_or_else(|| a.clone());
            let right = right.unwrap_or_else(|| b.clone());
            matches!(comparer.first_difference(&left, &right), Ok(None))
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
    use crate::source::Limits;

    fn differ_alone(a: &Source, b: &Source) -> bool {
        super::differ_alone(a, b, &Comparer::new(Limits::default()))
    }

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

    fn certificate(last: u8) -> Vec<u8> {
        use x509_cert::der::{DecodePem as _, Encode as _};
        let pem = include_bytes!("../../../mkimg/tests/boot/db.crt");
        let mut der = Certificate::from_pem(pem).unwrap().to_der().unwrap();
        *der.last_mut().unwrap() = last;
        der
    }

    #[test]
    fn a_certificate_in_a_program_is_no_difference() {
        let program =
            |certificate: &[u8], code: &[u8]| -> Source { Arc::new([b"head", certificate, code].concat()) };
        let [a, b] = [1, 2].map(certificate);
        assert!(certificates_differ_alone(&program(&a, b"code"), &program(&b, b"code")));
        assert!(!certificates_differ_alone(&program(&a, b"code"), &program(&b, b"core")));
        assert!(!certificates_differ_alone(&program(b"none", b"code"), &program(b"node", b"code")));
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
