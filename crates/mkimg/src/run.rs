//! Carries out a specification.

use std::fs::{self, File};
use std::path::Path;

use crate::compress::Compressor;
use crate::cpio::{Archive, Selection};
use crate::error::Error;
use crate::files::Directory;
use crate::spec::{InitramfsSpec, ModulesSpec, Spec};
use crate::{cpio, device_tree, extract, filesystem, modules, overlay, unpack};

/// Reads the specification in the file `path`.
pub fn read_spec(path: &Path) -> Result<Spec, Error> {
    let bytes = fs::read(path).map_err(|source| Error::Read { path: path.to_path_buf(), source })?;
    serde_json::from_slice(&bytes).map_err(|source| Error::Spec { path: path.to_path_buf(), source })
}

/// Does what `spec` says; its paths are relative to `directory`.
///
/// Outputs are created with the directories above them. After an error they are of no use.
pub fn run(spec: &Spec, directory: &Path) -> Result<(), Error> {
    let directory = Directory::new(directory);
    match spec {
        Spec::Layer(spec) => overlay::write(spec, &directory),
        Spec::Tree(spec) => unpack::write(spec, &directory),
        Spec::Initramfs(spec) => write_initramfs(spec, &directory),
        Spec::Extract(spec) => extract::write(spec, &directory),
        Spec::Modules(spec) => write_modules(spec, &directory),
        Spec::Ext4(spec) => filesystem::write(spec, &directory),
        Spec::DeviceTree(spec) => device_tree::write(spec, &directory),
    }
}

fn write_initramfs(spec: &InitramfsSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let tree = directory.merge(&spec.layers)?;
    let output = directory.create(&spec.output)?;
    let cpio_error = |source| Error::Cpio { path: output.path.clone(), source };
    let selection = Selection::new(&spec.include, &spec.exclude);
    let archive = Archive::plan(&tree, &selection, spec.epoch).map_err(cpio_error)?;
    let mut writer = output.writer();
    for prepended in &spec.prepend {
        let path = directory.path(prepended);
        let mut file = File::open(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let size = std::io::copy(&mut file, &mut writer).map_err(|source| output.error(source))?;
        // Kernels look for the next archive at a multiple of four.
        let padding = (size.next_multiple_of(4) - size) as usize;
        std::io::Write::write_all(&mut writer, &[0; 4][..padding]).map_err(|source| output.error(source))?;
    }
    let mut compressor = Compressor::new(spec.compression, writer).map_err(|source| output.error(source))?;
    archive.write(&mut compressor).map_err(|error| match error {
        cpio::Error::Write { source } => output.error(source),
        other => cpio_error(other),
    })?;
    let writer = compressor.finish().map_err(|source| output.error(source))?;
    output.close(writer)
}

fn write_modules(spec: &ModulesSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let epoch = i64::try_from(spec.epoch).map_err(|_| Error::Epoch { epoch: spec.epoch })?;
    let tree = directory.merge(&spec.layers)?;
    let builder = modules::collect(&tree, spec, epoch)?;
    overlay::write_builder(&builder, &directory.create(&spec.output)?)
}
