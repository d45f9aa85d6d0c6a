//! What firmware starts: files that are there, numbers that make sense, a GRUB that exists.

use super::Checker;
use crate::boot::{Grub, GrubFirmware, Uki, Verity};
use crate::scalar::Arch;
use crate::{Problem, Spanned, Target};

/// The size of a sector as a BIOS counts them.
const BIOS_SECTOR: u64 = 512;
/// The fields of a line of SBAT: name, generation, vendor, package, version, address.
const SBAT_FIELDS: usize = 6;

impl Checker<'_> {
    pub(super) fn uki(&mut self, uki: &Uki) {
        uki.files().for_each(|file| self.file(file, "a part of a unified kernel image"));
        uki.os_release.iter().for_each(|text| self.content(text));
        self.sbat(&uki.sbat);
        for text in uki.cmdline.iter().chain(&uki.uname).filter(|text| text.contains(['\0', '\n'])) {
            self.report(Problem::at(&text.place, "this is one line"));
        }
        let Some(root_hash) = &uki.root_hash else { return };
        let Some(target) = self.recipe.target.get(&root_hash.target) else { return };
        if !matches!(target.value, Target::Verity(_)) || root_hash.path.is_some() {
            self.report(
                Problem::at(
                    &root_hash.place,
                    format!("`{}` is not a target of kind `verity`", root_hash.value),
                )
                .related(&target.place, "this is it")
                .help("name the target whose root's hash the kernel is told"),
            );
        }
    }

    pub(super) fn verity(&mut self, verity: &Verity) {
        self.file(&verity.image, "an image");
        for size in [&verity.data_block_size, &verity.hash_block_size] {
            // Linux, drivers/md/dm-verity-target.c: a page is as much as most machines can take.
            if !size.is_power_of_two() || !(512..=4096).contains(&size.value) {
                self.report(
                    Problem::at(&size.place, format!("a block cannot have {} bytes", size.value))
                        .help("a block has 512, 1024, 2048 or 4096 bytes"),
                );
            }
        }
    }

    pub(super) fn grub(&mut self, target: &Spanned<Target>, grub: &Grub) {
        grub.config.iter().for_each(|config| self.content(config));
        self.sbat(&grub.sbat);
        let is_efi = grub.firmware.value == GrubFirmware::Efi;
        if !is_efi && grub.arch.value != Arch::Amd64 {
            self.report(
                Problem::at(&grub.firmware.place, format!("there is no BIOS for {}", grub.arch.as_str()))
                    .help("leave `firmware` out: it is `efi` then"),
            );
        }
        if let Some(line) = grub.sbat.first().filter(|_| !is_efi) {
            self.report(Problem::at(&line.place, "a BIOS knows no SBAT").help("leave `sbat` out"));
        }
        if let Some(at) = &grub.at {
            if grub.firmware.value != GrubFirmware::Bios {
                self.report(
                    Problem::at(&at.place, "only a BIOS' GRUB has to be told where it lies")
                        .help("leave `at` out, or say `firmware = \"bios\"`"),
                );
            } else if at.number() == 0 || !at.number().is_multiple_of(BIOS_SECTOR) {
                self.report(Problem::at(&at.place, "no sector begins there that GRUB could lie in").help(
                    "write a multiple of 512 behind the first sector: `17K` is behind a table of kind `gpt`",
                ));
            }
        }
        for module in &grub.modules {
            let is_name = |byte: u8| byte.is_ascii_alphanumeric() || byte == b'_' || byte == b'-';
            if module.is_empty() || module.starts_with('-') || !module.bytes().all(is_name) {
                let message = format!("`{}` is no module of GRUB", module.escape_debug());
                self.report(
                    Problem::at(&module.place, message).help("modules are like `part_gpt` and `fat`"),
                );
            }
        }
        if grub.modules.is_empty() {
            self.report(Problem::at(&target.place, "this GRUB could do nothing: it has no `modules`").help(
                "list what it needs to find the rest: `[\"part_gpt\", \"fat\", \"normal\", \"linux\"]`",
            ));
        }
        if grub.prefix.contains('\0') || grub.prefix.starts_with('-') {
            self.report(Problem::at(
                &target.place,
                format!("`prefix` cannot be `{}`", grub.prefix.escape_debug()),
            ));
        }
    }

    fn sbat(&mut self, lines: &[Spanned<String>]) {
        for line in lines {
            if line.split(',').count() != SBAT_FIELDS || line.contains('\n') || !line.is_ascii() {
                self.report(
                    Problem::at(&line.place, format!("`{}` is no line of SBAT", line.escape_debug())).help(
                        "write name, generation, vendor, package, version and address: \
                         `os.example,1,Example,os,1.0,https://example.org`",
                    ),
                );
            }
        }
    }
}
