//! A file system as text: what `inspect` shows and snapshots keep.

use std::collections::BTreeMap;
use std::fmt::Write;

use layer::ReadAt;

use super::date::shown;
use super::error::ReadError;
use super::read::{Reader, View};
use super::record::Extent;
use super::walk::{Content, Visit};
use crate::sink::{HashSink, Sink};

impl<R: ReadAt> Reader<R> {
    /// Describes the whole file system: what the descriptor says, what machines start from, and a line for each path
    /// with a digest of the content. What is not shown is checked: a file system that [`Reader::check`] refuses has
    /// no description.
    pub fn dump(&self) -> Result<String, ReadError> {
        self.check()?;
        let volume = &self.primary;
        let mut text = String::new();
        line(
            &mut text,
            format_args!(
                "iso9660 `{}`, {} sectors{}{}, made {}, uuid {}",
                self.volume_id(),
                volume.sectors,
                if self.has(View::RockRidge) { ", Rock Ridge" } else { "" },
                if self.has(View::Joliet) { ", Joliet" } else { "" },
                shown(&volume.bytes[813..829]),
                shown(&volume.bytes[830..846]),
            ),
        );
        let labels = [
            ("system", 8, 40),
            ("volume set", 190, 318),
            ("publisher", 318, 446),
            ("preparer", 446, 574),
            ("application", 574, 702),
        ];
        for (what, from, to) in labels {
            let said = volume.text(from, to);
            if !said.is_empty() {
                line(&mut text, format_args!("{what} `{said}`"));
            }
        }
        if let Some(catalog) = self.catalog() {
            line(&mut text, format_args!("boot catalog at {catalog}"));
        }
        for entry in self.boot() {
            let platform = match entry.platform {
                0 => "bios".to_owned(),
                0xef => "efi".to_owned(),
                other => format!("platform {other:#x}"),
            };
            line(
                &mut text,
                format_args!(
                    "boot {platform} at {}, {} units of 512, media {}{}",
                    entry.sector,
                    entry.units,
                    entry.media,
                    if entry.is_bootable { "" } else { ", not bootable" }
                ),
            );
        }
        let mut hashes = BTreeMap::new();
        self.walk(View::RockRidge, &mut |visit| {
            let described = self.describe(visit, &mut hashes)?;
            line(&mut text, format_args!("{described}"));
            Ok(())
        })?;
        self.walk(View::Joliet, &mut |visit| {
            let extent = match &visit.entry.content {
                Content::Directory(extent) => Some(*extent),
                Content::File(extents) => extents.first().copied(),
                _ => None,
            };
            let at = extent.map(|extent| format!(" at {}", extent.sector)).unwrap_or_default();
            line(&mut text, format_args!("joliet {}{at}", visit.path.escape_ascii()));
            Ok(())
        })?;
        Ok(text)
    }

    /// Describes what is at a path. `hashes` has those of the files that were read, by their first extent: as the file
    /// system was checked, whoever has the same is another name of the file.
    fn describe(
        &self,
        visit: &Visit<'_>,
        hashes: &mut BTreeMap<Extent, String>,
    ) -> Result<String, ReadError> {
        let entry = visit.entry;
        let kind = match &entry.content {
            Content::Directory(extent) => format!("directory at {} size {}", extent.sector, extent.size),
            Content::File(extents) => self.describe_file(extents, hashes)?,
            Content::Symlink(target) => format!("symlink -> {}", target.escape_ascii()),
            Content::CharDevice(major, minor) => format!("char {major}:{minor}"),
            Content::BlockDevice(major, minor) => format!("block {major}:{minor}"),
            Content::Fifo => "fifo".to_owned(),
            Content::Socket => "socket".to_owned(),
        };
        let serial = entry.serial.map(|serial| format!(" serial {serial}")).unwrap_or_default();
        Ok(format!(
            "{} {:04o} {}:{} links {}{serial} mtime {} {kind}",
            visit.path.escape_ascii(),
            entry.mode,
            entry.uid,
            entry.gid,
            entry.links,
            entry.mtime,
        ))
    }

    fn describe_file(
        &self,
        extents: &[Extent],
        hashes: &mut BTreeMap<Extent, String>,
    ) -> Result<String, ReadError> {
        let size: u64 = extents.iter().map(|extent| u64::from(extent.size)).sum();
        let Some(first) = extents.iter().find(|extent| extent.size > 0) else {
            return Ok("file size 0".to_owned());
        };
        let digest = match hashes.get(first) {
            Some(digest) => digest,
            None => hashes.entry(*first).or_insert(self.digest(extents, size)?),
        };
        let at: Vec<String> = extents.iter().map(|extent| extent.sector.to_string()).collect();
        Ok(format!("file at {} size {size} sha256={digest}", at.join("+")))
    }

    fn digest(&self, extents: &[Extent], size: u64) -> Result<String, ReadError> {
        let mut hash = HashSink::default();
        let mut buffer = vec![0; 1 << 18];
        let mut done = 0;
        while done < size {
            let length = (size - done).min(buffer.len() as u64) as usize;
            self.read_data(extents, done, &mut buffer[..length])?;
            hash.data(done, &buffer[..length]).expect("memory takes everything");
            done += length as u64;
        }
        let (digest, _) = hash.finish();
        Ok(digest[..16].to_owned())
    }
}

fn line(text: &mut String, said: std::fmt::Arguments<'_>) {
    writeln!(text, "{said}").expect("a string takes everything");
}
