//! ELF files as QEMU's loader takes them: the loadable segments, at their physical addresses.
//!
//! System V Application Binary Interface, "Object Files" and "Program Loading"; only 64 bits, little-endian.

use super::{HeaderError, field, other};
use crate::map::Extent;
use crate::spec::Arch;

/// How long the ELF header is.
pub const HEADER_LEN: u64 = 64;

/// How long one program header is.
const ENTRY_LEN: u16 = 56;
/// `e_phnum` of a file whose number of program headers is somewhere else.
const PN_XNUM: u16 = 0xffff;
/// `p_type` of a segment that is loaded.
const PT_LOAD: u32 = 1;

/// Where the program headers are.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Table {
    /// The first one's offset in the file.
    pub offset: u64,
    n_entries: u16,
    /// A virtual address, which the segments translate.
    entry: u64,
}

impl Table {
    /// Returns how many bytes they take.
    pub fn len(&self) -> u64 {
        u64::from(self.n_entries) * u64::from(ENTRY_LEN)
    }

    /// Returns whether there are none, which [`table`] does not let through.
    pub fn is_empty(&self) -> bool {
        self.n_entries == 0
    }
}

struct Segment {
    physical: u64,
    memory_len: u64,
    /// What the entry point is at, if it is in this segment.
    entry: Option<u64>,
}

/// Returns where the program headers of a file for `arch` are that has `file_len` bytes and starts with
/// `header`.
pub fn table(arch: Arch, header: &[u8], file_len: u64) -> Result<Table, HeaderError> {
    if field(header, 0) != Some(*b"\x7fELF") {
        return Err(other(header));
    }
    let fields = (
        field(header, 4),
        field(header, 18),
        field(header, 24),
        field(header, 32),
        field(header, 54),
        field(header, 56),
    );
    let (Some([class, data]), Some(machine), Some(entry), Some(offset), Some(entry_len), Some(n_entries)) =
        fields
    else {
        return Err(cut_off(file_len));
    };
    let is = |found: &str, help| Err(HeaderError::Other { found: found.to_owned(), help });
    if class != 2 {
        return is("an ELF file that is not of 64 bits", None);
    }
    if data != 1 {
        return is("an ELF file that is not little-endian", None);
    }
    let machine = u16::from_le_bytes(machine);
    if machine != machine_of(arch) {
        return Err(HeaderError::Field {
            field: "`e_machine`".to_owned(),
            value: u64::from(machine),
            why: "another processor than the machine's",
        });
    }
    let (entry_len, n_entries) = (u16::from_le_bytes(entry_len), u16::from_le_bytes(n_entries));
    if n_entries == 0 {
        return is("an ELF file without program headers", Some("link it: an object file cannot be loaded"));
    }
    if n_entries == PN_XNUM {
        return is("an ELF file with too many program headers", None);
    }
    if entry_len != ENTRY_LEN {
        let why = "not the length of a program header";
        return Err(HeaderError::Field {
            field: "`e_phentsize`".to_owned(),
            value: u64::from(entry_len),
            why,
        });
    }
    let table = Table { offset: u64::from_le_bytes(offset), n_entries, entry: u64::from_le_bytes(entry) };
    if table.offset.checked_add(table.len()).is_none_or(|end| end > file_len) {
        let why = "which puts the program headers outside the file";
        return Err(HeaderError::Field { field: "`e_phoff`".to_owned(), value: table.offset, why });
    }
    Ok(table)
}

