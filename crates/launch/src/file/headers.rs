//! What each type of header says, checked.

use std::collections::{BTreeMap, BTreeSet};

use igvm_defs::{
    IGVM_VHS_CCA_POLICY, IGVM_VHS_ERROR_RANGE, IGVM_VHS_GUEST_POLICY, IGVM_VHS_PAGE_DATA,
    IGVM_VHS_PAGE_TABLE_RELOCATION, IGVM_VHS_PARAMETER, IGVM_VHS_PARAMETER_AREA, IGVM_VHS_PARAMETER_INSERT,
    IGVM_VHS_RELOCATABLE_REGION, IGVM_VHS_REQUIRED_MEMORY, IGVM_VHS_SUPPORTED_PLATFORM, IGVM_VHS_VP_CONTEXT,
    IgvmPageDataType, IgvmVariableHeaderType as Type, VbsVpContextHeader, VbsVpContextRegister,
};
use zerocopy::{FromBytes, Immutable, KnownLayout};

use super::{
    Architecture, ContextFormat, Data, Directive, File, HeaderError, Import, Initialization, LARGE_PAGE,
    MOST_PAGES, PAGE, Page, PageKind, ParameterArea, ParameterKind, RawHeader, VpContext,
};
use crate::{Platform, PlatformKind};

/// The structures of CoRIM headers (`IGVM_VHS_CORIM_DATA`) and their types, which `igvm_defs` has as unstable ones.
const CORIM: Type = Type(0x104);
const CORIM_SIGNATURE: Type = Type(0x105);

/// How many registers of Hyper-V a processor starts with: several times those that there are.
const MOST_REGISTERS: u32 = 1024;

/// What earlier directives have to say about later ones.
#[derive(Default)]
pub(super) struct Seen {
    /// The sizes of parameter areas, and whether they are inserted already.
    areas: BTreeMap<u32, (u64, bool)>,
    /// The trust levels that have registers of Hyper-V.
    vtls: BTreeSet<u8>,
}

/// The part of a file that has data.
#[derive(Clone, Copy)]
pub(super) struct DataArea<'a> {
    pub(super) bytes: &'a [u8],
    pub(super) start: usize,
}

impl<'a> DataArea<'a> {
    /// Returns `size` bytes that a header refers to.
    fn at(self, offset: u32, size: u64) -> Result<Data<'a>, HeaderError> {
        let DataArea { bytes, start } = self;
        let found = usize::try_from(size).ok().and_then(|size| {
            let from = offset as usize;
            bytes.get(from..from.checked_add(size)?).filter(|_| from >= start)
        });
        match found {
            Some(bytes) => Ok(Data { offset, bytes }),
            None => Err(HeaderError::Data { offset, size, start, end: bytes.len() }),
        }
    }

    /// Returns what a header refers to, if it does.
    fn optional(self, offset: u32, size: u64) -> Result<Option<Data<'a>>, HeaderError> {
        if offset == 0 { Ok(None) } else { self.at(offset, size).map(Some) }
    }
}

/// Returns the structure that a header has.
fn read<T: FromBytes + KnownLayout + Immutable>(header: &RawHeader<'_>) -> Result<T, HeaderError> {
    let wrong = HeaderError::Length { expected: size_of::<T>(), found: header.content.len() };
    T::read_from_bytes(header.content).map_err(|_| wrong)
}

fn aligned(what: &'static str, value: u64, unit: u64) -> Result<(), HeaderError> {
    if value.is_multiple_of(unit) { Ok(()) } else { Err(HeaderError::Unaligned { what, value, unit }) }
}

fn zero(reserved: bool) -> Result<(), HeaderError> {
    if reserved { Ok(()) } else { Err(HeaderError::Reserved) }
}

/// Checks that some memory is one of whole pages.
fn memory(gpa: u64, size: u64, unit: u64) -> Result<(), HeaderError> {
    aligned("address", gpa, unit)?;
    aligned("size", size, PAGE)?;
    gpa.checked_add(size).map(drop).ok_or(HeaderError::Range { gpa, size })
}

