//! Numbers whose halves ext4 stores apart, where a field outgrew its place.

pub(super) use crate::bytes::{get_u16, get_u32, put_u16, put_u32};

/// Returns the number whose halves are stored apart, as ext4 does where a field outgrew its place.
pub(super) fn get_split_u64(bytes: &[u8], low_at: usize, high_at: usize) -> u64 {
    u64::from(get_u32(bytes, low_at)) | u64::from(get_u32(bytes, high_at)) << 32
}

/// Returns the number whose halves of 16 bits are stored apart.
pub(super) fn get_split_u32(bytes: &[u8], low_at: usize, high_at: usize) -> u32 {
    u32::from(get_u16(bytes, low_at)) | u32::from(get_u16(bytes, high_at)) << 16
}

/// Stores the two halves of `value` apart.
pub(super) fn put_split_u64(bytes: &mut [u8], low_at: usize, high_at: usize, value: u64) {
    put_u32(bytes, low_at, low_u32(value));
    put_u32(bytes, high_at, low_u32(value >> 32));
}

/// Stores the two 16-bit halves of `value` apart.
pub(super) fn put_split_u32(bytes: &mut [u8], low_at: usize, high_at: usize, value: u32) {
    put_u16(bytes, low_at, low_u16(value));
    put_u16(bytes, high_at, low_u16(value >> 16));
}

/// Returns the low 32 bits, for fields that keep the others elsewhere.
pub(super) fn low_u32(value: u64) -> u32 {
    (value & 0xffff_ffff) as u32
}

/// Returns the low 16 bits, for fields that keep the others elsewhere.
pub(super) fn low_u16(value: u32) -> u16 {
    (value & 0xffff) as u16
}