/// Returns what the segments take together, from the lowest to the highest address; `bytes` are the program
/// headers.
pub fn parse(table: &Table, bytes: &[u8], file_len: u64) -> Result<Extent, HeaderError> {
    let mut bounds: Option<(u64, u64)> = None;
    let mut entry = None;
    for (segment_idx, header) in bytes.chunks(usize::from(ENTRY_LEN)).enumerate() {
        let Some(segment) = segment(table, header, segment_idx, file_len)? else { continue };
        // Not negative, and checked by `segment`.
        let end = segment.physical.saturating_add(segment.memory_len);
        let (low, high) = bounds.unwrap_or((segment.physical, end));
        bounds = Some((low.min(segment.physical), high.max(end)));
        entry = entry.or(segment.entry);
    }
    let Some((low, high)) = bounds else {
        let help = Some("link it: an object file cannot be loaded");
        return Err(HeaderError::Other { found: "an ELF file that loads nothing".to_owned(), help });
    };
    let extent = Extent { address: Some(low), ..Extent::bytes(high - low) };
    Ok(Extent { entry: entry.and_then(|entry| entry.checked_sub(low)), ..extent })
}

/// Returns the segment of a program header, if it takes memory.
fn segment(
    table: &Table,
    header: &[u8],
    segment_idx: usize,
    file_len: u64,
) -> Result<Option<Segment>, HeaderError> {
    let number = |offset| field(header, offset).map(u64::from_le_bytes);
    let fields = (field(header, 0), number(8), number(16), number(24), number(32), number(40));
    let (Some(kind), Some(offset), Some(address), Some(physical), Some(len), Some(memory_len)) = fields
    else {
        return Err(cut_off(file_len));
    };
    let wrong = |name: &str, value, why| {
        let field = format!("`{name}` of program header {segment_idx}");
        Err(HeaderError::Field { field, value, why })
    };
    if u32::from_le_bytes(kind) != PT_LOAD || memory_len == 0 {
        return Ok(None);
    }
    if len > memory_len {
        return wrong("p_filesz", len, "more than its memory");
    }
    if offset.checked_add(len).is_none_or(|end| end > file_len) {
        return wrong("p_offset", offset, "which puts its bytes outside the file");
    }
    if physical.checked_add(memory_len).is_none() {
        return wrong("p_memsz", memory_len, "which reaches past the last address");
    }
    let entry = table.entry.checked_sub(address).filter(|into| *into < memory_len);
    Ok(Some(Segment { physical, memory_len, entry: entry.map(|into| physical + into) }))
}

/// `e_machine`.
pub(crate) fn machine_of(arch: Arch) -> u16 {
    match arch {
        Arch::X86_64 => 62,
        Arch::Arm64 => 183,
        Arch::Riscv64 => 243,
    }
}

fn cut_off(file_len: u64) -> HeaderError {
    HeaderError::Short { part: "header", has: file_len, needs: HEADER_LEN }
}

#[cfg(test)]
mod tests {
    use super::*;

    /// A segment: type, offset, virtual and physical address, length in the file and in memory.
    type Header = (u32, u64, u64, u64, u64, u64);

    const TEXT: Header = (PT_LOAD, 0, 0xffff_0000, 0x4000_0000, 0x100, 0x100);

    fn elf(entry: u64, headers: &[Header]) -> Vec<u8> {
        let mut bytes = b"\x7fELF\x02\x01\x01".to_vec();
        bytes.resize(64, 0);
        bytes[18..20].copy_from_slice(&183u16.to_le_bytes());
        bytes[24..32].copy_from_slice(&entry.to_le_bytes());
        bytes[32..40].copy_from_slice(&64u64.to_le_bytes());
        bytes[54..56].copy_from_slice(&ENTRY_LEN.to_le_bytes());
        bytes[56..58].copy_from_slice(&(headers.len() as u16).to_le_bytes());
        for (kind, offset, address, physical, len, memory_len) in headers {
            bytes.extend(kind.to_le_bytes());
            bytes.extend(5u32.to_le_bytes());
            for number in [offset, address, physical, len, memory_len, &4096] {
                bytes.extend(number.to_le_bytes());
            }
        }
        bytes
    }