/// Reads what a file is for.
pub(super) fn platform(file: &File<'_>, header: &RawHeader<'_>) -> Result<Option<Platform>, HeaderError> {
    if header.typ != Type::IGVM_VHT_SUPPORTED_PLATFORM {
        return if header.is_optional { Ok(None) } else { Err(HeaderError::Type) };
    }
    let info: IGVM_VHS_SUPPORTED_PLATFORM = read(header)?;
    let mask = info.compatibility_mask;
    let Some(kind) = PlatformKind::of(info.platform_type) else {
        return Err(HeaderError::Platform(info.platform_type.0));
    };
    if mask.count_ones() != 1 || file.platforms.iter().any(|other| other.mask == mask) {
        return Err(HeaderError::Mask(mask));
    }
    if file.platform(kind).is_some() {
        return Err(HeaderError::Repeated);
    }
    if info.platform_version != 1 {
        return Err(HeaderError::PlatformVersion(info.platform_version));
    }
    if info.highest_vtl != 0 && info.highest_vtl != 2 {
        return Err(HeaderError::Vtl(info.highest_vtl));
    }
    let is_possible = match file.revision.architecture() {
        Architecture::X64 => kind != PlatformKind::Cca,
        Architecture::Aarch64 => matches!(kind, PlatformKind::Cca | PlatformKind::Vsm),
    };
    if !is_possible {
        return Err(HeaderError::OtherProcessor);
    }
    if matches!(kind, PlatformKind::Native | PlatformKind::Vsm) && info.shared_gpa_boundary != 0 {
        return Err(HeaderError::SharedBoundary(info.shared_gpa_boundary));
    }
    Ok(Some(Platform {
        kind,
        mask,
        highest_vtl: info.highest_vtl,
        shared_gpa_boundary: info.shared_gpa_boundary,
    }))
}

/// Reads what a loader does first.
pub(super) fn initialization<'a>(
    header: &RawHeader<'a>,
    data: DataArea<'a>,
) -> Result<Initialization<'a>, HeaderError> {
    Ok(match header.typ {
        Type::IGVM_VHT_GUEST_POLICY => {
            let info: IGVM_VHS_GUEST_POLICY = read(header)?;
            zero(info.reserved == 0)?;
            Initialization::GuestPolicy { policy: info.policy, mask: info.compatibility_mask }
        }
        Type::IGVM_VHT_CCA_POLICY => {
            let info: IGVM_VHS_CCA_POLICY = read(header)?;
            zero(info.reserved == 0 && info.reserved2 == [0; 6])?;
            let conflict = info.attributes_required_zeroes & info.attributes_required_ones;
            if conflict != 0 {
                return Err(HeaderError::Conflict(conflict));
            }
            Initialization::CcaPolicy(info)
        }
        Type::IGVM_VHT_RELOCATABLE_REGION => {
            let info: IGVM_VHS_RELOCATABLE_REGION = read(header)?;
            let unit = info.relocation_alignment;
            if unit == 0 {
                return Err(HeaderError::Unaligned { what: "alignment", value: 0, unit: PAGE });
            }
            aligned("alignment", unit, PAGE)?;
            memory(info.relocation_region_gpa, info.relocation_region_size, unit)?;
            aligned("lowest address", info.minimum_relocation_gpa, unit)?;
            aligned("highest address", info.maximum_relocation_gpa, unit)?;
            vtl(info.vtl)?;
            Initialization::RelocatableRegion(info)
        }
        Type::IGVM_VHT_PAGE_TABLE_RELOCATION_REGION => {
            let info: IGVM_VHS_PAGE_TABLE_RELOCATION = read(header)?;
            zero(info.reserved == 0)?;
            memory(info.gpa, info.size, PAGE)?;
            aligned("used size", info.used_size, PAGE)?;
            if info.used_size > info.size {
                return Err(HeaderError::Range { gpa: info.gpa, size: info.used_size });
            }
            vtl(info.vtl)?;
            Initialization::PageTableRelocation(info)
        }
        CORIM | CORIM_SIGNATURE => {
            // The mask, the offset, the size, and reserved bits.
            let [mask, offset, size, reserved]: [u32; 4] = read(header)?;
            zero(reserved == 0)?;
            let data = data.optional(offset, size.into())?;
            match header.typ {
                CORIM => Initialization::Corim { mask, data },
                _ => Initialization::CorimSignature { mask, data },
            }
        }
        Type::IGVM_VHT_VERSION_STRING => {
            let text = std::str::from_utf8(header.content).map_err(|_| HeaderError::Text)?;
            Initialization::VersionString(text)
        }
        Type(typ) if header.is_optional => Initialization::Unknown(typ),
        _ => return Err(HeaderError::Type),
    })
}

