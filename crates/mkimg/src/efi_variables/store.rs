//! The store of authenticated variables in a firmware volume.

use crate::bytes::{get_u16, get_u32, get_u64, is_zero, put_u16, put_u32, put_u64};
use crate::disk::Guid;

/// `EFI_FIRMWARE_VOLUME_HEADER` with one entry of its map of blocks.
const VOLUME_HEADER: usize = 72;
/// `VARIABLE_STORE_HEADER`.
const STORE_HEADER: usize = 28;
/// `AUTHENTICATED_VARIABLE_HEADER`.
const VARIABLE_HEADER: usize = 60;
/// `EFI_SYSTEM_NV_DATA_FV_GUID`.
const VOLUME: &str = "fff12b8d-7696-4c8b-a985-2747075b4f50";
/// `EFI_FVH_SIGNATURE`.
const SIGNATURE: &[u8] = b"_FVH";
/// `EFI_AUTHENTICATED_VARIABLE_GUID`.
const STORE: &str = "aaf32c78-947b-439a-a180-2e144ec37792";
/// What the firmware for Arm machines has on its chip: variables, and behind them as much twice for changing them (EDK II,
/// `ArmVirtPkg/VarStore.fdf.inc`). Its template in Debian is a chip on which nothing was ever written.
const ARM_BLOCK: u32 = 0x4_0000;
const ARM_BLOCKS: u32 = 3;
const ARM_VOLUME: usize = (ARM_BLOCK * ARM_BLOCKS) as usize;
/// `EFI_FVB_ATTRIBUTES_2` of that volume.
const ARM_ATTRIBUTES: u32 = 0x0e36;
/// `EFI_FVH_REVISION`.
const REVISION: u8 = 2;
/// `VARIABLE_DATA`, and the state of a variable that is whole and there.
const START: u16 = 0x55aa;
const ADDED: u8 = 0x3f;
/// `VARIABLE_STORE_FORMATTED` and `VARIABLE_STORE_HEALTHY`.
const USABLE: [u8; 2] = [0x5a, 0xfe];

/// A variable.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Variable {
    /// Whose name it is.
    pub vendor: Guid,
    /// Its name.
    pub name: String,
    /// Whether it is kept, when it can be read and how it can be written.
    pub attributes: u32,
    /// Its value.
    pub data: Vec<u8>,
}

/// Why variables could not be added.
#[derive(Debug, Clone, PartialEq, Eq, thiserror::Error)]
pub enum Error {
    /// It is something else.
    #[error("it is not a volume of authenticated variables: {0}")]
    NotVariables(&'static str),
    /// A variable reaches out of the store.
    #[error("the variable at {at:#x} does not fit into the store")]
    Damaged {
        /// Its offset in the file.
        at: usize,
    },
    /// It has keys already.
    #[error("there is a variable `{0}` already")]
    Exists(String),
    /// There is no room.
    #[error("`{name}` takes {size} bytes, and there are {room} left")]
    Full {
        /// The variable.
        name: String,
        /// How much it takes.
        size: usize,
        /// How much there is.
        room: usize,
    },
}

impl Error {
    /// Returns what the reader of the message can do about it.
    pub fn help(&self) -> Option<String> {
        match self {
            Error::NotVariables(_) | Error::Exists(_) => Some(
                "start from variables without keys: `/usr/share/OVMF/OVMF_VARS_4M.fd` of Debian's package `ovmf`, or \
                 `/usr/share/AAVMF/AAVMF_VARS.fd` of `qemu-efi-aarch64`"
                    .to_owned(),
            ),
            Error::Damaged { .. } | Error::Full { .. } => None,
        }
    }
}

/// A volume of variables.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Store {
    bytes: Vec<u8>,
    /// Where the first variable can be, and where the next one will be.
    start: usize,
    next: usize,
    /// The end of the store, behind which firmware keeps what it needs to change it.
    end: usize,
    variables: Vec<Variable>,
}

impl Store {
    /// Reads a volume, or formats one on a chip without anything as the firmware for Arm machines does when it starts.
    pub fn open(bytes: &[u8]) -> Result<Store, Error> {
        if bytes.len() < ARM_VOLUME || !is_zero(bytes) {
            return Store::parse(bytes);
        }
        let mut bytes = bytes.to_vec();
        // What is erased has all bits set.
        bytes[VOLUME_HEADER + STORE_HEADER..ARM_VOLUME].fill(0xff);
        bytes[16..32].copy_from_slice(&guid(VOLUME).0);
        put_u64(&mut bytes, 32, ARM_VOLUME as u64);
        bytes[40..44].copy_from_slice(SIGNATURE);
        put_u32(&mut bytes, 44, ARM_ATTRIBUTES);
        put_u16(&mut bytes, 48, VOLUME_HEADER as u16);
        bytes[55] = REVISION;
        put_u32(&mut bytes, 56, ARM_BLOCKS);
        put_u32(&mut bytes, 60, ARM_BLOCK);
        let checksum = 0u16.wrapping_sub(sum(&bytes[..VOLUME_HEADER]));
        put_u16(&mut bytes, 50, checksum);
        let store = &mut bytes[VOLUME_HEADER..][..STORE_HEADER];
        store[..16].copy_from_slice(&guid(STORE).0);
        put_u32(store, 16, ARM_BLOCK - VOLUME_HEADER as u32);
        store[20..22].copy_from_slice(&USABLE);
        Store::parse(&bytes)
    }

