//! Writes and converts disks as a specification says.

use std::fs::{self, File};
use std::os::unix::fs::FileExt as _;
use std::path::{Path, PathBuf};

use super::contents::Contents;
use super::read::{Reader, recognize_file};
use super::stream::{Block, How, blocks};
use super::{Kind, default_threads, gcp, parallels, qcow2, vdi, vhd, vhdx, vmdk};
use crate::GapSink;
use crate::disk::{self, Guid};
use crate::error::Error;
use crate::files::{Directory, create_above};
use crate::sink::SparseFile;
use crate::spec::{
    BackingSpec, ConvertSpec, FormatSpec, InputFormat, Qcow2Compression, VmdkAdapter, VmdkVariant,
};

/// How much of a raw disk is copied at once.
const PIECE: usize = 1 << 20;
const USUAL_SECTOR: u64 = 512;

/// Writes a disk in the format `spec` to `output`.
pub(crate) fn write(
    contents: &Contents<'_>,
    sector_size: u64,
    spec: &FormatSpec,
    output: &str,
    directory: &Directory<'_>,
) -> Result<(), Error> {
    let (n_threads, earlier) = (default_threads(), directory.earlier());
    let output_name = output;
    let format = name(spec);
    let has_other_sectors = matches!(
        spec,
        FormatSpec::Vdi { .. }
            | FormatSpec::Vmdk { .. }
            | FormatSpec::Vhd { .. }
            | FormatSpec::Parallels { .. }
    );
    if sector_size != USUAL_SECTOR && has_other_sectors {
        return Err(Error::FormatSector { format, size: sector_size });
    }
    let target = Target { format, output, directory };
    match spec {
        FormatSpec::Raw => target.write(|sink| raw(contents, n_threads, sink)),
        FormatSpec::Qcow2 { cluster_size, compression, level, preallocated, backing } => {
            let below = backing.as_ref().map(|backing| Below::open(backing, directory)).transpose()?;
            let options = qcow2::Options {
                cluster_size: cluster_size.unwrap_or(qcow2::Options::default().cluster_size),
                compression: match compression {
                    Qcow2Compression::None => qcow2::Compression::None,
                    Qcow2Compression::Zlib => {
                        qcow2::Compression::Zlib(level.unwrap_or(qcow2::Compression::ZLIB_LEVEL))
                    }
                    Qcow2Compression::Zstd => {
                        qcow2::Compression::Zstd(level.unwrap_or(qcow2::Compression::ZSTD_LEVEL))
                    }
                },
                preallocated: *preallocated,
                backing: below.as_ref().map(|below| below.name.clone()),
            };
            let below = below.as_ref().map(|below| below.disk.contents()).transpose()?;
            target.write(|sink| {
                qcow2::write_reusing(contents, below.as_ref(), &options, n_threads, earlier, sink)
            })
        }
        FormatSpec::Vdi { fixed, uuid } => {
            let options = vdi::Options { fixed: *fixed, uuid: guid(uuid)?.0 };
            target.write(|sink| vdi::write(contents, &options, n_threads, sink))
        }
        FormatSpec::Vmdk { variant, adapter, uuid } => {
            let name = Path::new(output).file_name().unwrap_or_default().to_string_lossy().into_owned();
            let options = vmdk::Options {
                variant: match variant {
                    VmdkVariant::MonolithicSparse => vmdk::Variant::MonolithicSparse,
                    VmdkVariant::StreamOptimized => vmdk::Variant::StreamOptimized,
                },
                adapter: match adapter {
                    VmdkAdapter::Ide => vmdk::Adapter::Ide,
                    VmdkAdapter::BusLogic => vmdk::Adapter::BusLogic,
                    VmdkAdapter::LsiLogic => vmdk::Adapter::LsiLogic,
                },
                name,
                uuid: guid(uuid)?.0,
            };
            target.write(|sink| vmdk::write_reusing(contents, &options, n_threads, earlier, sink))
        }
        FormatSpec::Vhd { fixed, uuid, epoch } => {
            // This one stores the bytes in the order of the text.
            let uuid = guid(uuid)?.in_text_order();
            let options = vhd::Options { fixed: *fixed, uuid, epoch: *epoch };
            target.write(|sink| vhd::write(contents, &options, n_threads, sink))
        }
        FormatSpec::Vhdx { block_size, uuid } => {
            let options = vhdx::Options { block_size: *block_size, sector_size, uuid: guid(uuid)?.0 };
            target.write(|sink| vhdx::write(contents, &options, n_threads, sink))
        }
        FormatSpec::Parallels { uuid } => {
            let uuid = guid(uuid)?;
            let name = Path::new(output).file_stem().unwrap_or_default().to_string_lossy();
            let data = format!("{output}/{}", parallels::data_name(&name));
            Target { output: &data, ..target }.write(|sink| parallels::write(contents, n_threads, sink))?;
            let path = directory.path(output).join("DiskDescriptor.xml");
            let text = parallels::descriptor(&name, contents.size(), uuid);
            fs::write(&path, text).map_err(|source| Error::Write { path, source })
        }
        FormatSpec::Gcp { epoch } => {
            let output = directory.create(output)?;
            let options = gcp::Options { epoch: *epoch };
            let written = gcp::write_reusing(contents, &options, n_threads, earlier, output.writer());
            let writer =
                written.map_err(|source| Error::VirtualDisk { format, path: output.path.clone(), source })?;
            output.close(writer)
        }
    }?;
    directory.leave(output_name);
    Ok(())
}

