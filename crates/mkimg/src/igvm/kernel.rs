//! Kernels: what of a file is loaded where, and where it is entered.

use super::{BuildError, FOUR_GIB};
use crate::bytes::{get_u16, get_u32, get_u64};

/// Where a kernel lies that does not say it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Flat {
    /// Its address.
    pub address: u64,
    /// Where it is entered.
    pub entry: u64,
}

/// A kernel, ready to be loaded.
#[derive(Debug)]
pub(super) struct Kernel<'a> {
    pub(super) segments: Vec<Segment<'a>>,
    /// Where it is entered in 64-bit mode.
    pub(super) entry: u64,
    /// The part of Linux' setup header that the kernel has; the others get one that says as much as they need.
    pub(super) header: Option<&'a [u8]>,
    /// The longest command line, without the zero behind it.
    pub(super) longest_cmdline: usize,
    /// The first address behind those at which an initramfs may lie.
    pub(super) initrd_end: u64,
}

/// Some bytes of a kernel.
#[derive(Debug, PartialEq, Eq)]
pub(super) struct Segment<'a> {
    pub(super) address: u64,
    pub(super) bytes: &'a [u8],
    /// How many bytes it has in memory, with the zeros behind it.
    pub(super) size: u64,
    /// How many bytes it needs before it has looked at the memory map.
    pub(super) needs: u64,
}

/// How many bytes Linux keeps of a command line (`COMMAND_LINE_SIZE` of `arch/x86`).
const COMMAND_LINE: usize = 2047;
/// Where an initramfs ends at the latest if the kernel says nothing of it.
const INITRD_END: u64 = 1 << 31;

/// Reads a kernel.
///
/// # Errors
///
/// When it cannot be loaded at fixed addresses and entered in 64-bit mode, or when `flat` is missing or too much.
pub(super) fn read<'a>(file: &'a [u8], flat: Option<Flat>) -> Result<Kernel<'a>, BuildError> {
    let is_elf = file.starts_with(b"\x7fELF");
    let is_linux = file.get(0x202..0x206) == Some(b"HdrS");
    match flat {
        Some(_) if is_elf => Err(BuildError::HasAddress("an ELF file")),
        Some(_) if is_linux => Err(BuildError::HasAddress("one of Linux")),
        None if is_elf => elf(file),
        None if is_linux => linux(file),
        None => Err(BuildError::NoAddress),
        Some(Flat { address, entry }) => {
            let size = file.len() as u64;
            let end = address.saturating_add(size);
            if !(address..end).contains(&entry) {
                return Err(BuildError::Entry { start: address, end, entry });
            }
            let segments = vec![Segment { address, bytes: file, size, needs: size }];
            Ok(other(segments, entry))
        }
    }
}

