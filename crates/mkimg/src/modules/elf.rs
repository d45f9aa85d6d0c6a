//! Finds what a kernel module, an ELF object, says of itself.
//!
//! Described by the System V ABI, chapters 4 "Object Files" and "Sections".

/// Returns the contents of the section `.modinfo`, or why there is none.
pub(super) fn modinfo(object: &[u8]) -> Result<&[u8], &'static str> {
    let elf = Elf::new(object)?;
    let truncated = "its section headers lie outside the file";
    let (offset, entry_size, count, names_idx) = if elf.is_64 {
        (elf.u64(0x28), elf.u16(0x3a), elf.u16(0x3c), elf.u16(0x3e))
    } else {
        (elf.u32(0x20).map(u64::from), elf.u16(0x2e), elf.u16(0x30), elf.u16(0x32))
    };
    let (Some(offset), Some(entry_size), Some(count), Some(names_idx)) =
        (offset, entry_size, count, names_idx)
    else {
        return Err("its header is cut off");
    };
    let header = |idx: u16| {
        let start = offset.checked_add(u64::from(idx) * u64::from(entry_size))?;
        let start = usize::try_from(start).ok()?;
        object.get(start..start.checked_add(usize::from(entry_size))?)?;
        let (name, place, size) = if elf.is_64 {
            (elf.u32(start)?, elf.u64(start.checked_add(0x18)?)?, elf.u64(start.checked_add(0x20)?)?)
        } else {
            let place = elf.u32(start.checked_add(0x10)?)?;
            (elf.u32(start)?, u64::from(place), u64::from(elf.u32(start.checked_add(0x14)?)?))
        };
        Some((name, place, size))
    };
    let contents = |place: u64, size: u64| {
        let start = usize::try_from(place).ok()?;
        object.get(start..start.checked_add(usize::try_from(size).ok()?)?)
    };
    let (_, place, size) = header(names_idx).ok_or(truncated)?;
    let names = contents(place, size).ok_or(truncated)?;
    for idx in 0..count {
        let (name_at, place, size) = header(idx).ok_or(truncated)?;
        // Not up to its end: nobody says that names end.
        if names.get(name_at as usize..).ok_or(truncated)?.starts_with(b".modinfo\0") {
            return contents(place, size).ok_or(truncated);
        }
    }
    Err("it has no section `.modinfo`")
}

struct Elf<'a> {
    bytes: &'a [u8],
    is_64: bool,
    is_big_endian: bool,
}

impl<'a> Elf<'a> {
    fn new(bytes: &'a [u8]) -> Result<Elf<'a>, &'static str> {
        if !bytes.starts_with(b"\x7fELF") {
            return Err("it is not an ELF file");
        }
        let is_64 = match bytes.get(4) {
            Some(1) => false,
            Some(2) => true,
            _ => return Err("its ELF class is unknown"),
        };
        let is_big_endian = match bytes.get(5) {
            Some(1) => false,
            Some(2) => true,
            _ => return Err("its byte order is unknown"),
        };
        Ok(Elf { bytes, is_64, is_big_endian })
    }

    fn array<const N: usize>(&self, at: usize) -> Option<[u8; N]> {
        let mut array: [u8; N] = self.bytes.get(at..at.checked_add(N)?)?.try_into().ok()?;
        if self.is_big_endian {
            array.reverse();
        }
        Some(array)
    }

    fn u16(&self, at: usize) -> Option<u16> {
        self.array(at).map(u16::from_le_bytes)
    }

    fn u32(&self, at: usize) -> Option<u32> {
        self.array(at).map(u32::from_le_bytes)
    }

    fn u64(&self, at: usize) -> Option<u64> {
        self.array(at).map(u64::from_le_bytes)
    }
}
