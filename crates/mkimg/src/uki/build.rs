//! Puts a unified kernel image together.

use crate::pe::{self, NewSection, Pe};

use super::release::kernel_release;

/// What an image is made of.
#[derive(Debug, Clone, Default)]
pub struct Parts<'a> {
    /// The program that starts the kernel.
    pub stub: &'a [u8],
    /// The kernel, itself a program for firmware.
    pub linux: &'a [u8],
    /// Archives for the kernel to start from, in this order.
    pub initrds: Vec<&'a [u8]>,
    /// What the kernel is told.
    pub cmdline: Option<&'a str>,
    /// What the system says of itself, as in `/usr/lib/os-release`.
    pub os_release: Option<&'a str>,
    /// The kernel's release. Without it, what the kernel says.
    pub uname: Option<&'a str>,
    /// A device tree.
    pub devicetree: Option<&'a [u8]>,
    /// A picture, in the format of Windows bitmaps.
    pub splash: Option<&'a [u8]>,
    /// Lines by which the image can be revoked, beside those of stub and kernel. Without any, the one that `ukify` has for
    /// all images.
    pub sbat: Vec<&'a str>,
}

/// An image, and what is worth telling of it.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Built {
    /// The image.
    pub bytes: Vec<u8>,
    /// A line each.
    pub notes: Vec<String>,
}