fn vtl(vtl: u8) -> Result<(), HeaderError> {
    if vtl <= 2 { Ok(()) } else { Err(HeaderError::Vtl(vtl)) }
}

/// Reads what a loader does then.
pub(super) fn directive<'a>(
    file: &File<'a>,
    seen: &mut Seen,
    header: &RawHeader<'a>,
    data: DataArea<'a>,
) -> Result<Directive<'a>, HeaderError> {
    if let Some(kind) = ParameterKind::ALL.into_iter().find(|kind| kind.header() == header.typ) {
        let info: IGVM_VHS_PARAMETER = read(header)?;
        let (area, offset) = (info.parameter_area_index, info.byte_offset);
        let Some((size, false)) = seen.areas.get(&area) else { return Err(HeaderError::NoArea(area)) };
        if u64::from(offset) >= *size {
            return Err(HeaderError::Outside { offset, size: *size });
        }
        return Ok(Directive::Parameter { kind, area, offset });
    }
    Ok(match header.typ {
        Type::IGVM_VHT_PAGE_DATA => Directive::Page(page(&read(header)?, data)?),
        Type::IGVM_VHT_PARAMETER_AREA => {
            let info: IGVM_VHS_PARAMETER_AREA = read(header)?;
            let (index, size) = (info.parameter_area_index, info.number_of_bytes);
            aligned("size", size, PAGE)?;
            if size == 0 || size > MOST_PAGES * PAGE {
                return Err(HeaderError::AreaSize(size));
            }
            if seen.areas.insert(index, (size, false)).is_some() {
                return Err(HeaderError::AreaAgain(index));
            }
            Directive::ParameterArea(ParameterArea {
                index,
                size,
                data: data.optional(info.file_offset, size)?,
            })
        }
        Type::IGVM_VHT_PARAMETER_INSERT => {
            let info: IGVM_VHS_PARAMETER_INSERT = read(header)?;
            let area = info.parameter_area_index;
            let Some((size, is_inserted @ false)) = seen.areas.get_mut(&area) else {
                return Err(HeaderError::NoArea(area));
            };
            *is_inserted = true;
            memory(info.gpa, *size, PAGE)?;
            Directive::ParameterInsert { gpa: info.gpa, mask: info.compatibility_mask, area, size: *size }
        }
        Type::IGVM_VHT_VP_CONTEXT => {
            Directive::VpContext(context(file, seen, &read::<IGVM_VHS_VP_CONTEXT>(header)?, data)?)
        }
        Type::IGVM_VHT_REQUIRED_MEMORY => {
            let info: IGVM_VHS_REQUIRED_MEMORY = read(header)?;
            zero(info.reserved == 0 && info.flags.reserved() == 0)?;
            memory(info.gpa, info.number_of_bytes.into(), PAGE)?;
            Directive::RequiredMemory {
                gpa: info.gpa,
                mask: info.compatibility_mask,
                size: info.number_of_bytes,
                vtl2_protectable: info.flags.vtl2_protectable(),
            }
        }
        Type::IGVM_VHT_ERROR_RANGE => {
            let info: IGVM_VHS_ERROR_RANGE = read(header)?;
            memory(info.gpa, info.size_bytes.into(), PAGE)?;
            Directive::ErrorRange { gpa: info.gpa, mask: info.compatibility_mask, size: info.size_bytes }
        }
        Type::IGVM_VHT_SNP_ID_BLOCK => Directive::IdBlock(Box::new(read(header)?)),
        Type::IGVM_VHT_VBS_MEASUREMENT => Directive::VbsMeasurement(Box::new(read(header)?)),
        Type(typ) if header.is_optional => Directive::Unknown(typ),
        _ => return Err(HeaderError::Type),
    })
}