    /// Reads a volume. Variables that were deleted are not told of.
    pub fn parse(bytes: &[u8]) -> Result<Store, Error> {
        let wrong = |what| Err(Error::NotVariables(what));
        if bytes.len() < VOLUME_HEADER + STORE_HEADER || &bytes[40..44] != SIGNATURE {
            return wrong("it does not begin as a firmware volume");
        }
        if Some(guid_at(bytes, 16)) != Guid::parse(VOLUME) {
            return wrong("it is a volume of something else");
        }
        let header = usize::from(get_u16(bytes, 48));
        if get_u64(bytes, 32) > bytes.len() as u64
            || header < VOLUME_HEADER
            || header + STORE_HEADER > bytes.len()
        {
            return wrong("its header says that it is larger than it is");
        }
        if sum(&bytes[..header]) != 0 {
            return wrong("the checksum of its header is wrong");
        }
        if Some(guid_at(bytes, header)) != Guid::parse(STORE) {
            return wrong("its variables are not authenticated ones");
        }
        if bytes[header + 20..header + 22] != USABLE {
            return wrong("its store was not formatted");
        }
        let end = header.saturating_add(get_u32(bytes, header + 16) as usize);
        let start = header + STORE_HEADER;
        if end > bytes.len() || end < start {
            return wrong("its store is larger than the volume");
        }
        let mut store = Store { bytes: bytes.to_vec(), start, next: start, end, variables: Vec::new() };
        store.read_variables()?;
        Ok(store)
    }

    fn read_variables(&mut self) -> Result<(), Error> {
        let mut at = self.start;
        while at + VARIABLE_HEADER <= self.end && get_u16(&self.bytes, at) == START {
            let header = &self.bytes[at..at + VARIABLE_HEADER];
            let (name_size, data_size) = (get_u32(header, 36) as usize, get_u32(header, 40) as usize);
            let name = at + VARIABLE_HEADER;
            let data = name.saturating_add(name_size);
            let end = data.saturating_add(data_size);
            if end > self.end {
                return Err(Error::Damaged { at });
            }
            if header[2] == ADDED {
                let units: Vec<u16> =
                    self.bytes[name..data].chunks_exact(2).map(|unit| get_u16(unit, 0)).collect();
                let units = units.strip_suffix(&[0]).unwrap_or(&units);
                self.variables.push(Variable {
                    vendor: guid_at(header, 44),
                    name: String::from_utf16_lossy(units),
                    attributes: get_u32(header, 4),
                    data: self.bytes[data..end].to_vec(),
                });
            }
            at = end.next_multiple_of(4);
        }
        self.next = at;
        Ok(())
    }

    /// Returns the variables in the order in which they were written.
    pub fn variables(&self) -> &[Variable] {
        &self.variables
    }

    /// Returns the whole volume.
    pub fn into_bytes(self) -> Vec<u8> {
        self.bytes
    }

    /// Adds a variable, written at no time.
    pub fn add(&mut self, variable: Variable) -> Result<(), Error> {
        if self.variables.iter().any(|other| other.name == variable.name && other.vendor == variable.vendor) {
            return Err(Error::Exists(variable.name));
        }
        let name: Vec<u8> = variable.name.encode_utf16().chain([0]).flat_map(u16::to_le_bytes).collect();
        let size = VARIABLE_HEADER + name.len() + variable.data.len();
        let room = self.end.saturating_sub(self.next);
        let (Ok(name_size), Ok(data_size)) = (u32::try_from(name.len()), u32::try_from(variable.data.len()))
        else {
            return Err(Error::Full { name: variable.name, size, room });
        };
        if size > room {
            return Err(Error::Full { name: variable.name, size, room });
        }
        let mut header = [0; VARIABLE_HEADER];
        put_u16(&mut header, 0, START);
        header[2] = ADDED;
        put_u32(&mut header, 4, variable.attributes);
        put_u32(&mut header, 36, name_size);
        put_u32(&mut header, 40, data_size);
        header[44..60].copy_from_slice(&variable.vendor.0);
        let mut at = self.next;
        for part in [&header[..], &name, &variable.data] {
            self.bytes[at..at + part.len()].copy_from_slice(part);
            at += part.len();
        }
        self.next = at.next_multiple_of(4);
        self.variables.push(variable);
        Ok(())
    }
}

/// Returns the sum of 16-bit numbers, which is zero of a header with a checksum.
fn sum(header: &[u8]) -> u16 {
    let words = header.chunks_exact(2).map(|word| u16::from_le_bytes([word[0], word[1]]));
    words.fold(0, u16::wrapping_add)
}

fn guid(text: &str) -> Guid {
    Guid::parse(text).unwrap_or(Guid::NIL)
}

fn guid_at(bytes: &[u8], at: usize) -> Guid {
    let mut guid = [0; 16];
    guid.copy_from_slice(&bytes[at..at + 16]);
    Guid(guid)
}
