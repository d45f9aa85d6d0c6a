//! Numbers that are stored twice, in both orders of bytes (ECMA-119 7.2.3 and 7.3.3).

use crate::bytes::{get_u16, get_u32};

pub(super) fn put_both_u16(bytes: &mut [u8], at: usize, value: u16) {
    bytes[at..at + 2].copy_from_slice(&value.to_le_bytes());
    bytes[at + 2..at + 4].copy_from_slice(&value.to_be_bytes());
}

pub(super) fn put_both_u32(bytes: &mut [u8], at: usize, value: u32) {
    bytes[at..at + 4].copy_from_slice(&value.to_le_bytes());
    bytes[at + 4..at + 8].copy_from_slice(&value.to_be_bytes());
}

pub(super) fn both_u32(value: u32) -> [u8; 8] {
    let mut bytes = [0; 8];
    put_both_u32(&mut bytes, 0, value);
    bytes
}

/// Returns a number unless its two forms differ. The caller knows that there are four bytes.
pub(super) fn get_both_u16(bytes: &[u8], at: usize) -> Option<u16> {
    let value = get_u16(bytes, at);
    (value.to_be_bytes() == [bytes[at + 2], bytes[at + 3]]).then_some(value)
}

/// Returns a number unless its two forms differ. The caller knows that there are eight bytes.
pub(super) fn get_both_u32(bytes: &[u8], at: usize) -> Option<u32> {
    let value = get_u32(bytes, at);
    (value.swap_bytes() == get_u32(bytes, at + 4)).then_some(value)
}
