//! Writing IGVM files: what was read, or what somebody put together, in the bytes that the `igvm` crate would write.

use std::collections::HashMap;

use igvm_defs::{
    IGVM_FIXED_HEADER, IGVM_FIXED_HEADER_V2, IGVM_MAGIC_VALUE, IGVM_VHS_ERROR_RANGE, IGVM_VHS_GUEST_POLICY,
    IGVM_VHS_PAGE_DATA, IGVM_VHS_PARAMETER, IGVM_VHS_PARAMETER_AREA, IGVM_VHS_PARAMETER_INSERT,
    IGVM_VHS_REQUIRED_MEMORY, IGVM_VHS_SUPPORTED_PLATFORM, IGVM_VHS_VP_CONTEXT, IgvmArchitecture,
    IgvmPageDataFlags, IgvmVariableHeaderType as Type, RequiredMemoryFlags,
};
use zerocopy::{Immutable, IntoBytes};

use crate::file::{Architecture, Data, Directive, File, Import, Initialization, PAGE, Revision};

/// Why a file could not be written.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum WriteError {
    /// Its offsets have 32 bits.
    #[error("an IGVM file has at most 4 GiB")]
    TooLarge,
    /// What is in it is not known.
    #[error("a header of type {0:#x} is not known, so it cannot be written")]
    Unknown(u32),
}

/// Returns the bytes of a file. Equal data is kept once.
///
/// # Errors
///
/// When it would be too large, or has headers that were read without being understood.
pub fn write(file: &File<'_>) -> Result<Vec<u8>, WriteError> {
    let fixed_len = match file.revision {
        Revision::V1 => size_of::<IGVM_FIXED_HEADER>(),
        Revision::V2(_) => size_of::<IGVM_FIXED_HEADER_V2>(),
    };
    // Data comes after the headers, whose size does not depend on where it is.
    let mut sizing = Writer::new(0);
    sizing.file(file)?;
    let mut writer = Writer::new(fixed_len + sizing.headers.len());
    writer.file(file)?;
    let Writer { headers, data, .. } = writer;

    let total = fixed_len.saturating_add(headers.len()).saturating_add(data.len());
    let total_file_size = u32::try_from(total).map_err(|_| WriteError::TooLarge)?;
    let fixed = |format_version, checksum| IGVM_FIXED_HEADER {
        magic: IGVM_MAGIC_VALUE,
        format_version,
        variable_header_offset: fixed_len as u32,
        variable_header_size: headers.len() as u32,
        total_file_size,
        checksum,
    };
    let start = |checksum| match file.revision {
        Revision::V1 => fixed(1, checksum).as_bytes().to_vec(),
        Revision::V2(architecture) => {
            let architecture = match architecture {
                Architecture::X64 => IgvmArchitecture::X64,
                Architecture::Aarch64 => IgvmArchitecture::AARCH64,
            };
            let mut bytes = fixed(2, checksum).as_bytes().to_vec();
            bytes.extend_from_slice(architecture.as_bytes());
            bytes.extend_from_slice(&(PAGE as u32).to_le_bytes());
            bytes
        }
    };
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&start(0));
    checksum.update(&headers);
    let mut bytes = start(checksum.finalize());
    bytes.extend_from_slice(&headers);
    bytes.extend_from_slice(&data);
    Ok(bytes)
}

struct Writer<'a> {
    headers: Vec<u8>,
    /// Where in the file data begins.
    start: usize,
    data: Vec<u8>,
    known: HashMap<&'a [u8], u32>,
}

/// Returns a header with its type and its padding.
pub(crate) fn header(typ: Type, content: &[u8]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(16 + content.len());
    bytes.extend_from_slice(&typ.0.to_le_bytes());
    bytes.extend_from_slice(&(content.len() as u32).to_le_bytes());
    bytes.extend_from_slice(content);
    bytes.resize(bytes.len().next_multiple_of(8), 0);
    bytes
}