/// Writes a disk in another format.
pub(crate) fn convert(spec: &ConvertSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let path = directory.path(&spec.input);
    let file = File::open(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let from = match spec.from {
        Some(from) => from,
        None => recognize(&path, &file)?,
    };
    let disk = open(&path, file, from, &directory.path(&spec.output))?;
    write(&disk.contents()?, USUAL_SECTOR, &spec.format, &spec.output, directory)
}

/// Where a disk goes.
pub(super) struct Target<'a> {
    pub(super) format: &'static str,
    pub(super) output: &'a str,
    pub(super) directory: &'a Directory<'a>,
}

impl Target<'_> {
    pub(super) fn write(
        &self,
        write: impl FnOnce(&mut dyn GapSink) -> Result<(), super::WriteError>,
    ) -> Result<(), Error> {
        let output = self.directory.create(self.output)?;
        let mut sink = SparseFile::new(&output.file);
        write(&mut sink).map_err(|source| Error::VirtualDisk {
            format: self.format,
            path: output.path.clone(),
            source,
        })?;
        sink.finish().map(drop).map_err(|source| output.error(source))
    }
}

fn raw(contents: &Contents<'_>, n_threads: usize, sink: &mut dyn GapSink) -> Result<(), super::WriteError> {
    let how = How::plain(PIECE as u64, n_threads);
    blocks(contents, &how, |number, block| {
        let Block::Plain(plain) = block else { return Ok(()) };
        Ok(plain.put_before(contents.size(), number * PIECE as u64, sink)?)
    })?;
    Ok(sink.zeros(contents.size(), 0)?)
}

fn name(spec: &FormatSpec) -> &'static str {
    match spec {
        FormatSpec::Raw => "raw",
        FormatSpec::Qcow2 { .. } => Kind::Qcow2.name(),
        FormatSpec::Vdi { .. } => Kind::Vdi.name(),
        FormatSpec::Vmdk { .. } => Kind::Vmdk.name(),
        FormatSpec::Vhd { .. } => Kind::Vhd.name(),
        FormatSpec::Vhdx { .. } => Kind::Vhdx.name(),
        FormatSpec::Parallels { .. } => Kind::Parallels.name(),
        FormatSpec::Gcp { .. } => "GCP",
    }
}

fn guid(text: &str) -> Result<Guid, Error> {
    Guid::parse(text).ok_or_else(|| Error::Uuid { text: text.to_owned() })
}

/// A disk that is read.
pub(super) enum Opened {
    Raw { path: PathBuf, file: File },
    Virtual { path: PathBuf, reader: Reader<'static> },
}

impl Opened {
    pub(super) fn contents(&self) -> Result<Contents<'_>, Error> {
        match self {
            Opened::Raw { path, file } => {
                Contents::of_file(file).map_err(|source| Error::Read { path: path.clone(), source })
            }
            Opened::Virtual { path, reader } => {
                reader.contents().map_err(|source| Error::ReadVirtualDisk { path: path.clone(), source })
            }
        }
    }

