//! Rock Ridge fields as they are found: of our images, of other tools, and damaged ones.

use std::collections::BTreeSet;

use layer::ReadAt;

use super::SECTOR;
use super::bytes::get_both_u32;
use super::date::decode_short;
use super::error::ReadError;
use super::read::Reader;
use super::record::Extent;

/// How often fields go on elsewhere at most; kernels stop at 32.
const MOST_AREAS: usize = 32;
/// The longest name that is put together.
const MOST_NAME: usize = 255;
/// The longest target of a link.
const MOST_TARGET: usize = 4095;

/// What the fields of a record say.
#[derive(Debug, Clone, Default)]
pub(super) struct System {
    pub(super) posix: Option<Posix>,
    pub(super) name: Option<Vec<u8>>,
    pub(super) target: Option<Vec<u8>>,
    pub(super) device: Option<(u32, u32)>,
    pub(super) modified: Option<i64>,
    /// Where the directory is that has been moved elsewhere, and stands here.
    pub(super) child: Option<u32>,
    /// It has been moved here and stands elsewhere.
    pub(super) is_moved: bool,
}

/// `PX`.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Posix {
    pub(super) mode: u32,
    pub(super) links: u32,
    pub(super) uid: u32,
    pub(super) gid: u32,
    pub(super) serial: Option<u32>,
}

/// Returns how many bytes are before the fields of records, if the fields of the root begin with what says that there
/// are any.
pub(super) fn shared(system: &[u8]) -> Option<usize> {
    // Some records have them behind 15 bytes of CD-ROM XA.
    [0, 15].into_iter().find_map(|at| match system.get(at..at + 7)? {
        [b'S', b'P', 7, 1, 0xbe, 0xef, skip] => Some(usize::from(*skip)),
        _ => None,
    })
}

/// Components of a link's target, as they come.
#[derive(Default)]
struct Target {
    bytes: Vec<u8>,
    /// Whether a slash comes before the next component.
    is_open: bool,
}

impl<R: ReadAt> Reader<R> {
    /// Reads the fields of a record, and where they go on.
    pub(super) fn system(&self, what: &str, fields: &[u8]) -> Result<System, ReadError> {
        let corrupt = |problem: &str| ReadError::corrupt(what, problem);
        let mut system = System::default();
        let mut target = None;
        let mut is_name_open = false;
        let mut fields = fields.to_vec();
        let mut seen = BTreeSet::new();
        loop {
            let mut next = None;
            let mut rest = &fields[..];
            while rest.len() >= 4 {
                let length = usize::from(rest[2]);
                // What is left may be padding.
                if rest[..2] == [0, 0] {
                    break;
                }
                let Some((field, others)) = rest.split_at_checked(length).filter(|_| length >= 4) else {
                    return Err(corrupt("a Rock Ridge field has an impossible length"));
                };
                let (signature, data) = (&field[..2], &field[4..]);
                let differ = || corrupt("the two forms of a number in a Rock Ridge field differ");
                let number = |at: usize| match data.len() {
                    length if length >= at + 8 => get_both_u32(data, at).ok_or_else(differ),
                    _ => Err(corrupt("a Rock Ridge field is too short")),
                };
                match signature {
                    b"CE" => {
                        let place = (number(0)?, number(8)?, number(16)?);
                        if next.replace(place).is_some() {
                            return Err(corrupt("its Rock Ridge fields go on in two places"));
                        }
                    }
                    b"ST" => break,
                    b"PX" => {
                        let serial = if data.len() >= 40 { Some(number(32)?) } else { None };
                        let [mode, links, uid, gid] = [number(0)?, number(8)?, number(16)?, number(24)?];
                        system.posix = Some(Posix { mode, links, uid, gid, serial });
                    }
                    b"PN" => system.device = Some(device(number(0)?, number(8)?)),
                    b"TF" => system.modified = modified(data).map_err(corrupt)?.or(system.modified),
                    b"NM" => {
                        let (flags, piece) =
                            data.split_first().ok_or_else(|| corrupt("a name is too short"))?;
                        // Those two stand for the directory and the one above.
                        if flags & 6 == 0 {
                            let name = match system.name.take() {
                                Some(before) if is_name_open => [&before[..], piece].concat(),
                                Some(_) => return Err(corrupt("it has two names")),
                                None => piece.to_vec(),
                            };
                            if name.len() > MOST_NAME {
                                return Err(corrupt("its name has more than 255 bytes"));
                            }
                            is_name_open = flags & 1 != 0;
                            system.name = Some(name);
                        }
                    }
                    b"SL" => target.get_or_insert_with(Target::default).add(data).map_err(corrupt)?,
                    b"CL" => system.child = Some(number(0)?),
                    b"RE" => system.is_moved = true,
                    _ => {}
                }
                rest = others;
            }
            let Some((sector, offset, length)) = next else { break };
            let (offset, length) = (offset as usize, length as usize);
            if offset.saturating_add(length) > SECTOR
                || seen.len() == MOST_AREAS
                || !seen.insert((sector, offset))
            {
                return Err(corrupt("its Rock Ridge fields go on in an impossible place"));
            }
            let area = self.bytes(what, Extent { sector, size: SECTOR as u32 })?;
            fields = area[offset..offset + length].to_vec();
        }
        system.target = target.map(|target| target.bytes);
        Ok(system)
    }
}

/// Takes a device's number apart as Linux does.
fn device(high: u32, low: u32) -> (u32, u32) {
    if high == 0 && low > 0xff { (low >> 8, low & 0xff) } else { (high, low) }
}

/// Returns the time of modification that `TF` has.
fn modified(data: &[u8]) -> Result<Option<i64>, &'static str> {
    let Some((flags, times)) = data.split_first() else { return Err("a field of times is too short") };
    let length = if flags & 0x80 != 0 { 17 } else { 7 };
    // Creation is first if it is there.
    let index = usize::from(flags & 1 != 0);
    if flags & 2 == 0 {
        return Ok(None);
    }
    let time = times.get(index * length..(index + 1) * length).ok_or("a field of times is too short")?;
    match <[u8; 7]>::try_from(time) {
        Ok(time) => decode_short(&time).map(Some).ok_or("it has an impossible time"),
        // Times with digits are said again by the record, without hundredths.
        Err(_) => Ok(None),
    }
}

impl Target {
    /// Appends the components of a field.
    fn add(&mut self, data: &[u8]) -> Result<(), &'static str> {
        let Some((_, mut rest)) = data.split_first() else { return Err("a link is too short") };
        while let [flags, length, others @ ..] = rest {
            let Some((piece, others)) = others.split_at_checked(usize::from(*length)) else {
                return Err("a component of a link has an impossible length");
            };
            if self.is_open {
                self.bytes.push(b'/');
            }
            match flags & !1 {
                0 => self.bytes.extend_from_slice(piece),
                2 => self.bytes.push(b'.'),
                4 => self.bytes.extend_from_slice(b".."),
                8 => self.bytes.push(b'/'),
                _ => return Err("a component of a link is of an unknown kind"),
            }
            self.is_open = flags & 1 == 0 && flags & 8 == 0;
            if self.bytes.len() > MOST_TARGET {
                return Err("the target of a link has more than 4095 bytes");
            }
            rest = others;
        }
        Ok(())
    }
}
