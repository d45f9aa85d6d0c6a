//! Makes an IGVM file as a specification says.

use std::fmt::Write as _;
use std::fs;
use std::io::Write as _;

use launch::map::ranges;
use launch::{File, PlatformKind};

use super::build::{Built, Confidential, Guest, Snp, build};
use super::{Direct, Firmware, Flat, Hashed};
use crate::error::Error;
use crate::files::Directory;
use crate::spec::{IgvmDirectSpec, IgvmFirmwareSpec, IgvmSpec, IgvmStart};

/// Writes the file that `spec` describes, and what is in it as text. Returns what is worth telling.
pub(crate) fn write(spec: &IgvmSpec, directory: &Directory<'_>) -> Result<Vec<String>, Error> {
    let built = match &spec.start {
        IgvmStart::Firmware(firmware) => with_firmware(spec, firmware, directory)?,
        IgvmStart::Direct(kernel) => with_kernel(spec, kernel, directory)?,
    };
    let described = describe(&built);
    for (path, bytes) in [(&spec.output, &built.bytes[..]), (&spec.text_output, described.as_bytes())] {
        let output = directory.create(path)?;
        let mut writer = output.writer();
        writer.write_all(bytes).map_err(|source| output.error(source))?;
        output.close(writer)?;
    }
    let measured = built.measured.iter().map(|measured| {
        format!(
            "{}: {} {}",
            measured.platform,
            measured.platform.measurement().unwrap_or_default(),
            measured.digest
        )
    });
    Ok(measured.collect())
}

fn read(directory: &Directory<'_>, file: &str) -> Result<Vec<u8>, Error> {
    let path = directory.path(file);
    fs::read(&path).map_err(|source| Error::Read { path, source })
}

fn optional(directory: &Directory<'_>, file: Option<&String>) -> Result<Option<Vec<u8>>, Error> {
    file.map(|file| read(directory, file)).transpose()
}

fn with_firmware(
    spec: &IgvmSpec,
    firmware: &IgvmFirmwareSpec,
    directory: &Directory<'_>,
) -> Result<Built, Error> {
    let wrong = |source| Error::Igvm { path: directory.path(&spec.output), source };
    let image = read(directory, &firmware.image)?;
    let hashed = firmware.snp.as_ref().and_then(|snp| snp.kernel.as_ref());
    let files = match hashed {
        None => None,
        Some(hashed) => {
            Some((read(directory, &hashed.kernel)?, optional(directory, hashed.initrd.as_ref())?))
        }
    };
    let hashed = hashed.zip(files.as_ref()).map(|(hashed, (kernel, initrd))| Hashed {
        kernel,
        initrd: initrd.as_deref(),
        cmdline: &hashed.cmdline,
    });
    let snp = firmware.snp.as_ref().map(|snp| Snp {
        policy: snp.policy,
        n_processors: snp.processors,
        signature: snp.signature,
        hashed,
    });
    let confidential = Confidential { snp, tdx: firmware.tdx.as_ref().map(|tdx| tdx.memory) };
    let firmware = Guest::Firmware {
        firmware: Firmware::parse(&image).map_err(wrong)?,
        native: firmware.native,
        confidential,
    };
    build(&firmware).map_err(wrong)
}

fn with_kernel(spec: &IgvmSpec, kernel: &IgvmDirectSpec, directory: &Directory<'_>) -> Result<Built, Error> {
    let bytes = read(directory, &kernel.kernel)?;
    let initrd = optional(directory, kernel.initrd.as_ref())?;
    let direct = Direct {
        kernel: &bytes,
        flat: kernel.flat.as_ref().map(|flat| Flat { address: flat.address, entry: flat.entry }),
        initrd: initrd.as_deref(),
        cmdline: &kernel.cmdline,
        memory: kernel.memory,
    };
    build(&Guest::Direct(direct)).map_err(|source| Error::Igvm { path: directory.path(&spec.output), source })
}

/// Returns what is measured of a file, and what lies where.
fn describe(built: &Built) -> String {
    let mut text = String::new();
    for measured in &built.measured {
        let name = measured.platform.measurement().unwrap_or_default();
        let _ = writeln!(text, "{:<8} {name}  {}", measured.platform.name(), measured.digest);
        if measured.platform == PlatformKind::SevSnp {
            let _ = writeln!(text, "         # pages of zeros are the platform's own, as QEMU loads them");
        }
    }
    // A file that was just written can be read.
    let Ok(file) = File::parse(&built.bytes) else { return text };
    for platform in &file.platforms {
        let _ = writeln!(text, "{}# {}", if text.is_empty() { "" } else { "\n" }, platform.kind);
        for range in ranges(&file, platform.mask) {
            let (end, n_pages) = (range.gpa + (range.size - 1), range.n_pages());
            let pages = if n_pages == 1 { "page" } else { "pages" };
            let contents = range.contents.map(|contents| format!(", {contents}")).unwrap_or_default();
            let kind = range.kind.name();
            let _ =
                writeln!(text, "{:#014x}-{end:#014x}  {n_pages:>6} {pages:<5}  {kind}{contents}", range.gpa);
        }
    }
    text
}