/// Returns a kernel that need not be Linux.
fn other(segments: Vec<Segment<'_>>, entry: u64) -> Kernel<'_> {
    Kernel { segments, entry, header: None, longest_cmdline: COMMAND_LINE, initrd_end: INITRD_END }
}

/// Reads an ELF file (System V Application Binary Interface, "Object Files").
fn elf(file: &[u8]) -> Result<Kernel<'_>, BuildError> {
    const HEADER: usize = 64;
    const SEGMENT: usize = 56;
    let wrong = |problem: &str| BuildError::Elf(problem.to_owned());
    let Some(header) = file.get(..HEADER) else { return Err(wrong("it ends in its header")) };
    if header[4] != 2 || header[5] != 1 || get_u16(header, 18) != 62 {
        return Err(wrong("it is not for x86-64"));
    }
    match get_u16(header, 16) {
        2 => {}
        1 | 3 => return Err(wrong("it has to be relocated")),
        other => return Err(BuildError::Elf(format!("type {other} is no program"))),
    }
    if usize::from(get_u16(header, 54)) != SEGMENT {
        return Err(wrong("its program headers have a size of their own"));
    }
    let table = usize::try_from(get_u64(header, 32)).ok().and_then(|start| {
        let end = start.checked_add(usize::from(get_u16(header, 56)) * SEGMENT)?;
        file.get(start..end)
    });
    let Some(table) = table else { return Err(wrong("its program headers are not in it")) };
    let entry = get_u64(header, 24);
    let mut physical_entry = None;
    let mut segments = Vec::new();
    for segment in table.chunks_exact(SEGMENT) {
        match get_u32(segment, 0) {
            1 => {}
            2 | 3 => return Err(wrong("it has to be relocated: it has dynamic sections")),
            _ => continue,
        }
        let (offset, linked, address) = (get_u64(segment, 8), get_u64(segment, 16), get_u64(segment, 24));
        let (in_file, size) = (get_u64(segment, 32), get_u64(segment, 40));
        let bytes = usize::try_from(offset).ok().zip(usize::try_from(in_file).ok());
        let bytes = bytes.and_then(|(start, size)| file.get(start..start.checked_add(size)?));
        let Some(bytes) = bytes.filter(|_| in_file <= size) else {
            return Err(BuildError::Elf(format!("its segment for {address:#x} is not in it")));
        };
        if size == 0 {
            continue;
        }
        // The entry point of Linux is a physical address, that of others one that they are linked for.
        if (address..address.saturating_add(size)).contains(&entry) {
            physical_entry = Some(entry);
        } else if let Some(offset) = entry.checked_sub(linked).filter(|offset| *offset < size) {
            physical_entry.get_or_insert(address.saturating_add(offset));
        }
        segments.push(Segment { address, bytes, size, needs: size });
    }
    match physical_entry {
        _ if segments.is_empty() => Err(wrong("it has nothing to load")),
        None => Err(BuildError::Elf(format!("its entry point {entry:#x} is in none of its segments"))),
        Some(entry) => Ok(other(segments, entry)),
    }
}

/// Reads a kernel of Linux as it is packed (Documentation/arch/x86/boot.rst, "The Real-Mode Kernel Header").
fn linux(file: &[u8]) -> Result<Kernel<'_>, BuildError> {
    /// Where the header begins, and where a kernel ends that has all of what is read here.
    const START: usize = 0x1f1;
    const READ: usize = 0x264;
    /// As much as there is room for in what the kernel is told.
    const END: usize = 0x290;
    let wrong = |problem: &str| BuildError::Linux(problem.to_owned());
    if file.len() < READ {
        return Err(wrong("it ends in its header"));
    }
    let version = get_u16(file, 0x206);
    if version < 0x20c {
        let (major, minor) = (version >> 8, version & 0xff);
        return Err(BuildError::Linux(format!("its boot protocol is {major}.{minor}, and 2.12 is needed")));
    }
    if get_u16(file, 0x236) & 1 == 0 {
        return Err(wrong("it has no entry point for 64-bit mode"));
    }
    let end = (0x202 + usize::from(file[0x201])).clamp(READ, END);
    let Some(header) = file.get(START..end) else { return Err(wrong("it ends in its header")) };
    let n_sectors = if file[START] == 0 { 4 } else { usize::from(file[START]) };
    let Some(bytes) = file.get((n_sectors + 1) * 512..).filter(|bytes| bytes.len() > 0x200) else {
        return Err(wrong("it ends in front of what runs in protected mode"));
    };
    let (address, size) = (get_u64(file, 0x258), bytes.len() as u64);
    if !(1 << 20..FOUR_GIB).contains(&address) {
        return Err(BuildError::Linux(format!("it would lie at {address:#x}")));
    }
    let needs = u64::from(get_u32(file, 0x260)).max(size);
    Ok(Kernel {
        segments: vec![Segment { address, bytes, size, needs }],
        entry: address + 0x200,
        header: Some(header),
        longest_cmdline: get_u32(file, 0x238) as usize,
        initrd_end: u64::from(get_u32(file, 0x22c)) + 1,
    })
}
