//! What images are expected to measure: the file `measurements.lock`, which is kept beside a recipe.
//!
//! Beside each digest it has what the digest is of, so that a digest that moved is not all there is to say.

use std::collections::{BTreeMap, VecDeque};
use std::fmt::Write as _;

use serde::Deserialize;
use sha2::{Digest as _, Sha256};
use toml_writer::{ToTomlValue as _, TomlStringBuilder};

use crate::file::{ContextFormat, Directive, File, PAGE};
use crate::map::{Range, RangeKind, ranges};
use crate::{MeasureError, PlatformKind, ZeroPages, hex, measure};

/// What is expected, by the name of the image and its platforms.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Lock {
    /// The images.
    pub images: BTreeMap<String, BTreeMap<PlatformKind, Expected>>,
}

/// What is expected of an image on a platform.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields, rename_all = "kebab-case")]
pub struct Expected {
    /// The digest, as small hexadecimal digits.
    pub digest: String,
    /// Whether pages of zeros are what the platform has for them.
    #[serde(default)]
    pub native_zero: bool,
    /// What the digest is of.
    pub parts: Vec<Part>,
}

/// Some pages that are measured.
#[derive(Clone, Debug, PartialEq, Eq, Deserialize)]
#[serde(deny_unknown_fields)]
pub struct Part {
    /// Where they are, as `0x` and hexadecimal digits.
    pub gpa: String,
    /// How many there are.
    pub pages: u64,
    /// What they are to the platform.
    pub kind: String,
    /// What they seem to contain.
    #[serde(default)]
    pub contents: Option<String>,
    /// What is in them, if that is measured.
    #[serde(default)]
    pub sha256: Option<String>,
}

impl Part {
    /// Returns what it is, for people.
    pub fn shown(&self) -> String {
        let contents = self.contents.as_ref().map_or(String::new(), |contents| format!(", {contents}"));
        let pages = if self.pages == 1 { "page" } else { "pages" };
        format!("{}: {} {pages} {}{contents}", self.gpa, self.pages, self.kind)
    }
}

/// Why a lock could not be read.
#[derive(Debug, thiserror::Error)]
pub enum LockError {
    /// No TOML, or other keys.
    #[error("the lock is not what `measure --update` writes")]
    Syntax(#[from] toml::de::Error),
    /// Written by another version.
    #[error("the lock has version {0}, of which 1 is known")]
    Version(u32),
    /// A platform that is not known.
    #[error("the lock has the platform {0}")]
    Platform(String),
    /// A digest that is not of small hexadecimal digits, or an address that is not of those behind `0x`.
    #[error("the lock has {0:?}, which is no digest or address as `measure --update` writes it")]
    Hexadecimal(String),
}

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Written {
    version: u32,
    #[serde(default)]
    image: BTreeMap<String, BTreeMap<String, Expected>>,
}

impl Lock {
    /// Reads a lock.
    ///
    /// # Errors
    ///
    /// When it is not what [`Lock::to_text`] returns.
    pub fn parse(text: &str) -> Result<Lock, LockError> {
        let Written { version, image } = toml::from_str(text)?;
        if version != 1 {
            return Err(LockError::Version(version));
        }
        let mut images = BTreeMap::new();
        for (name, platforms) in image {
            let mut expected = BTreeMap::new();
            for (platform, of_platform) in platforms {
                check(&of_platform)?;
                expected.insert(platform.parse().map_err(LockError::Platform)?, of_platform);
            }
            images.insert(name, expected);
        }
        Ok(Lock { images })
    }

