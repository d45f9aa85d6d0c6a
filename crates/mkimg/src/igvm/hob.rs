//! What the host tells firmware of TDX about its memory: a list of hand-off blocks (UEFI Platform Initialization
//! Specification, volume 3, "HOB Code Definitions"), as QEMU's `hw/i386/tdvf-hob.c` writes it.
//!
//! Nothing of it is measured: the firmware checks it.

use super::{BuildError, ram};

/// The owner of a resource, which nobody is.
const NOBODY: [u8; 16] = [0; 16];
/// Memory that was added to the guest.
const SYSTEM_MEMORY: u32 = 0;
/// Memory that the guest has to accept.
const UNACCEPTED: u32 = 7;
/// Present, initialized and tested.
const ATTRIBUTES: u32 = 7;

/// Returns the list for a guest with so much memory, at `gpa`. `added` is memory that is loaded with the firmware.
///
/// # Errors
///
/// When the list would not fit.
pub(super) fn list(
    memory: u64,
    gpa: u64,
    size: u64,
    mut added: Vec<(u64, u64)>,
) -> Result<Vec<u8>, BuildError> {
    added.sort_unstable();
    let mut resources = Vec::new();
    for (start, size) in ram(memory) {
        let (mut at, end) = (start, start + size);
        for &(start, size) in &added {
            if start < at || start + size > end {
                continue;
            }
            if start > at {
                resources.push((UNACCEPTED, at, start - at));
            }
            resources.push((SYSTEM_MEMORY, start, size));
            at = start + size;
        }
        if end > at {
            resources.push((UNACCEPTED, at, end - at));
        }
    }
    const HAND_OFF: u16 = 56;
    const RESOURCE: u16 = 48;
    const END: u16 = 8;
    let length = u64::from(HAND_OFF) + u64::from(RESOURCE) * resources.len() as u64 + u64::from(END);
    if length > size {
        let problem = format!("a list of {length} bytes does not fit into the {size} that it has for one");
        return Err(BuildError::Metadata { metadata: "TDX", problem });
    }
    let mut bytes = Vec::new();
    let head = |bytes: &mut Vec<u8>, kind: u16, length: u16| {
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&length.to_le_bytes());
        bytes.extend_from_slice(&[0; 4]);
    };
    // Its version, the boot mode, and addresses of memory of which only the end of the list is known.
    head(&mut bytes, 1, HAND_OFF);
    bytes.extend_from_slice(&9_u32.to_le_bytes());
    bytes.extend_from_slice(&[0; 36]);
    bytes.extend_from_slice(&(gpa + length).to_le_bytes());
    for (kind, start, size) in resources {
        head(&mut bytes, 3, RESOURCE);
        bytes.extend_from_slice(&NOBODY);
        bytes.extend_from_slice(&kind.to_le_bytes());
        bytes.extend_from_slice(&ATTRIBUTES.to_le_bytes());
        bytes.extend_from_slice(&start.to_le_bytes());
        bytes.extend_from_slice(&size.to_le_bytes());
    }
    head(&mut bytes, 0xffff, END);
    Ok(bytes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::bytes::{get_u16, get_u32, get_u64};

    #[test]
    fn memory_that_was_added_is_not_accepted_again() {
        let added = vec![(0x81_0000, 0x1_0000), (0x80_9000, 0x2000)];
        let list = list(3 << 30, 0x80_9000, 0x2000, added).unwrap();
        assert_eq!(get_u64(&list, 48), 0x80_9000 + list.len() as u64);
        let resources: Vec<(u32, u64, u64)> = list[56..list.len() - 8]
            .chunks(48)
            .map(|block| (get_u32(block, 24), get_u64(block, 32), get_u64(block, 40)))
            .collect();
        let expected = [
            (7, 0, 0x80_9000),
            (0, 0x80_9000, 0x2000),
            (7, 0x80_b000, 0x5000),
            (0, 0x81_0000, 0x1_0000),
            (7, 0x82_0000, 0x8000_0000 - 0x82_0000),
            (7, 1 << 32, 1 << 30),
        ];
        assert_eq!(resources, expected);
        assert_eq!(get_u16(&list, list.len() - 8), 0xffff);
    }

    #[test]
    fn a_list_that_does_not_fit_is_refused() {
        assert!(list(1 << 30, 0, 100, Vec::new()).is_err());
    }
}