fn page<'a>(info: &IGVM_VHS_PAGE_DATA, data: DataArea<'a>) -> Result<Page<'a>, HeaderError> {
    zero(info.reserved == 0 && info.flags.reserved() == 0)?;
    let kind = match info.data_type {
        IgvmPageDataType::NORMAL => PageKind::Normal,
        IgvmPageDataType::SECRETS => PageKind::Secrets,
        IgvmPageDataType::CPUID_DATA => PageKind::CpuidData,
        IgvmPageDataType::CPUID_XF => PageKind::CpuidXf,
        IgvmPageDataType(other) => return Err(HeaderError::PageType(other)),
    };
    let import = match (info.flags.shared(), info.flags.unmeasured()) {
        (true, _) => Import::Shared,
        (false, true) => Import::Unmeasured,
        (false, false) => Import::Measured,
    };
    let size = if info.flags.is_2mb_page() { LARGE_PAGE } else { PAGE };
    memory(info.gpa, size, size)?;
    let data = data.optional(info.file_offset, size)?;
    Ok(Page { gpa: info.gpa, mask: info.compatibility_mask, kind, import, size, data })
}

fn context<'a>(
    file: &File<'_>,
    seen: &mut Seen,
    info: &IGVM_VHS_VP_CONTEXT,
    data: DataArea<'a>,
) -> Result<VpContext<'a>, HeaderError> {
    zero(info.reserved == 0)?;
    let (gpa, mask) = (info.gpa.get(), info.compatibility_mask);
    memory(gpa, PAGE, PAGE)?;
    let wrong = || {
        let names = file.names(mask);
        let platforms = if names.is_empty() { "no platform".to_owned() } else { names.join(", ") };
        HeaderError::Context { platforms }
    };
    let platforms = file.platforms.iter().filter(|platform| platform.mask & mask != 0);
    let mut formats = platforms.map(|platform| ContextFormat::of(platform.kind));
    let Some(Some(format)) = formats.next() else { return Err(wrong()) };
    if formats.any(|other| other != Some(format)) {
        return Err(wrong());
    }
    let data = match format {
        ContextFormat::Vbs => registers(seen, info, data)?,
        ContextFormat::Vmsa => data.at(info.file_offset, PAGE)?,
        ContextFormat::Native | ContextFormat::Cca => {
            let data = data.at(info.file_offset, PAGE)?;
            let used = if format == ContextFormat::Cca { 80 } else { crate::registers::NATIVE_LEN };
            if data.bytes[used..].iter().any(|byte| *byte != 0) {
                return Err(HeaderError::Registers("something behind its registers"));
            }
            data
        }
    };
    Ok(VpContext { gpa, mask, vp_index: info.vp_index, format, data })
}

/// Reads registers as Hyper-V has them.
fn registers<'a>(
    seen: &mut Seen,
    info: &IGVM_VHS_VP_CONTEXT,
    data: DataArea<'a>,
) -> Result<Data<'a>, HeaderError> {
    let head = data.at(info.file_offset, size_of::<VbsVpContextHeader>() as u64)?;
    let Ok(VbsVpContextHeader { register_count }) = VbsVpContextHeader::read_from_bytes(head.bytes) else {
        return Err(HeaderError::Registers("no number of registers"));
    };
    let size = u64::from(register_count) * size_of::<VbsVpContextRegister>() as u64;
    let data = data.at(info.file_offset, head.bytes.len() as u64 + size)?;
    if register_count > MOST_REGISTERS {
        return Err(HeaderError::Registers("more than 1024 registers"));
    }
    let mut registers = crate::registers::vbs(data.bytes);
    let Some(first) = registers.next() else { return Err(HeaderError::Registers("no registers")) };
    vtl(first.vtl)?;
    // Only the first processor is measured.
    if info.vp_index != 0 {
        return Err(HeaderError::Registers("registers of another processor than the first"));
    }
    if first.mbz != [0; 11] {
        return Err(HeaderError::Reserved);
    }
    for other in registers {
        if other.vtl != first.vtl {
            return Err(HeaderError::Registers("registers of several virtual trust levels"));
        }
        zero(other.mbz == [0; 11])?;
    }
    // Only one platform has these. Any number of headers could refer to the same list, all of it measured each time.
    if !seen.vtls.insert(first.vtl) {
        return Err(HeaderError::Registers("registers of a virtual trust level that has some already"));
    }
    Ok(data)
}