    /// Returns what QEMU calls its format.
    pub(super) fn format(&self) -> &'static str {
        match self {
            Opened::Raw { .. } => "raw",
            Opened::Virtual { reader, .. } => match reader.kind() {
                Kind::Qcow2 => "qcow2",
                Kind::Vdi => "vdi",
                Kind::Vmdk => "vmdk",
                Kind::Vhd => "vpc",
                Kind::Vhdx => "vhdx",
                Kind::Parallels => "parallels",
            },
        }
    }
}

/// The disk that a qcow2 lies over.
struct Below {
    disk: Opened,
    name: qcow2::Backing,
}

impl Below {
    fn open(spec: &BackingSpec, directory: &Directory<'_>) -> Result<Below, Error> {
        let path = directory.path(&spec.file);
        let file = File::open(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
        let from = recognize(&path, &file)?;
        if from == InputFormat::Gcp {
            return Err(Error::NotDiskImage { path });
        }
        let disk = open(&path, file, from, &path)?;
        let name = qcow2::Backing { name: spec.name.clone(), format: disk.format().to_owned() };
        Ok(Below { disk, name })
    }
}

/// Opens a disk. What cannot be read at any place is unpacked first, next to `output`, where it has no name.
pub(super) fn open(path: &Path, file: File, from: InputFormat, output: &Path) -> Result<Opened, Error> {
    let path = path.to_path_buf();
    let kind = match from {
        InputFormat::Raw => return Ok(Opened::Raw { path, file }),
        InputFormat::Gcp => {
            let unpacked = unnamed(output)?;
            let mut sink = SparseFile::new(&unpacked);
            gcp::unpack(std::io::BufReader::with_capacity(PIECE, file), &mut sink)
                .map_err(|source| Error::UnpackDisk { path: path.clone(), source })?;
            sink.finish().map_err(|source| Error::Write { path: output.to_path_buf(), source })?;
            return Ok(Opened::Raw { path, file: unpacked });
        }
        InputFormat::Qcow2 => Kind::Qcow2,
        InputFormat::Vdi => Kind::Vdi,
        InputFormat::Vmdk => Kind::Vmdk,
        InputFormat::Vhd => Kind::Vhd,
        InputFormat::Vhdx => Kind::Vhdx,
        InputFormat::Parallels => Kind::Parallels,
    };
    match Reader::open_as(kind, file) {
        Ok(reader) => Ok(Opened::Virtual { path, reader }),
        Err(source) => Err(Error::ReadVirtualDisk { path, source }),
    }
}

/// Returns a new file without a name, on the file system of `output`.
fn unnamed(output: &Path) -> Result<File, Error> {
    let path = output.with_extension("unpacked");
    let made = create_above(&path).and_then(|()| {
        let file = File::options().read(true).write(true).create(true).truncate(true).open(&path)?;
        fs::remove_file(&path)?;
        Ok(file)
    });
    made.map_err(|source| Error::Write { path, source })
}

/// Returns the format of a file, which is taken for a raw disk if it has a boot sector or a table of partitions.
fn recognize(path: &Path, file: &File) -> Result<InputFormat, Error> {
    let read_error = |source| Error::Read { path: path.to_path_buf(), source };
    let mut start = [0; 512];
    let length = file.read_at(&mut start, 0).map_err(read_error)?;
    if start[..length].starts_with(&[0x1f, 0x8b]) {
        return Ok(InputFormat::Gcp);
    }
    let kind =
        recognize_file(file).map_err(|source| Error::ReadVirtualDisk { path: path.to_path_buf(), source })?;
    Ok(match kind {
        Some(Kind::Qcow2) => InputFormat::Qcow2,
        Some(Kind::Vdi) => InputFormat::Vdi,
        Some(Kind::Vmdk) => InputFormat::Vmdk,
        Some(Kind::Vhd) => InputFormat::Vhd,
        Some(Kind::Vhdx) => InputFormat::Vhdx,
        Some(Kind::Parallels) => InputFormat::Parallels,
        None if start[510..] == [0x55, 0xaa] || disk::is_gpt(file).map_err(read_error)? => InputFormat::Raw,
        None => return Err(Error::NotDiskImage { path: path.to_path_buf() }),
    })
}
