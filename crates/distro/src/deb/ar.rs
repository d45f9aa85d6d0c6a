//! Reads the `ar` archive that a .deb is, one member after another, never going back.
//!
//! Only what deb(5) allows: short names, decimal sizes. What the members mean is the caller's business.

use std::io::{self, Read};

/// The first bytes of every archive.
pub const MAGIC: &[u8; 8] = b"!<arch>\n";

const HEADER_SIZE: usize = 60;

/// Why the bytes are not an archive.
#[derive(Debug, thiserror::Error)]
pub enum ArError {
    /// The file does not begin as an archive does.
    #[error("it does not begin with `!<arch>`")]
    Magic,
    /// A header without its end marker, with a size that is no number, or a name that deb(5) does not allow.
    #[error("the member header at byte {offset} is damaged: {problem}")]
    Header {
        /// Where the header begins.
        offset: u64,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The file ends before the archive does.
    #[error("it ends in the middle of the member at byte {offset}")]
    Truncated {
        /// Where the member's header begins.
        offset: u64,
    },
    /// The file could not be read.
    #[error("could not read it")]
    Read(#[source] io::Error),
}

/// Reads the members of an archive.
#[derive(Debug)]
pub struct Archive<R> {
    input: R,
    /// Where the next byte of `input` lies in the archive.
    position: u64,
    header_offset: u64,
    /// What the current member still has, and whether a padding byte follows it.
    remaining: u64,
    is_padded: bool,
}

/// What an archive says about a member.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Member {
    /// The name, without the padding and the slash that GNU ar adds.
    pub name: String,
    /// Bytes of content.
    pub size: u64,
}

impl<R: Read> Archive<R> {
    /// Starts reading; fails if `input` does not begin as an archive.
    pub fn new(mut input: R) -> Result<Archive<R>, ArError> {
        let mut magic = [0; MAGIC.len()];
        match read_full(&mut input, &mut magic).map_err(ArError::Read)? {
            n if n == magic.len() && magic == *MAGIC => {}
            _ => return Err(ArError::Magic),
        }
        let position = MAGIC.len() as u64;
        Ok(Archive { input, position, header_offset: position, remaining: 0, is_padded: false })
    }

    /// Skips what is left of the current member and returns the next one, or `None` at the end.
    pub fn next_member(&mut self) -> Result<Option<Member>, ArError> {
        let truncated = ArError::Truncated { offset: self.header_offset };
        let rest = self.remaining;
        let skipped = io::copy(&mut (&mut self.input).take(rest), &mut io::sink()).map_err(ArError::Read)?;
        self.position += skipped;
        self.remaining = 0;
        if skipped < rest {
            return Err(truncated);
        }
        if self.is_padded {
            let mut padding = [0; 1];
            // The padding behind the last member is left out by some writers.
            self.position += read_full(&mut self.input, &mut padding).map_err(ArError::Read)? as u64;
        }
        let mut header = [0; HEADER_SIZE];
        let n = read_full(&mut self.input, &mut header).map_err(ArError::Read)?;
        self.header_offset = self.position;
        self.position += n as u64;
        match n {
            0 => return Ok(None),
            HEADER_SIZE => {}
            _ => return Err(ArError::Truncated { offset: self.header_offset }),
        }
        let member = parse_header(&header)
            .map_err(|problem| ArError::Header { offset: self.header_offset, problem })?;
        self.remaining = member.size;
        self.is_padded = member.size % 2 == 1;
        Ok(Some(member))
    }

    /// Returns the contents of the current member, or what is left of them.
    ///
    /// A file that ends early is an error of kind `UnexpectedEof`, never a short member.
    pub fn contents(&mut self) -> Contents<'_, R> {
        Contents { archive: self }
    }
}

/// Reads the contents of one member.
#[derive(Debug)]
pub struct Contents<'a, R> {
    archive: &'a mut Archive<R>,
}

impl<R: Read> Read for Contents<'_, R> {
    fn read(&mut self, buffer: &mut [u8]) -> io::Result<usize> {
        let remaining = self.archive.remaining;
        let wanted = usize::try_from(remaining).map_or(buffer.len(), |remaining| remaining.min(buffer.len()));
        if wanted == 0 {
            return Ok(0);
        }
        let n = self.archive.input.read(&mut buffer[..wanted])?;
        if n == 0 {
            let truncated = ArError::Truncated { offset: self.archive.header_offset };
            return Err(io::Error::new(io::ErrorKind::UnexpectedEof, truncated));
        }
        self.archive.remaining -= n as u64;
        self.archive.position += n as u64;
        Ok(n)
    }
}

