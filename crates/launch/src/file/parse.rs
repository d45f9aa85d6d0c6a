//! From bytes to headers, and from headers to a file.

use igvm_defs::{
    IGVM_FIXED_HEADER, IGVM_FIXED_HEADER_V2, IGVM_MAGIC_VALUE, IGVM_VHS_VARIABLE_HEADER,
    IGVM_VHT_OPTIONAL_BIT, IGVM_VHT_RANGE_DIRECTIVE, IGVM_VHT_RANGE_INIT, IGVM_VHT_RANGE_PLATFORM,
    IgvmArchitecture, IgvmVariableHeaderType,
};
use zerocopy::FromBytes as _;

use super::headers::{self, Seen};
use super::{Architecture, Directive, File, HeaderError, Initialization, PAGE, ReadError, Revision};

/// How many variable headers a file may have: one for each of [`super::MOST_PAGES`], and as many more. What is remembered
/// of one is a dozen times as large as the smallest one.
const MOST_HEADERS: usize = 8 << 20;
/// Where the checksum is in the fixed header of every version.
const CHECKSUM: std::ops::Range<usize> = 20..24;
/// How many bytes are before what a variable header says.
pub(crate) const PREFIX: usize = size_of::<IGVM_VHS_VARIABLE_HEADER>();

/// A variable header as it is in a file.
#[derive(Clone, Copy, Debug)]
pub(crate) struct RawHeader<'a> {
    /// Its type without the bit that it may be ignored.
    pub(crate) typ: IgvmVariableHeaderType,
    /// Whether whoever does not know the type may ignore it.
    pub(crate) is_optional: bool,
    /// Where it is in the file.
    pub(crate) at: usize,
    /// Where the next one is.
    pub(crate) end: usize,
    /// What it says.
    pub(crate) content: &'a [u8],
}

/// What is known of a file before its headers are understood.
pub(crate) struct Frame<'a> {
    pub(crate) revision: Revision,
    /// How many bytes the fixed header has.
    pub(crate) fixed_len: usize,
    /// The variable headers.
    pub(crate) headers: Vec<RawHeader<'a>>,
    /// Where the variable headers begin.
    pub(crate) start: usize,
    /// Where they end, and data begins.
    pub(crate) data: usize,
}

/// Reads what frames the headers of a file, and checks sizes and the checksum.
pub(crate) fn raw_headers(bytes: &[u8]) -> Result<Frame<'_>, ReadError> {
    let short = |needed| ReadError::Short { length: bytes.len(), needed };
    let v1 = size_of::<IGVM_FIXED_HEADER>();
    let Ok((fixed, _)) = IGVM_FIXED_HEADER::read_from_prefix(bytes) else { return Err(short(v1)) };
    if fixed.magic != IGVM_MAGIC_VALUE {
        return Err(ReadError::Magic { found: fixed.magic });
    }
    let (revision, fixed_len) = match fixed.format_version {
        1 => (Revision::V1, v1),
        2 => {
            let v2 = size_of::<IGVM_FIXED_HEADER_V2>();
            let Ok((fixed, _)) = IGVM_FIXED_HEADER_V2::read_from_prefix(bytes) else { return Err(short(v2)) };
            if u64::from(fixed.page_size) != PAGE {
                return Err(ReadError::PageSize(fixed.page_size));
            }
            let architecture = match fixed.architecture {
                IgvmArchitecture::X64 => Architecture::X64,
                IgvmArchitecture::AARCH64 => Architecture::Aarch64,
                IgvmArchitecture(other) => return Err(ReadError::Architecture(other)),
            };
            (Revision::V2(architecture), v2)
        }
        other => return Err(ReadError::Version(other)),
    };
    if fixed.total_file_size as usize != bytes.len() {
        return Err(ReadError::Size { said: fixed.total_file_size, length: bytes.len() });
    }
    let (offset, size) = (fixed.variable_header_offset, fixed.variable_header_size);
    let start = offset as usize;
    let area = start.checked_add(size as usize).filter(|_| start >= fixed_len && start.is_multiple_of(8));
    let Some((data, variable)) = area.and_then(|end| Some((end, bytes.get(start..end)?))) else {
        return Err(ReadError::Area { offset, size });
    };
    let mut checksum = crc32fast::Hasher::new();
    checksum.update(&bytes[..CHECKSUM.start]);
    checksum.update(&[0; 4]);
    checksum.update(&bytes[CHECKSUM.end..fixed_len]);
    checksum.update(variable);
    let computed = checksum.finalize();
    if computed != fixed.checksum {
        return Err(ReadError::Checksum { said: fixed.checksum, computed });
    }

    let headers = variable_headers(bytes, start..data, MOST_HEADERS)?;
    Ok(Frame { revision, fixed_len, headers, start, data })
}

