//! What can be wrong with an IGVM file.

use igvm_defs::IGVM_MAGIC_VALUE;

/// Why a file could not be read.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum ReadError {
    /// Too few bytes.
    #[error("the file has {length} bytes, and a header of IGVM has {needed}")]
    Short {
        /// How many there are.
        length: usize,
        /// How many it takes.
        needed: usize,
    },
    /// Another file.
    #[error("the file does not begin with `IGVM` ({:#010x}), but with {found:#010x}", IGVM_MAGIC_VALUE)]
    Magic {
        /// How it begins.
        found: u32,
    },
    /// Another version of the format.
    #[error("version {0} of the format is unknown: 1 and 2 are known")]
    Version(u32),
    /// Another processor.
    #[error("architecture {0} is unknown: 0 (x86-64) and 1 (arm64) are known")]
    Architecture(u32),
    /// Another size of pages.
    #[error("pages of {0} bytes are not possible: 4096 is")]
    PageSize(u32),
    /// Cut off, or with something behind it.
    #[error("the file has {length} bytes, but its header says {said}")]
    Size {
        /// How many the header says.
        said: u32,
        /// How many there are.
        length: usize,
    },
    /// Headers outside of the file.
    #[error(
        "the variable headers are said to be {size:#x} bytes at {offset:#x}, which is not in the file, or not aligned"
    )]
    Area {
        /// Where.
        offset: u32,
        /// How many bytes.
        size: u32,
    },
    /// Something was changed or damaged.
    #[error("the checksum of the headers is {computed:#010x}, but the file says {said:#010x}")]
    Checksum {
        /// What the file says.
        said: u32,
        /// What it is.
        computed: u32,
    },
    /// More headers than any guest needs.
    #[error("the file has more than {most} headers")]
    TooMany {
        /// How many it may have.
        most: usize,
    },
    /// Nothing can load it.
    #[error("the file names no platform")]
    NoPlatform,
    /// A header is wrong.
    #[error("header {number} at {at:#x} ({name})")]
    Header {
        /// Which, from 0 on.
        number: usize,
        /// Where in the file it is.
        at: usize,
        /// Of which type.
        name: String,
        /// What is wrong.
        source: HeaderError,
    },
}

/// What is wrong with a header.
#[derive(Debug, thiserror::Error, PartialEq, Eq)]
pub enum HeaderError {
    /// It does not end where the headers do.
    #[error("has {length} bytes, of which {left} are left")]
    Cut {
        /// How many it has.
        length: u32,
        /// How many there are.
        left: usize,
    },
    /// It has another length than its type.
    #[error("has {found} bytes instead of {expected}")]
    Length {
        /// How many its type has.
        expected: usize,
        /// How many it has.
        found: usize,
    },
    /// The bytes up to the next header are not zero.
    #[error("is followed by padding that is not zero")]
    Padding,
    /// A type that nobody knows.
    #[error("has an unknown type, and does not say that it may be ignored")]
    Type,
    /// It comes too late.
    #[error("comes after headers that it must come before")]
    Order,
    /// Something that has to be zero is not.
    #[error("has something in reserved bits")]
    Reserved,
    /// Not one bit.
    #[error("has {0:#x} as its mask, which is not one bit, or that of another platform")]
    Mask(u32),
    /// An unknown platform.
    #[error("is for the unknown platform {0}")]
    Platform(u8),
    /// The same platform again.
    #[error("is for a platform that was named before")]
    Repeated,
    /// A platform of another processor.
    #[error("is for a platform of another processor")]
    OtherProcessor,
    /// Another version of a platform.
    #[error("is for version {0} of the platform, of which 1 is known")]
    PlatformVersion(u16),
    /// Another trust level.
    #[error("has the virtual trust level {0}, which is not possible here")]
    Vtl(u8),
    /// Shared memory where that is not possible.
    #[error("has shared memory from {0:#x} on, which this platform does not have")]
    SharedBoundary(u64),
    /// An address or a size that is not that of a page.
    #[error("has {what} {value:#x}, which is not a multiple of {unit:#x}")]
    Unaligned {
        /// What of it.
        what: &'static str,
        /// Which.
        value: u64,
        /// Of what it should be a multiple.
        unit: u64,
    },
    /// The end of the address space is passed.
    #[error("has {size:#x} bytes at {gpa:#x}, which no address space has")]
    Range {
        /// Where.
        gpa: u64,
        /// How many bytes.
        size: u64,
    },
    /// An unknown type of page.
    #[error("has the unknown type of page {0}")]
    PageType(u16),
    /// Data outside of the file.
    #[error("refers to {size:#x} bytes at {offset:#x}, and the file's data is {start:#x}-{end:#x}")]
    Data {
        /// Where it is said to be.
        offset: u32,
        /// How many bytes.
        size: u64,
        /// Where data begins.
        start: usize,
        /// Where the file ends.
        end: usize,
    },
    /// An area that is not there, or there twice.
    #[error("refers to parameter area {0}, which was not declared, or inserted already")]
    NoArea(u32),
    /// An area that is there already.
    #[error("declares parameter area {0} again")]
    AreaAgain(u32),
    /// An area of no bytes, or of too many.
    #[error("has a size of {0:#x} bytes: between a page and 16 GiB are possible")]
    AreaSize(u64),
    /// A parameter outside of its area.
    #[error("is at {offset:#x} of an area of {size:#x} bytes")]
    Outside {
        /// Where.
        offset: u32,
        /// How many bytes the area has.
        size: u64,
    },
    /// A processor's state for nobody, or for platforms that have it differently.
    #[error("is for {platforms}, which have no state of a processor, or not the same")]
    Context {
        /// Which.
        platforms: String,
    },
    /// A state without registers, or with wrong ones.
    #[error("has {0}")]
    Registers(&'static str),
    /// Text that is not UTF-8.
    #[error("has text that is not UTF-8")]
    Text,
    /// The same address and bits wanted set and clear.
    #[error("wants bits {0:#x} to be both set and clear")]
    Conflict(u64),
}
