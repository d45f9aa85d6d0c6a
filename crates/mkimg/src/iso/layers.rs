//! Makes ISO 9660 images of merged layers.

use std::fs::{self, File};
use std::path::Path;

use layer::{ReadAt, Tree};

use super::eltorito::{BootEntry, Platform};
use super::error::Error;
use super::hybrid::{Hybrid, HybridTable, MbrPatch};
use super::options::{Labels, Options, Uuid};
use super::tree::Builder;
use crate::Sink;
use crate::contents::Contents as _;
use crate::disk::Guid;
use crate::files::Directory;
use crate::sink::SparseFile;
use crate::spec::{
    IsoBootSpec, IsoHybridSpec, IsoImageSpec, IsoPatchSpec, IsoPlatformSpec, IsoSpec, IsoTableSpec,
};
use crate::tree::{HardLinks, Node, Timestamp};

/// An image that machines start from.
pub struct BootImage<'a> {
    /// The firmware that it is for.
    pub platform: Platform,
    /// Where it is.
    pub source: BootSource<'a>,
    /// See [`BootEntry::load_units`].
    pub load_units: Option<u16>,
    /// See [`BootEntry::info_table`].
    pub info_table: bool,
    /// See [`BootEntry::grub2`].
    pub grub2: bool,
}

/// Where an image is that machines start from.
pub enum BootSource<'a> {
    /// In the tree, at this path.
    Path(&'a str),
    /// Elsewhere: it will be on the image and in no directory.
    Hidden(&'a dyn ReadAt),
}

/// Writes the image that `spec` describes. Returns what is lost on the way.
pub(crate) fn write(spec: &IsoSpec, directory: &Directory<'_>) -> Result<Vec<String>, crate::Error> {
    let tree = directory.merge(&spec.layers)?;
    let read_error = |path: &Path, source| crate::Error::Read { path: path.to_path_buf(), source };
    let mut files = Vec::new();
    for boot in &spec.boot {
        files.push(match &boot.image {
            IsoImageSpec::Path(_) => None,
            IsoImageSpec::File(file) => {
                let path = directory.path(file);
                Some(File::open(&path).map_err(|source| read_error(&path, source))?)
            }
        });
    }
    let code = match spec.hybrid.as_ref().and_then(|hybrid| hybrid.code.as_ref()) {
        None => Vec::new(),
        Some(file) => {
            let path = directory.path(file);
            fs::read(&path).map_err(|source| read_error(&path, source))?
        }
    };
    let options = options(spec, code)?;
    let boot: Vec<BootImage<'_>> =
        spec.boot.iter().zip(&files).map(|(boot, file)| image(boot, file.as_ref())).collect();
    directory.produce(&spec.output, |output| {
        let mut sink = SparseFile::new(&output.file);
        write_iso(&tree, options, &boot, &mut sink)
            .map_err(|source| crate::Error::Iso { path: output.path.clone(), source })?;
        sink.finish().map(drop).map_err(|source| output.error(source))
    })?;
    let n_lost = tree.items().filter(|item| !item.node.metadata.xattrs.is_empty()).count();
    let n_paths = tree.path_count();
    let lost = format!("an ISO keeps no extended attributes: {n_lost} of {n_paths} paths have such");
    Ok(if n_lost > 0 { vec![lost] } else { Vec::new() })
}

fn options(spec: &IsoSpec, code: Vec<u8>) -> Result<Options, crate::Error> {
    let failed = |source| crate::Error::Iso { path: spec.output.clone().into(), source };
    let seconds = i64::try_from(spec.epoch).map_err(|_| crate::Error::Epoch { epoch: spec.epoch })?;
    let epoch = Timestamp::new(seconds, 0).ok_or(crate::Error::Epoch { epoch: spec.epoch })?;
    let mut options = Options::new(&spec.volume_id, epoch);
    let text = |text: &Option<String>| text.clone().unwrap_or_default();
    options.labels = Labels {
        system: spec.system.clone().unwrap_or(options.labels.system),
        volume_set: text(&spec.volume_set),
        publisher: text(&spec.publisher),
        preparer: text(&spec.preparer),
        application: text(&spec.application),
    };
    if let Some(text) = &spec.uuid {
        let uuid = Uuid::parse(text).ok_or_else(|| failed(Error::Uuid { text: text.clone() }))?;
        options.uuid = Some(uuid);
    }
    options.joliet = spec.joliet.unwrap_or(true);
    options.hybrid = spec.hybrid.as_ref().map(|hybrid| self::hybrid(hybrid, code)).transpose()?;
    Ok(options)
}

fn hybrid(spec: &IsoHybridSpec, code: Vec<u8>) -> Result<Hybrid, crate::Error> {
    let patch = match spec.patch {
        None => MbrPatch::None,
        Some(IsoPatchSpec::Grub2) => MbrPatch::Grub2,
        Some(IsoPatchSpec::Isolinux) => MbrPatch::Isolinux,
    };
    let table = match &spec.table {
        None => HybridTable::None,
        Some(IsoTableSpec::Mbr { signature }) => HybridTable::Mbr { signature: *signature },
        Some(IsoTableSpec::Gpt { guid }) => {
            let parsed = Guid::parse(guid).ok_or_else(|| crate::Error::Uuid { text: guid.clone() })?;
            HybridTable::Gpt { guid: parsed }
        }
    };
    Ok(Hybrid { code, patch, table })
}

fn image<'a>(spec: &'a IsoBootSpec, file: Option<&'a File>) -> BootImage<'a> {
    let source = match (&spec.image, file) {
        (_, Some(file)) => BootSource::Hidden(file),
        (IsoImageSpec::Path(path) | IsoImageSpec::File(path), None) => BootSource::Path(path),
    };
    BootImage {
        platform: match spec.platform {
            IsoPlatformSpec::Bios => Platform::Bios,
            IsoPlatformSpec::Efi => Platform::Efi,
        },
        source,
        load_units: spec.load_units,
        info_table: spec.info_table,
        grub2: spec.grub2,
    }
}

/// Writes the file system that has everything in `tree` but for extended attributes, and from which machines start as
/// `boot` says. The root belongs to root, has mode 755 and the file system's time.
pub fn write_iso(
    tree: &Tree,
    options: Options,
    boot: &[BootImage<'_>],
    sink: &mut dyn Sink,
) -> Result<(), Error> {
    let mut builder = Builder::new(options)?;
    let contents = builder.declare(tree, HardLinks::Kept, |_, _, _| Ok::<_, Error>(()))?;
    let mut hidden: Vec<(Node, &dyn ReadAt)> = Vec::new();
    for image in boot {
        let node = match image.source {
            BootSource::Path(path) => builder
                .find(path.as_bytes())
                .ok_or_else(|| Error::BootImage { path: path.to_owned(), what: "not in the layers" })?,
            BootSource::Hidden(source) => {
                let failed = |source| Error::Contents { path: "the boot image".to_owned(), source };
                let node = builder.hidden(source.size().map_err(failed)?)?;
                hidden.push((node, source));
                node
            }
        };
        let BootImage { platform, load_units, info_table, grub2, .. } = *image;
        builder.boot(BootEntry { platform, image: node, load_units, info_table, grub2 })?;
    }
    let mut read =
        |node: Node, offset: u64, buffer: &mut [u8]| match hidden.iter().find(|(known, _)| *known == node) {
            Some((_, source)) => source.read_exact_at(buffer, offset),
            None => contents.read(node, offset, buffer),
        };
    builder.seal()?.write(&mut read, sink)
}
