//! What ISO 9660 cannot be told.

use super::Checker;
use crate::disk::Bytes;
use crate::filesystem::Filesystem;
use crate::iso::{Iso, IsoTable, StartsFrom};
use crate::{Place, Problem, Spanned};

/// The most bytes of a volume id and a system id, and of the other texts.
const ID: usize = 32;
const TEXT: usize = 128;

impl Checker<'_> {
    pub(super) fn iso_filesystem(&mut self, filesystem: &Filesystem) {
        let keys = [
            ("size", filesystem.size.as_ref().map(|size| &size.place), "it is as large as what is in it"),
            ("uuid", filesystem.uuid.as_ref().map(|uuid| &uuid.place), "its UUID is a time: `iso.uuid`"),
        ];
        for (key, place, help) in keys {
            if let Some(place) = place {
                self.report(Problem::at(place, format!("`{key}` is not for ISO 9660")).help(help));
            }
        }
        if let Some(label) = &filesystem.label {
            self.iso_text(label, 1, ID);
        }
    }

    pub(super) fn iso(&mut self, iso: &Spanned<Iso>) {
        let texts = [
            (&iso.publisher, TEXT),
            (&iso.preparer, TEXT),
            (&iso.application, TEXT),
            (&iso.system, ID),
            (&iso.volume_set, TEXT),
        ];
        for (text, limit) in texts {
            if let Some(text) = text {
                self.iso_text(text, 0, limit);
            }
        }
        if let Some(bios) = &iso.bios {
            self.starts_from(&bios.place, bios.starts_from());
            if let Some(units) = &bios.load_units {
                self.within(units, 1..=0xffff);
            }
        }
        if let Some(efi) = &iso.efi {
            self.starts_from(&efi.place, efi.starts_from());
        }
        let Some(hybrid) = &iso.hybrid else { return };
        let code = Bytes { target: hybrid.target.as_ref(), file: hybrid.file.as_ref() };
        self.exclusive(&code);
        let code = code.target.map(|target| &target.place).or(code.file.map(|file| &file.place));
        if let Some(place) = code.filter(|_| iso.bios.is_none()) {
            self.report(
                Problem::at(place, "this boot code has nothing to load")
                    .help("it loads what a BIOS starts: name that as `iso.bios`"),
            );
        }
        let table = &hybrid.table;
        if table.value == IsoTable::Gpt && iso.efi.is_none() {
            self.report(
                Problem::at(&hybrid.place, "there is nothing to list as a partition")
                    .help("name what UEFI starts as `iso.efi`, or write `table = \"mbr\"`"),
            );
        }
        if let Some(signature) = &hybrid.signature {
            if table.value != IsoTable::Mbr {
                self.report(Problem::at(&signature.place, "only an old table has a `signature`"));
            } else if u32::try_from(signature.number()).is_err() {
                self.report(Problem::at(&signature.place, "a signature has 32 bits"));
            }
        }
    }

    fn starts_from(&mut self, place: &Place, from: StartsFrom<'_>) {
        let StartsFrom { bytes, path } = from;
        self.exclusive(&bytes);
        let other = bytes.target.map(|target| &target.place).or(bytes.file.map(|file| &file.place));
        match (other, path) {
            (Some(other), Some(path)) => self.report(
                Problem::at(&path.place, "it is on the image or comes from elsewhere, not both")
                    .related(other, "given here")
                    .help("keep one of them"),
            ),
            (None, None) => self.report(
                Problem::at(place, "there is nothing to start").help("name a `target`, a `file` or a `path`"),
            ),
            _ => {}
        }
    }

    fn exclusive(&mut self, bytes: &Bytes<'_>) {
        if let Some(target) = bytes.target {
            self.one_file(target, "what a machine starts");
        }
        if let (Some(target), Some(file)) = (bytes.target, bytes.file) {
            let problem = Problem::at(&file.place, "`target` and `file` exclude each other");
            self.report(problem.related(&target.place, "given here").help("keep one of them"));
        }
    }

    fn iso_text(&mut self, text: &Spanned<String>, least: usize, most: usize) {
        let is_printable = text.bytes().all(|byte| matches!(byte, b' '..=b'~'));
        if !(least..=most).contains(&text.len()) || !is_printable {
            self.report(
                Problem::at(&text.place, format!("`{}` cannot be there", text.escape_debug()))
                    .help(format!("it has {least} to {most} characters, all of them of ASCII")),
            );
        }
    }
}