/// Why an image could not be made.
#[derive(Debug, thiserror::Error)]
pub enum BuildError {
    /// A part that is no program.
    #[error("the {what} is not a program for firmware")]
    NotProgram {
        /// Which part.
        what: &'static str,
        /// What is wrong with it.
        source: pe::ReadError,
    },
    /// A stub and a kernel that cannot run on the same machine.
    #[error("the stub is for {stub} and the kernel for {kernel}")]
    Machine {
        /// What the stub is for.
        stub: String,
        /// What the kernel is for.
        kernel: String,
    },
    /// An image that cannot have what is added.
    #[error("could not add sections to the stub")]
    Sections(#[from] pe::WriteError),
    /// A picture of another format.
    #[error("the splash is not a Windows bitmap")]
    NotBitmap,
    /// No device tree.
    #[error("the device tree is none that can be used")]
    DeviceTree(#[source] fdt::ReadError),
    /// A line that revocation could not understand.
    #[error("the line of SBAT `{0}` does not have six fields")]
    Sbat(String),
    /// A text that would end early.
    #[error("the {0} has a zero byte in it")]
    Zero(&'static str),
}

impl BuildError {
    /// Returns what the reader of the message can do about it.
    pub fn help(&self) -> Option<String> {
        let text = match self {
            BuildError::NotProgram { what: "kernel", .. } => {
                "firmware starts kernels that were built with `EFI_STUB=y`, and none that is compressed as a whole"
            }
            BuildError::NotProgram { .. } => {
                "the stub is `linuxx64.efi.stub` or `linuxaa64.efi.stub` of Debian's package `systemd-boot-efi`"
            }
            BuildError::Sbat(_) => {
                "write name, generation, vendor, package, version and address: \
                 `os.example,1,Example,os,1.0,https://example.org`"
            }
            _ => return None,
        };
        Some(text.to_owned())
    }
}

/// The first line of SBAT, which says what the others mean.
const SBAT_HEADER: &str = "sbat,1,SBAT Version,sbat,1,https://github.com/rhboot/shim/blob/main/SBAT.md";

/// What all images have in common, until the specification changes.
const SBAT_UKI: &str = "uki,1,UKI,uki,1,https://uapi-group.org/specifications/specs/unified_kernel_image/";

/// Puts the parts together.
pub fn build(parts: &Parts<'_>) -> Result<Built, BuildError> {
    let parse = |what, bytes| Pe::parse(bytes).map_err(|source| BuildError::NotProgram { what, source });
    let stub = parse("stub", parts.stub)?;
    let kernel = parse("kernel", parts.linux)?;
    if stub.machine() != kernel.machine() {
        return Err(BuildError::Machine { stub: stub.machine().short(), kernel: kernel.machine().short() });
    }
    if parts.splash.is_some_and(|splash| !splash.starts_with(b"BM")) {
        return Err(BuildError::NotBitmap);
    }
    if let Some(tree) = parts.devicetree {
        fdt::Tree::parse(tree).map_err(BuildError::DeviceTree)?;
    }
    let texts = [("command line", parts.cmdline), ("os-release", parts.os_release), ("release", parts.uname)];
    if let Some((what, _)) = texts.iter().find(|(_, text)| text.is_some_and(|text| text.contains('\0'))) {
        return Err(BuildError::Zero(what));
    }
    let mut notes = Vec::new();
    let uname = parts.uname.map(str::to_owned).or_else(|| kernel_release(parts.linux));
    if uname.is_none() {
        notes.push("the kernel does not say its release, so there is no section `.uname`".to_owned());
    }
    // Boot menus show these.
    let names_system =
        |text: &str| text.lines().any(|line| line.starts_with("PRETTY_NAME=") || line.starts_with("NAME="));
    if parts.os_release.is_some_and(|text| !names_system(text)) {
        notes.push("the os-release has no `PRETTY_NAME`, so boot menus have no name to show".to_owned());
    }
    let own_sbat = stub.section(".sbat");
    let sbat = sbat(own_sbat, kernel.section(".sbat"), &parts.sbat)?;
    let keeps_sbat = own_sbat.map(trimmed) == Some(sbat.trim_end().as_bytes());
    let initrd = joined(&parts.initrds);

    let mut sections: Vec<NewSection<'_>> = Vec::new();
    let mut add = |name, contents, is_code| sections.push(NewSection { name, contents, is_code });
    if !keeps_sbat {
        add(".sbat", sbat.as_bytes(), false);
    }
    let texts = [(".osrel", parts.os_release), (".cmdline", parts.cmdline.map(str::trim_end))];
    for (name, text) in texts {
        text.into_iter().for_each(|text| add(name, text.as_bytes(), false));
    }
    parts.devicetree.into_iter().for_each(|tree| add(".dtb", tree, false));
    uname.iter().for_each(|uname| add(".uname", uname.as_bytes(), false));
    parts.splash.into_iter().for_each(|splash| add(".splash", splash, false));
    if !parts.initrds.is_empty() {
        add(".initrd", &initrd, false);
    }
    // The last, so that nothing is behind it that a kernel could unpack itself over.
    add(".linux", parts.linux, true);
    let removed: &[&str] = if keeps_sbat { &[] } else { &[".sbat"] };
    Ok(Built { bytes: pe::with_sections(&stub, removed, &sections)?, notes })
}

/// Joins archives as kernels read them: each begins at a multiple of four.
fn joined(archives: &[&[u8]]) -> Vec<u8> {
    let mut bytes = Vec::with_capacity(archives.iter().map(|archive| archive.len() + 3).sum());
    for archive in archives {
        bytes.resize(bytes.len().next_multiple_of(4), 0);
        bytes.extend_from_slice(archive);
    }
    bytes
}

fn trimmed(section: &[u8]) -> &[u8] {
    let end = section.iter().rposition(|byte| !matches!(byte, 0 | b'\n' | b'\r' | b' '));
    &section[..end.map_or(0, |end| end + 1)]
}

/// Returns all lines, each once: those of the stub, of the kernel, and those that are given.
fn sbat(stub: Option<&[u8]>, kernel: Option<&[u8]>, given: &[&str]) -> Result<String, BuildError> {
    let mut lines = vec![SBAT_HEADER.to_owned()];
    let there = [stub, kernel].into_iter().flatten().map(|section| String::from_utf8_lossy(trimmed(section)));
    for text in there {
        for line in text.lines().map(str::trim) {
            // The header is of some version; that of the stub's is ours.
            if !line.is_empty() && !line.starts_with("sbat,") && !lines.iter().any(|other| other == line) {
                lines.push(line.to_owned());
            }
        }
    }
    let given = if given.is_empty() { &[SBAT_UKI] } else { given };
    for line in given.iter().flat_map(|given| given.lines()).map(str::trim).filter(|line| !line.is_empty()) {
        if line.split(',').count() != 6 || !line.is_ascii() {
            return Err(BuildError::Sbat(line.to_owned()));
        }
        if !line.starts_with("sbat,") && !lines.iter().any(|other| other == line) {
            lines.push(line.to_owned());
        }
    }
    Ok(lines.join("\n") + "\n")
}