fn parse_header(header: &[u8; HEADER_SIZE]) -> Result<Member, &'static str> {
    if header[58..] != *b"`\n" {
        return Err("it does not end with the two bytes that every header ends with");
    }
    let name = header[..16].trim_ascii_end();
    let name = name.strip_suffix(b"/").unwrap_or(name);
    if name.is_empty() || !name.iter().all(|byte| byte.is_ascii_graphic() && *byte != b'/') {
        return Err("its name is not one that a package may use");
    }
    let size = header[48..58].trim_ascii_end();
    if size.is_empty() || !size.iter().all(u8::is_ascii_digit) {
        return Err("its size is not a number");
    }
    // Ten digits always fit.
    let size = size.iter().fold(0_u64, |size, digit| size * 10 + u64::from(digit - b'0'));
    Ok(Member { name: String::from_utf8_lossy(name).into_owned(), size })
}

/// Reads until `buffer` is full or the input ends; returns how much came.
fn read_full(input: &mut impl Read, buffer: &mut [u8]) -> io::Result<usize> {
    let mut filled = 0;
    while filled < buffer.len() {
        match input.read(&mut buffer[filled..]) {
            Ok(0) => break,
            Ok(n) => filled += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    Ok(filled)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::deb::fixtures::ar;
    use proptest::prelude::*;

    fn render(bytes: &[u8]) -> String {
        let mut rendered = Vec::new();
        let mut archive = match Archive::new(bytes) {
            Ok(archive) => archive,
            Err(error) => return error.to_string(),
        };
        loop {
            match archive.next_member() {
                Ok(Some(member)) => {
                    let mut contents = String::new();
                    if let Err(error) = archive.contents().read_to_string(&mut contents) {
                        rendered.push(error.to_string());
                        break;
                    }
                    rendered.push(format!("{}={contents}", member.name));
                }
                Ok(None) => break,
                Err(error) => {
                    rendered.push(error.to_string());
                    break;
                }
            }
        }
        rendered.join(" ")
    }

    #[track_caller]
    fn check(bytes: &[u8], expected: &str) {
        assert_eq!(render(bytes), expected);
    }

    #[test]
    fn members_come_in_order() {
        let good = ar(&[("debian-binary", b"2.0\n"), ("odd/", b"abc"), ("empty", b"")]);
        check(&good, "debian-binary=2.0\n odd=abc empty=");
        check(MAGIC, "");
        // The padding behind the last member may be missing.
        check(&ar(&[("odd", b"abc")])[..8 + 60 + 3], "odd=abc");
    }

    #[test]
    fn members_that_are_not_read_are_skipped() {
        let bytes = ar(&[("first", b"abc"), ("second", b"de")]);
        let mut archive = Archive::new(&bytes[..]).unwrap();
        archive.next_member().unwrap();
        assert_eq!(archive.next_member().unwrap().unwrap().name, "second");
        assert!(archive.next_member().unwrap().is_none());
    }

    #[test]
    fn damage_is_found() {
        let good = ar(&[("name", b"abcd")]);
        check(b"", "it does not begin with `!<arch>`");
        check(b"!<arch>X", "it does not begin with `!<arch>`");
        check(&good[..good.len() - 1], "it ends in the middle of the member at byte 8");
        check(&good[..30], "it ends in the middle of the member at byte 8");
        let damage = |at: usize, byte: u8| {
            let mut bytes = good.clone();
            bytes[8 + at] = byte;
            render(&bytes)
        };
        let header = "the member header at byte 8 is damaged: ";
        assert_eq!(damage(48, b'-'), format!("{header}its size is not a number"));
        assert_eq!(damage(49, b' '), "name=abcd");
        assert_eq!(damage(49, b'x'), format!("{header}its size is not a number"));
        assert_eq!(damage(0, 0), format!("{header}its name is not one that a package may use"));
        assert_eq!(damage(1, b'/'), format!("{header}its name is not one that a package may use"));
        assert_eq!(
            damage(59, b'x'),
            format!("{header}it does not end with the two bytes that every header ends with")
        );
        check(&ar(&[("//", b"long names")]), &format!("{header}its name is not one that a package may use"));
        let mut huge = good.clone();
        huge[8 + 48..8 + 58].copy_from_slice(b"9999999999");
        check(&huge, "it ends in the middle of the member at byte 8");
    }

    proptest! {
        #[test]
        fn any_bytes_are_read_or_refused(mut bytes in prop::collection::vec(any::<u8>(), 0..200), cut in 0_usize..140) {
            let good = ar(&[("a", b"abc"), ("b", b"d")]);
            render(&bytes);
            bytes.splice(0..0, good[..cut.min(good.len())].iter().copied());
            render(&bytes);
        }
    }
}