impl<'a> Writer<'a> {
    fn new(start: usize) -> Writer<'a> {
        Writer { headers: Vec::new(), start, data: Vec::new(), known: HashMap::new() }
    }

    fn header<T: IntoBytes + Immutable>(&mut self, typ: Type, content: &T) {
        self.headers.extend_from_slice(&header(typ, content.as_bytes()));
    }

    /// Keeps some bytes, and returns where they are in the file.
    fn data(&mut self, data: Data<'a>) -> Result<u32, WriteError> {
        if let Some(offset) = self.known.get(data.bytes) {
            return Ok(*offset);
        }
        let end = self.start + self.data.len() + data.bytes.len();
        if u32::try_from(end).is_err() {
            return Err(WriteError::TooLarge);
        }
        let offset = (self.start + self.data.len()) as u32;
        self.data.extend_from_slice(data.bytes);
        self.known.insert(data.bytes, offset);
        Ok(offset)
    }

    fn optional(&mut self, data: Option<Data<'a>>) -> Result<u32, WriteError> {
        data.map_or(Ok(0), |data| self.data(data))
    }

    fn file(&mut self, file: &File<'a>) -> Result<(), WriteError> {
        for platform in &file.platforms {
            let info = IGVM_VHS_SUPPORTED_PLATFORM {
                compatibility_mask: platform.mask,
                highest_vtl: platform.highest_vtl,
                platform_type: platform.kind.number(),
                platform_version: 1,
                shared_gpa_boundary: platform.shared_gpa_boundary,
            };
            self.header(Type::IGVM_VHT_SUPPORTED_PLATFORM, &info);
        }
        file.initializations.iter().try_for_each(|header| self.initialization(header))?;
        file.directives.iter().try_for_each(|directive| self.directive(directive))
    }

    fn initialization(&mut self, header: &Initialization<'a>) -> Result<(), WriteError> {
        match header {
            Initialization::GuestPolicy { policy, mask } => {
                let info = IGVM_VHS_GUEST_POLICY { policy: *policy, compatibility_mask: *mask, reserved: 0 };
                self.header(Type::IGVM_VHT_GUEST_POLICY, &info);
            }
            Initialization::CcaPolicy(info) => self.header(Type::IGVM_VHT_CCA_POLICY, info),
            Initialization::RelocatableRegion(info) => self.header(Type::IGVM_VHT_RELOCATABLE_REGION, info),
            Initialization::PageTableRelocation(info) => {
                self.header(Type::IGVM_VHT_PAGE_TABLE_RELOCATION_REGION, info);
            }
            Initialization::Corim { mask, data } | Initialization::CorimSignature { mask, data } => {
                let size = data.map_or(0, |data| data.bytes.len());
                let size = u32::try_from(size).map_err(|_| WriteError::TooLarge)?;
                let offset = self.optional(*data)?;
                let typ = if matches!(header, Initialization::Corim { .. }) { 0x104 } else { 0x105 };
                self.header(Type(typ), &[*mask, offset, size, 0]);
            }
            Initialization::VersionString(text) => {
                self.headers.extend_from_slice(&self::header(Type::IGVM_VHT_VERSION_STRING, text.as_bytes()));
            }
            Initialization::Unknown(typ) => return Err(WriteError::Unknown(*typ)),
        }
        Ok(())
    }

    fn directive(&mut self, directive: &Directive<'a>) -> Result<(), WriteError> {
        match directive {
            Directive::Page(page) => {
                let flags = IgvmPageDataFlags::new()
                    .with_is_2mb_page(page.size > PAGE)
                    .with_unmeasured(page.import == Import::Unmeasured)
                    .with_shared(page.import == Import::Shared);
                let info = IGVM_VHS_PAGE_DATA {
                    gpa: page.gpa,
                    compatibility_mask: page.mask,
                    file_offset: self.optional(page.data)?,
                    flags,
                    data_type: page.kind.number(),
                    reserved: 0,
                };
                self.header(Type::IGVM_VHT_PAGE_DATA, &info);
            }
            Directive::ParameterArea(area) => {
                let info = IGVM_VHS_PARAMETER_AREA {
                    number_of_bytes: area.size,
                    parameter_area_index: area.index,
                    file_offset: self.optional(area.data)?,
                };
                self.header(Type::IGVM_VHT_PARAMETER_AREA, &info);
            }
            Directive::Parameter { kind, area, offset } => {
                let info = IGVM_VHS_PARAMETER { parameter_area_index: *area, byte_offset: *offset };
                self.header(kind.header(), &info);
            }
            Directive::ParameterInsert { gpa, mask, area, .. } => {
                let info = IGVM_VHS_PARAMETER_INSERT {
                    gpa: *gpa,
                    compatibility_mask: *mask,
                    parameter_area_index: *area,
                };
                self.header(Type::IGVM_VHT_PARAMETER_INSERT, &info);
            }
            Directive::VpContext(context) => {
                let info = IGVM_VHS_VP_CONTEXT {
                    gpa: context.gpa.into(),
                    compatibility_mask: context.mask,
                    file_offset: self.data(context.data)?,
                    vp_index: context.vp_index,
                    reserved: 0,
                };
                self.header(Type::IGVM_VHT_VP_CONTEXT, &info);
            }
            Directive::RequiredMemory { gpa, mask, size, vtl2_protectable } => {
                let info = IGVM_VHS_REQUIRED_MEMORY {
                    gpa: *gpa,
                    compatibility_mask: *mask,
                    number_of_bytes: *size,
                    flags: RequiredMemoryFlags::new().with_vtl2_protectable(*vtl2_protectable),
                    reserved: 0,
                };
                self.header(Type::IGVM_VHT_REQUIRED_MEMORY, &info);
            }
            Directive::ErrorRange { gpa, mask, size } => {
                let info = IGVM_VHS_ERROR_RANGE { gpa: *gpa, compatibility_mask: *mask, size_bytes: *size };
                self.header(Type::IGVM_VHT_ERROR_RANGE, &info);
            }
            Directive::IdBlock(info) => self.header(Type::IGVM_VHT_SNP_ID_BLOCK, &**info),
            Directive::VbsMeasurement(info) => self.header(Type::IGVM_VHT_VBS_MEASUREMENT, &**info),
            Directive::Unknown(typ) => return Err(WriteError::Unknown(*typ)),
        }
        Ok(())
    }
}
