//! Reads headers and the table of sections.

use crate::bytes::{get_u16, get_u32};

/// Where the offset of the headers is ("MS-DOS Stub").
const OFFSET_AT: usize = 0x3c;
/// The signature and the COFF file header behind it.
const COFF: usize = 4 + 20;
/// The size of an entry in the table of sections.
pub(super) const SECTION: usize = 40;
/// The numbers of data directories.
pub(super) const CERTIFICATES: usize = 4;
pub(super) const DEBUG: usize = 6;

/// The instruction set that a program is for.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Machine {
    /// 32-bit x86.
    I386,
    /// 64-bit x86.
    X64,
    /// 64-bit Arm.
    Arm64,
    /// 64-bit RISC-V.
    Riscv64,
    /// Another one, by its number.
    Other(u16),
}

impl Machine {
    fn new(number: u16) -> Machine {
        match number {
            0x014c => Machine::I386,
            0x8664 => Machine::X64,
            0xaa64 => Machine::Arm64,
            0x5064 => Machine::Riscv64,
            other => Machine::Other(other),
        }
    }

    /// Returns what UEFI calls it in the names of files, as in `BOOTX64.EFI`.
    pub fn short(self) -> String {
        match self {
            Machine::I386 => "ia32".to_owned(),
            Machine::X64 => "x64".to_owned(),
            Machine::Arm64 => "aa64".to_owned(),
            Machine::Riscv64 => "riscv64".to_owned(),
            Machine::Other(number) => format!("machine {number:#06x}"),
        }
    }
}

/// Why a file is not a program for firmware.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum ReadError {
    /// It does not begin as one.
    #[error("it is not a PE program: {0}")]
    NotPe(&'static str),
    /// It ends within its headers.
    #[error("it ends within its {0}")]
    Truncated(&'static str),
    /// A header says what cannot be.
    #[error("{0}")]
    Wrong(String),
}

/// A section of a program.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Section {
    /// Its name, without what fills it up.
    pub name: String,
    /// How much memory it takes.
    pub virtual_size: u32,
    /// Where it is in memory, from where the program is loaded.
    pub address: u32,
    /// How much of the file it takes.
    pub raw_size: u32,
    /// Where it is in the file.
    pub offset: u32,
    /// What it is for, and whether it can be read, written or run.
    pub characteristics: u32,
}

/// A program, of which the headers were read.
#[derive(Debug, Clone)]
pub struct Pe<'a> {
    pub(super) bytes: &'a [u8],
    /// Where the COFF file header is.
    pub(super) coff: usize,
    /// Where the optional header is.
    pub(super) optional: usize,
    /// Where the data directories are, and how many.
    pub(super) directories: usize,
    pub(super) n_directories: usize,
    /// Where the table of sections is.
    pub(super) table: usize,
    machine: Machine,
    sections: Vec<Section>,
}

