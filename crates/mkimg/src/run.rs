//! Carries out a specification.

use std::fs::{self, File};
use std::os::unix::fs::FileExt;
use std::path::Path;

use layer::Tree;

use crate::compress::Compressor;
use crate::cpio::{Archive, Selection};
use crate::error::Error;
use crate::files::{Directory, Output};
use crate::spec::{Compression, InitramfsSpec, ModulesSpec, Spec};
use crate::{
    budget, cpio, device_tree, disk, efi_variables, erofs, extract, fat, filesystem, grub, igvm, iso, lz4,
    modules, overlay, packit, sign, squashfs, uki, unpack, vdisk, verity,
};

/// Reads the specification in the file `path`.
pub fn read_spec(path: &Path) -> Result<Spec, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Spec { path: path.to_path_buf(), source })
}

/// Does what `spec` says; its paths are relative to `directory`. Returns what is worth telling of it, a line each.
///
/// Outputs are created with the directories above them. After an error they are of no use.
pub fn run(spec: &Spec, directory: &Path) -> Result<Vec<String>, Error> {
    let directory = Directory::new(directory);
    match spec {
        Spec::Initramfs(spec) => return write_initramfs(spec, &directory),
        Spec::DeviceTree(spec) => return device_tree::write(spec, &directory),
        Spec::DeviceTreeSources(spec) => return device_tree::compile::write(spec, &directory),
        Spec::Uki(spec) => return uki::write(spec, &directory),
        Spec::Igvm(spec) => return igvm::write(spec, &directory),
        Spec::Sign(spec) => return sign::run(spec, &directory),
        Spec::Verity(spec) => return verity::write(spec, &directory),
        Spec::Grub(spec) => return grub::write(spec, &directory),
        Spec::EfiVariables(spec) => efi_variables::write(spec, &directory),
        Spec::Layer(spec) => overlay::write(spec, &directory),
        Spec::Tree(spec) => unpack::write(spec, &directory),
        Spec::Extract(spec) => extract::write(spec, &directory),
        Spec::Modules(spec) => write_modules(spec, &directory),
        Spec::Ext4(spec) => filesystem::write(spec, &directory),
        Spec::Squashfs(spec) => squashfs::layers::write(spec, &directory),
        Spec::Erofs(spec) => erofs::layers::write(spec, &directory),
        Spec::Fat(spec) => {
            let mut notes = Vec::new();
            fat::write(spec, &directory, &mut |note| notes.push(note))?;
            return Ok(notes);
        }
        Spec::Iso(spec) => return iso::write(spec, &directory),
        Spec::Disk(spec) => disk::write(spec, &directory),
        Spec::Convert(spec) => vdisk::convert(spec, &directory),
        Spec::Blank(spec) => vdisk::blank(spec, &directory),
        Spec::Over(spec) => vdisk::over(spec, &directory),
        Spec::Budget(spec) => budget::check(spec, &directory),
        Spec::PackIt(spec) => packit::write(spec, &directory),
    }?;
    Ok(Vec::new())
}

/// How the archives begin that kernels unpack (`init/initramfs.c` and `lib/decompress.c` of Linux).
const ARCHIVES: [&[u8]; 9] = [
    b"070701",
    b"070702",
    &[0x1f, 0x8b],
    b"BZh",
    &[0xfd, b'7', b'z', b'X', b'Z', 0],
    &[0x5d, 0, 0],
    &[0x89, b'L', b'Z', b'O'],
    &lz4::MAGIC,
    &[0x28, 0xb5, 0x2f, 0xfd],
];

/// Writes an archive behind others, and tells its exact size.
fn write_initramfs(spec: &InitramfsSpec, directory: &Directory<'_>) -> Result<Vec<String>, Error> {
    let tree = directory.merge(&spec.layers)?;
    directory.produce(&spec.output, |output| write_archives(spec, &tree, output, directory))
}

fn write_archives(
    spec: &InitramfsSpec,
    tree: &Tree,
    output: &Output,
    directory: &Directory<'_>,
) -> Result<Vec<String>, Error> {
    let cpio_error = |source| Error::Cpio { path: output.path.clone(), source };
    let selection = Selection::new(&spec.include, &spec.exclude);
    let archive = Archive::plan(tree, &selection, spec.epoch).map_err(cpio_error)?;
    let mut writer = output.writer();
    let mut before = 0;
    for prepended in &spec.prepend {
        let path = directory.path(prepended);
        let mut file = File::open(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let mut start = [0; 8];
        let n_start =
            file.read_at(&mut start, 0).map_err(|source| Error::Read { path: path.clone(), source })?;
        if !ARCHIVES.iter().any(|archive| start[..n_start].starts_with(archive)) {
            return Err(Error::NotArchive { path });
        }
        let size = std::io::copy(&mut file, &mut writer).map_err(|source| output.error(source))?;
        // Kernels look for the next archive at a multiple of four.
        let padding = (size.next_multiple_of(4) - size) as usize;
        std::io::Write::write_all(&mut writer, &[0; 4][..padding]).map_err(|source| output.error(source))?;
        before += size + padding as u64;
    }
    let mut compressor = Compressor::new(spec.compression, writer).map_err(|source| output.error(source))?;
    archive.write(&mut compressor).map_err(|error| match error {
        cpio::Error::Write { source } => output.error(source),
        other => cpio_error(other),
    })?;
    let writer = compressor.finish().map_err(|source| output.error(source))?;
    output.close(writer)?;
    let size = output.file.metadata().map_err(|source| output.error(source))?.len();
    let name = output.path.file_name().unwrap_or_default().to_string_lossy();
    let before = if before > 0 { format!(", behind {before} of other archives") } else { String::new() };
    Ok(vec![format!(
        "{name} has {size} bytes: an archive of {}, {}{before}",
        archive.size(),
        how(spec.compression)
    )])
}

/// Says how an archive is compressed.
fn how(compression: Compression) -> &'static str {
    match compression {
        Compression::None => "not compressed",
        Compression::Gzip => "compressed by gzip",
        Compression::Zstd => "compressed by zstd",
        Compression::Xz => "compressed by xz",
        Compression::Lz4 => "compressed by LZ4",
    }
}

fn write_modules(spec: &ModulesSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let epoch = i64::try_from(spec.epoch).map_err(|_| Error::Epoch { epoch: spec.epoch })?;
    let tree = directory.merge(&spec.layers)?;
    let builder = modules::collect(&tree, spec, epoch)?;
    directory.produce(&spec.output, |output| overlay::write_builder(&builder, output))
}
