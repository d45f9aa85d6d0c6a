//! Layers and packages.

use std::io::Write as _;

use layer::{Builder, Content, Declaration, EntryPath, Metadata};
use mkimg::Compressor;
use mkimg::spec::Compression;

use crate::Result;
use crate::sample::module;
use crate::text::CONTROL;

pub(crate) fn file(text: &str) -> Declaration {
    Declaration::File(Content::Bytes(text.into()))
}

/// One entry of each kind. Packages have neither attributes nor names of more than one byte per letter.
pub(crate) fn builder(is_full: bool) -> Result<Builder> {
    let mut builder = Builder::default();
    let mut declare = |name: &str, metadata: Metadata, what| -> Result<()> {
        Ok(builder.declare(EntryPath::new(name)?, metadata, what)?)
    };
    let owned = |mode, uid| Metadata { uid, gid: 5, mtime: 99, ..Metadata::with_mode(mode) };
    declare("etc", owned(0o755, 0), Declaration::Directory)?;
    declare("etc/conf", owned(0o644, 0), file("text\n"))?;
    declare("usr", owned(0o755, 0), Declaration::Directory)?;
    declare("usr/bin", owned(0o755, 0), Declaration::Directory)?;
    declare("usr/bin/busybox", owned(0o4755, 0), file("busy"))?;
    declare("usr/bin/ls", owned(0, 0), Declaration::HardLink(EntryPath::new("usr/bin/busybox")?))?;
    declare("usr/lib", owned(0o777, 0), Declaration::Symlink(b"../lib".to_vec()))?;
    if is_full {
        let target = "t".repeat(150);
        declare("dev", owned(0o755, 0), Declaration::Directory)?;
        declare("dev/console", owned(0o600, 0), Declaration::CharDevice(5, 1))?;
        declare("dev/vda", owned(0o660, 0), Declaration::BlockDevice(254, 0))?;
        declare("run", owned(0o755, 0), Declaration::Directory)?;
        declare("run/pipe", owned(0o600, 4_000_000), Declaration::Fifo)?;
        declare("long", owned(0o777, 0), Declaration::Symlink(target.into_bytes()))?;
        declare(&"n".repeat(120), owned(0o644, 0), file("long name"))?;
        let mut attributes = owned(0o644, 0);
        attributes
            .xattrs
            .insert(b"security.capability".to_vec(), b"\x01\0\0\x02\0 \0\0\0\0\0\0\0\0\0\0\0\0\0\0".to_vec());
        attributes.xattrs.insert(b"user.long".to_vec(), vec![b'v'; 300]);
        declare("ping", attributes, file("with attributes"))?;
    }
    Ok(builder)
}

pub(crate) fn overlay() -> Result<Vec<u8>> {
    let mut builder = Builder::default();
    builder.declare(EntryPath::new("etc/gone")?, Metadata::default(), Declaration::Whiteout)?;
    builder.declare(EntryPath::new("etc/new")?, Metadata::with_mode(0o600), file("new"))?;
    builder.declare_opaque(EntryPath::new("var")?);
    Ok(builder.write(Vec::new())?)
}

pub(crate) fn control_archive() -> Result<Vec<u8>> {
    let mut builder = Builder::default();
    let mut declare = |name: &str, mode, text: &str| -> Result<()> {
        Ok(builder.declare(EntryPath::new(name)?, Metadata::with_mode(mode), file(text))?)
    };
    declare("control", 0o644, CONTROL)?;
    declare("conffiles", 0o644, "/etc/conf\n")?;
    declare("postinst", 0o755, "#!/bin/sh\n")?;
    declare("md5sums", 0o644, "d41d8cd98f00b204e9800998ecf8427e  usr/bin/busybox\n")?;
    Ok(builder.write(Vec::new())?)
}

pub(crate) fn ar(members: &[(&str, &[u8])]) -> Result<Vec<u8>> {
    let mut bytes = b"!<arch>\n".to_vec();
    for (name, content) in members {
        writeln!(bytes, "{name:<16}{:<12}{:<6}{:<6}{:<8}{:<10}`", 0, 0, 0, "100644", content.len())?;
        bytes.extend(*content);
        if content.len() % 2 == 1 {
            bytes.push(b'\n');
        }
    }
    Ok(bytes)
}

/// A kernel with modules that need each other.
pub(crate) fn modules() -> Result<Vec<u8>> {
    let mut zstd = Compressor::with_threads(Compression::Zstd, Vec::new(), 1)?;
    zstd.write_all(&module(&["alias=crypto-a"]))?;
    let mut builder = Builder::default();
    let files = [
        ("kernel/fs/ext4.ko", module(&["depends=jbd2", "softdep=pre: crypto-a"])),
        ("kernel/fs/jbd2.ko", module(&["depends="])),
        ("kernel/crypto/a.ko.zst", zstd.finish()?),
        ("modules.builtin", b"kernel/drivers/virtio.ko\n".to_vec()),
        ("modules.builtin.modinfo", b"sha256.alias=crypto-sha256\0".to_vec()),
    ];
    for (name, bytes) in files {
        let path = EntryPath::new(format!("usr/lib/modules/6/{name}"))?;
        builder.declare(path, Metadata::with_mode(0o644), Declaration::File(Content::Bytes(bytes)))?;
    }
    Ok(builder.write(Vec::new())?)
}
