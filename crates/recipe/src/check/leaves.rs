//! What targets leave in their output directories.

use crate::scalar::{Name, OutputPath};
use crate::{Spanned, Target};

/// What a target leaves.
pub(crate) enum Leaves<'a> {
    /// Always these files; the first is the main one.
    Files(Vec<String>),
    /// What a command declares, which may be directories.
    Declared(&'a [Spanned<OutputPath>]),
    /// What is known only when its source is.
    Unknown,
}

/// Returns what the target of that name leaves in its output directory.
pub(crate) fn leaves<'a>(name: &Name, target: &'a Target) -> Leaves<'a> {
    match target {
        Target::Command(command) => Leaves::Declared(&command.outputs),
        Target::Cargo(cargo) => Leaves::Files(cargo.bins.iter().map(|bin| bin.as_str().to_owned()).collect()),
        Target::Make(make) => Leaves::Files(make.files.keys().map(|path| path.as_str().to_owned()).collect()),
        Target::Xbuild(_) => Leaves::Unknown,
        Target::Rootfs(_) => Leaves::Files(vec!["rootfs.tar".to_owned()]),
        Target::Initramfs(_) => Leaves::Files(vec!["initramfs.img".to_owned()]),
        Target::Filesystem(filesystem) => {
            Leaves::Files(vec![format!("{name}.{}", filesystem.r#type.as_str())])
        }
        Target::Disk(disk) => {
            let formats = disk.written().into_iter().map(|format| format.file(name));
            Leaves::Files(formats.chain([format!("{name}.map.txt")]).collect())
        }
        Target::Convert(convert) => {
            Leaves::Files(convert.written().into_iter().map(|format| format.file(name)).collect())
        }
        Target::Kernel(kernel) => {
            let mut files = vec![
                kernel.built_for().image(),
                "vmlinux",
                "System.map",
                "config",
                "defconfig",
                "modules.tar",
            ];
            files.extend(kernel.dtbs.then_some("dtbs"));
            files.extend(kernel.headers.then_some("headers"));
            Leaves::Files(files.into_iter().map(str::to_owned).collect())
        }
        Target::Dtb(_) => Leaves::Files(vec![format!("{name}.dtb"), format!("{name}.dts")]),
        Target::Uki(_) => Leaves::Files(vec![format!("{name}.efi"), format!("{name}.txt")]),
        Target::Igvm(_) => Leaves::Files(vec![format!("{name}.igvm"), format!("{name}.txt")]),
        Target::Signed(_) => Leaves::Files(vec![format!("{name}.efi")]),
        Target::EfiVariables(_) => Leaves::Files(vec![format!("{name}.fd")]),
        Target::Verity(verity) => Leaves::Files(verity.leaves(name).into()),
        Target::Grub(grub) => Leaves::Files(grub.leaves()),
        Target::KernelPackage(_) => Leaves::Files(["vmlinuz", "config"].map(str::to_owned).to_vec()),
        Target::Extract(extract) => {
            Leaves::Files(extract.files.keys().map(|path| path.as_str().to_owned()).collect())
        }
    }
}

/// Returns the file that a reference to the target alone means; none means all that it leaves.
pub(crate) fn main_file(name: &Name, target: &Target) -> Option<String> {
    match leaves(name, target) {
        Leaves::Declared([only]) => Some(only.as_str().to_owned()),
        Leaves::Declared(_) | Leaves::Unknown => None,
        Leaves::Files(files) => match target {
            Target::Extract(_) | Target::Cargo(_) | Target::Make(_) if files.len() != 1 => None,
            _ => files.into_iter().next(),
        },
    }
}