/// Reads the variable headers in an area of a file, of which there may be `most`.
fn variable_headers(
    bytes: &[u8],
    area: std::ops::Range<usize>,
    most: usize,
) -> Result<Vec<RawHeader<'_>>, ReadError> {
    let std::ops::Range { start: mut at, end: data } = area;
    let mut headers = Vec::new();
    while at < data {
        if headers.len() == most {
            return Err(ReadError::TooMany { most });
        }
        let (typ, is_optional, wrong) = match IGVM_VHS_VARIABLE_HEADER::read_from_prefix(&bytes[at..data]) {
            Ok((prefix, _)) => {
                let typ = IgvmVariableHeaderType(prefix.typ.0 & !IGVM_VHT_OPTIONAL_BIT);
                let is_optional = prefix.typ.0 & IGVM_VHT_OPTIONAL_BIT != 0;
                let length = prefix.length as usize;
                let left = data - at - PREFIX;
                match length.checked_next_multiple_of(8).filter(|padded| *padded <= left) {
                    Some(padded) => {
                        let (content, rest) = bytes[at + PREFIX..][..padded].split_at(length);
                        let end = at + PREFIX + padded;
                        headers.push(RawHeader { typ, is_optional, at, end, content });
                        at = end;
                        if rest.iter().all(|byte| *byte == 0) {
                            continue;
                        }
                        (typ, is_optional, HeaderError::Padding)
                    }
                    None => (typ, is_optional, HeaderError::Cut { length: prefix.length, left }),
                }
            }
            Err(_) => {
                let left = data - at;
                (IgvmVariableHeaderType::INVALID, false, HeaderError::Cut { length: PREFIX as u32, left })
            }
        };
        // One with wrong padding is among them already.
        let number = headers.len() - usize::from(wrong == HeaderError::Padding);
        let at = headers.get(number).map_or(at, |header| header.at);
        return Err(ReadError::Header { number, at, name: name(typ, is_optional), source: wrong });
    }
    Ok(headers)
}

/// Returns what a type of header is called.
fn name(typ: IgvmVariableHeaderType, is_optional: bool) -> String {
    let debug = format!("{typ:?}");
    let known = debug.strip_prefix("IGVM_VHT_").map(|name| name.to_lowercase().replace('_', " "));
    let name = known.unwrap_or_else(|| format!("type {:#x}", typ.0));
    if is_optional { format!("{name}, optional") } else { name }
}

/// What a loader does one after the other.
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum Stage {
    Platform,
    Initialization,
    Directive,
}

/// Reads a file.
pub(crate) fn parse(bytes: &[u8]) -> Result<File<'_>, ReadError> {
    let frame = raw_headers(bytes)?;
    let mut file = File {
        revision: frame.revision,
        platforms: Vec::new(),
        initializations: Vec::new(),
        directives: Vec::new(),
    };
    let mut stage = Stage::Platform;
    let mut seen = Seen::default();
    for (number, header) in frame.headers.iter().enumerate() {
        let wrong = |source| ReadError::Header {
            number,
            at: header.at,
            name: name(header.typ, header.is_optional),
            source,
        };
        let own = match header.typ.0 {
            typ if IGVM_VHT_RANGE_PLATFORM.contains(&typ) => Stage::Platform,
            typ if IGVM_VHT_RANGE_INIT.contains(&typ) => Stage::Initialization,
            typ if IGVM_VHT_RANGE_DIRECTIVE.contains(&typ) => Stage::Directive,
            // What nobody knows is of no stage.
            typ if header.is_optional => {
                file.directives.push(Directive::Unknown(typ));
                continue;
            }
            _ => return Err(wrong(HeaderError::Type)),
        };
        if own < stage {
            return Err(wrong(HeaderError::Order));
        }
        stage = own;
        let data = headers::DataArea { bytes, start: frame.data };
        match own {
            Stage::Platform => match headers::platform(&file, header).map_err(wrong)? {
                Some(platform) => file.platforms.push(platform),
                None => file.initializations.push(Initialization::Unknown(header.typ.0)),
            },
            Stage::Initialization => {
                file.initializations.push(headers::initialization(header, data).map_err(wrong)?);
            }
            Stage::Directive => {
                let directive = headers::directive(&file, &mut seen, header, data).map_err(wrong)?;
                file.directives.push(directive);
            }
        }
    }
    if file.platforms.is_empty() { Err(ReadError::NoPlatform) } else { Ok(file) }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn headers_are_counted() {
        let bytes = [0; 4 * PREFIX];
        let of = |most: usize| variable_headers(&bytes, 0..bytes.len(), most).map(|headers| headers.len());
        assert_eq!(of(4), Ok(4));
        assert_eq!(of(3), Err(ReadError::TooMany { most: 3 }));
    }
}