    fn told(bytes: &[u8], file_len: u64) -> String {
        let understood = table(Arch::Arm64, &bytes[..bytes.len().min(64)], file_len).and_then(|table| {
            let start = usize::try_from(table.offset).unwrap().min(bytes.len());
            let end = (start + table.len() as usize).min(bytes.len());
            parse(&table, &bytes[start..end], file_len)
        });
        match understood {
            Ok(extent) => format!("{:x?} {:#x} entry {:x?}", extent.address, extent.size, extent.entry),
            Err(error) => error.to_string(),
        }
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(told(bytes, 4096), expected);
    }

    #[test]
    fn segments_tell_the_extent_and_the_physical_entry_point() {
        check(&elf(0xffff_0040, &[TEXT]), "Some(40000000) 0x100 entry Some(40)");
        let data = (PT_LOAD, 0x100, 0xffff_1000, 0x3fff_f000, 0x10, 0x800);
        let note = (4, 0, 0, 0, 0x20, 0x20);
        let empty = (PT_LOAD, 0, 0, 0, 0, 0);
        check(&elf(0xffff_0040, &[note, TEXT, empty, data]), "Some(3ffff000) 0x1100 entry Some(1040)");
        check(&elf(0x1234, &[TEXT]), "Some(40000000) 0x100 entry None");
    }

    #[test]
    fn hostile_bytes_are_told_apart() {
        let with = |offset: usize, new: &[u8]| {
            let mut bytes = elf(0, &[TEXT]);
            bytes[offset..offset + new.len()].copy_from_slice(new);
            bytes
        };
        check(b"", "the file is empty");
        check(b"\x1f\x8b", "the file is compressed with gzip");
        check(b"\x7fELF", "the file has 4096 bytes, its header needs 64");
        check(&with(4, &[1]), "the file is an ELF file that is not of 64 bits");
        check(&with(5, &[2]), "the file is an ELF file that is not little-endian");
        check(&with(18, &[62]), "`e_machine` is 0x3e, another processor than the machine's");
        check(&with(54, &[8]), "`e_phentsize` is 0x8, not the length of a program header");
        check(&elf(0, &[]), "the file is an ELF file without program headers");
        check(&with(56, &[0xff, 0xff]), "the file is an ELF file with too many program headers");
        let outside = "which puts the program headers outside the file";
        check(&with(32, &[0xff; 8]), &format!("`e_phoff` is 0xffffffffffffffff, {outside}"));
        check(&with(56, &[0xfe, 0xff]), &format!("`e_phoff` is 0x40, {outside}"));
        check(&elf(0, &[(2, 0, 0, 0, 8, 8)]), "the file is an ELF file that loads nothing");
        for (header, expected) in [
            ((PT_LOAD, 0, 0, 0, 9, 8), "`p_filesz` of program header 0 is 0x9, more than its memory"),
            (
                (PT_LOAD, 4090, 0, 0, 7, 8),
                "`p_offset` of program header 0 is 0xffa, which puts its bytes outside the file",
            ),
            (
                (PT_LOAD, u64::MAX, 0, 0, 1, 8),
                "`p_offset` of program header 0 is 0xffffffffffffffff, which puts its bytes outside the file",
            ),
            (
                (PT_LOAD, 0, 0, u64::MAX, 0, 8),
                "`p_memsz` of program header 0 is 0x8, which reaches past the last address",
            ),
        ] {
            check(&elf(0, &[header]), expected);
        }
    }

    #[test]
    fn no_damage_makes_it_panic() {
        let whole = elf(0xffff_0040, &[TEXT, (PT_LOAD, 0, 0, u64::MAX - 8, 8, 8)]);
        for len in 0..whole.len() {
            told(&whole[..len], len as u64);
        }
        for at in 0..whole.len() {
            for byte in [0, 1, 0x7f, 0x80, 0xff] {
                let mut damaged = whole.clone();
                damaged[at] = byte;
                told(&damaged, whole.len() as u64);
                told(&damaged, u64::MAX);
            }
        }
    }
}