    /// Returns the lock as a text that changes in the lines of what changed.
    pub fn to_text(&self) -> String {
        let mut text = String::from(
            "# What these images are expected to measure. `bootwright measure --update IMAGE` writes this file.\n\
             version = 1\n",
        );
        let quoted = |text: &str| TomlStringBuilder::new(text).as_basic().to_toml_value();
        for (name, platforms) in &self.images {
            for (platform, expected) in platforms {
                // Writing to a string never fails.
                let _ =
                    writeln!(text, "\n[image.{}.{platform}]\ndigest = \"{}\"", quoted(name), expected.digest);
                if expected.native_zero {
                    let _ = writeln!(text, "native-zero = true");
                }
                let _ = writeln!(text, "parts = [");
                for Part { gpa, pages, kind, contents, sha256 } in &expected.parts {
                    let _ = write!(text, "    {{ gpa = \"{gpa}\", pages = {pages}, kind = {}", quoted(kind));
                    if let Some(contents) = contents {
                        let _ = write!(text, ", contents = {}", quoted(contents));
                    }
                    if let Some(sha256) = sha256 {
                        let _ = write!(text, ", sha256 = {}", quoted(sha256));
                    }
                    let _ = writeln!(text, " }},");
                }
                let _ = writeln!(text, "]");
            }
        }
        text
    }
}

/// Refuses what [`Lock::to_text`] writes without looking at it, if it is something else.
fn check(expected: &Expected) -> Result<(), LockError> {
    let addresses = expected.parts.iter().map(|part| (&part.gpa, part.gpa.strip_prefix("0x")));
    let contents = expected.parts.iter().filter_map(|part| part.sha256.as_ref());
    let digests = contents.chain([&expected.digest]).map(|digest| (digest, Some(&digest[..])));
    let is_right = |digits: &str| {
        !digits.is_empty() && digits.bytes().all(|digit| matches!(digit, b'0'..=b'9' | b'a'..=b'f'))
    };
    let mut numbers = addresses.chain(digests);
    match numbers.find(|(_, digits)| !digits.is_some_and(is_right)) {
        None => Ok(()),
        Some((text, _)) => Err(LockError::Hexadecimal(text.clone())),
    }
}

/// Returns what a file measures on a platform, and what that is of.
///
/// # Errors
///
/// As [`measure()`].
pub fn expected(file: &File<'_>, kind: PlatformKind, zeros: ZeroPages) -> Result<Expected, MeasureError> {
    let digest = measure(file, kind, zeros)?.digest.to_string();
    let mut parts = Vec::new();
    if let Some(platform) = file.platform(kind) {
        // An address is nothing to SEV, and shared pages are nothing to any platform.
        let ranges = ranges(file, platform.mask);
        parts.extend(ranges.iter().filter(|range| range.kind != RangeKind::Shared).map(part));
        for directive in file.directives_for(platform) {
            if let Directive::VpContext(context) = directive
                && context.format == ContextFormat::Vbs
            {
                parts.push(Part {
                    gpa: format!("{:#x}", context.gpa),
                    pages: 0,
                    kind: "registers".to_owned(),
                    contents: None,
                    sha256: Some(hex(&Sha256::digest(context.data.bytes))),
                });
            }
        }
    }
    Ok(Expected { digest, native_zero: zeros == ZeroPages::Native, parts })
}

fn part(range: &Range<'_>) -> Part {
    let sha256 = range.kind.is_measured().then(|| {
        let zeros = [0; PAGE as usize];
        let mut digest = Sha256::new();
        for piece in &range.pieces {
            match piece.data {
                Some(data) => digest.update(data.bytes),
                None => (0..piece.size / PAGE).for_each(|_| digest.update(zeros)),
            }
        }
        hex(&digest.finalize())
    });
    Part {
        gpa: format!("{:#x}", range.gpa),
        pages: range.n_pages(),
        kind: range.kind.name().to_owned(),
        contents: range.contents.map(str::to_owned),
        sha256,
    }
}

/// How what is measured is not what was expected.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Moved {
    /// These pages are no longer there.
    Removed(Part),
    /// These pages were not there.
    Added(Part),
    /// At the same place there is something else.
    Changed(Part, Part),
    /// Pages of zeros count otherwise.
    NativeZero,
    /// Everything is there, and loaded in another order.
    Order,
}

/// Returns how `found` is not `expected`; nothing if the digests are the same.
pub fn moved(expected: &Expected, found: &Expected) -> Vec<Moved> {
    if expected.digest == found.digest {
        return Vec::new();
    }
    let mut moved = Vec::new();
    if expected.native_zero != found.native_zero {
        moved.push(Moved::NativeZero);
    }
    // The parts of each address and kind, in order.
    let mut left: BTreeMap<(&str, &str), VecDeque<(usize, &Part)>> = BTreeMap::new();
    for (idx, part) in found.parts.iter().enumerate() {
        left.entry((&part.gpa, &part.kind)).or_default().push_back((idx, part));
    }
    for before in &expected.parts {
        match left.get_mut(&(&before.gpa[..], &before.kind[..])).and_then(VecDeque::pop_front) {
            None => moved.push(Moved::Removed(before.clone())),
            Some((_, after)) if after != before => moved.push(Moved::Changed(before.clone(), after.clone())),
            Some(_) => {}
        }
    }
    let mut added: Vec<(usize, &Part)> = left.into_values().flatten().collect();
    added.sort_unstable_by_key(|(idx, _)| *idx);
    moved.extend(added.into_iter().map(|(_, part)| Moved::Added(part.clone())));
    if moved.is_empty() {
        moved.push(Moved::Order);
    }
    moved
}