impl<'a> Pe<'a> {
    /// Reads the headers of `bytes`. Every section that has bytes in the file has them within it, and all of them have no
    /// more than there are.
    pub fn parse(bytes: &'a [u8]) -> Result<Pe<'a>, ReadError> {
        if !bytes.starts_with(b"MZ") {
            return Err(ReadError::NotPe("it does not begin with `MZ`"));
        }
        if bytes.len() < OFFSET_AT + 4 {
            return Err(ReadError::Truncated("first header"));
        }
        let start = get_u32(bytes, OFFSET_AT) as usize;
        let optional = start.saturating_add(COFF);
        if optional > bytes.len() {
            return Err(ReadError::Truncated("file header"));
        }
        if &bytes[start..start + 4] != b"PE\0\0" {
            return Err(ReadError::NotPe("there is no `PE` where its first header says"));
        }
        let coff = start + 4;
        let table = optional + usize::from(get_u16(bytes, coff + 16));
        let n_sections = usize::from(get_u16(bytes, coff + 2));
        let table_end = table + n_sections * SECTION;
        if table_end > bytes.len() {
            return Err(ReadError::Truncated("table of sections"));
        }
        let header = &bytes[optional..table];
        let directories = match header.get(..2) {
            Some([0x0b, 0x01]) => 96,
            Some([0x0b, 0x02]) => 112,
            _ => return Err(ReadError::NotPe("its optional header is neither PE32 nor PE32+")),
        };
        if header.len() < directories {
            return Err(ReadError::Truncated("optional header"));
        }
        let n_directories = get_u32(header, directories - 4) as usize;
        if n_directories > (header.len() - directories) / 8 {
            return Err(ReadError::Wrong(format!(
                "{n_directories} data directories do not fit into its header"
            )));
        }
        let mut pe = Pe {
            bytes,
            coff,
            optional,
            directories: optional + directories,
            n_directories,
            table,
            machine: Machine::new(get_u16(bytes, coff)),
            sections: Vec::with_capacity(n_sections),
        };
        let headers = pe.headers_size() as usize;
        if headers < table_end || headers > bytes.len() {
            return Err(ReadError::Wrong(format!("its headers cannot have {headers} bytes")));
        }
        let mut left = bytes.len() as u64;
        for entry in bytes[table..table_end].chunks_exact(SECTION) {
            let section = pe.section_of(entry)?;
            // Thousands of sections could each be all of the file, and whoever reads them would take forever.
            left = left
                .checked_sub(section.raw_size.into())
                .ok_or_else(|| ReadError::Wrong("its sections have more bytes than the file".to_owned()))?;
            pe.sections.push(section);
        }
        pe.certificate_range()?;
        Ok(pe)
    }

    fn section_of(&self, entry: &[u8]) -> Result<Section, ReadError> {
        let name = entry[..8].split(|byte| *byte == 0).next().unwrap_or_default();
        let section = Section {
            name: name.escape_ascii().to_string(),
            virtual_size: get_u32(entry, 8),
            address: get_u32(entry, 12),
            raw_size: get_u32(entry, 16),
            offset: get_u32(entry, 20),
            characteristics: get_u32(entry, 36),
        };
        let range = u64::from(section.offset)..u64::from(section.offset) + u64::from(section.raw_size);
        if section.raw_size > 0 && range.end > self.bytes.len() as u64 {
            return Err(ReadError::Wrong(format!(
                "section `{}` is at {:#x}..{:#x} of a file that has {:#x} bytes",
                section.name,
                range.start,
                range.end,
                self.bytes.len()
            )));
        }
        if section.address.checked_add(section.virtual_size.max(section.raw_size)).is_none() {
            return Err(ReadError::Wrong(format!("section `{}` leaves the address space", section.name)));
        }
        Ok(section)
    }

    /// Returns the instruction set that it is for.
    pub fn machine(&self) -> Machine {
        self.machine
    }

    /// Returns the sections in the order of their table.
    pub fn sections(&self) -> &[Section] {
        &self.sections
    }

    /// Returns what a section of this program has in the file, without what only fills it up.
    pub fn contents(&self, section: &Section) -> &'a [u8] {
        let raw = self.raw(section);
        // Some linkers leave the size in memory out.
        let size = if section.virtual_size == 0 { raw.len() } else { section.virtual_size as usize };
        &raw[..size.min(raw.len())]
    }

    /// Returns the contents of the first section of this name.
    pub fn section(&self, name: &str) -> Option<&'a [u8]> {
        let section = self.sections.iter().find(|section| section.name == name)?;
        Some(self.contents(section))
    }

    pub(super) fn raw(&self, section: &Section) -> &'a [u8] {
        let start = section.offset as usize;
        self.bytes.get(start..start.saturating_add(section.raw_size as usize)).unwrap_or_default()
    }

    /// Returns how much of the file the headers take, as they say.
    pub(super) fn headers_size(&self) -> u32 {
        get_u32(self.bytes, self.optional + 60)
    }

    pub(super) fn section_alignment(&self) -> u32 {
        get_u32(self.bytes, self.optional + 32)
    }

    pub(super) fn file_alignment(&self) -> u32 {
        get_u32(self.bytes, self.optional + 36)
    }

    /// Returns where the checksum is in the file.
    pub(super) fn checksum_at(&self) -> usize {
        self.optional + 64
    }

    /// Returns where a data directory is in the file, if there is one of that number.
    pub(super) fn directory_at(&self, number: usize) -> Option<usize> {
        (number < self.n_directories).then(|| self.directories + number * 8)
    }

    /// Returns what a data directory says: an address, and a size.
    pub(super) fn directory(&self, number: usize) -> (u32, u32) {
        let at = self.directory_at(number);
        at.map_or((0, 0), |at| (get_u32(self.bytes, at), get_u32(self.bytes, at + 4)))
    }

    /// Returns where the certificates are in the file. They are at its end, or the file is not what was signed.
    pub(super) fn certificate_range(&self) -> Result<std::ops::Range<usize>, ReadError> {
        let (start, size) = self.directory(CERTIFICATES);
        if size == 0 {
            return Ok(self.bytes.len()..self.bytes.len());
        }
        let (start, size) = (start as usize, size as usize);
        if start < self.headers_size() as usize || start.checked_add(size) != Some(self.bytes.len()) {
            return Err(ReadError::Wrong(format!(
                "its certificates, {size:#x} bytes at {start:#x}, do not end where the file does, at {:#x}",
                self.bytes.len()
            )));
        }
        Ok(start..start + size)
    }
}
