//! Writes a hash tree as a specification says.

use std::fs::File;
use std::io;
use std::os::unix::fs::FileExt;

use super::superblock::{Superblock, is_block_size};
use super::tree::{Error as TreeError, from_hex, hash_image, to_hex};
use crate::error::Error;
use crate::files::Directory;
use crate::filesystem::uuid;
use crate::spec::VeritySpec;

/// The unit in which what is zero is left out of a copy.
const HOLE: usize = 4096;

/// Writes the tree that `spec` describes, behind a copy of its image or alone, and the root's hash.
pub(crate) fn write(spec: &VeritySpec, directory: &Directory<'_>) -> Result<Vec<String>, Error> {
    let path = directory.path(&spec.input);
    let verity_error = |source| Error::Verity { path: path.clone(), source };
    let opened = File::open(&path).and_then(|file| Ok((file.metadata()?.len(), file)));
    let (size, image) = opened.map_err(|source| Error::Read { path: path.clone(), source })?;
    let data_block_size = spec.data_block_size.unwrap_or(4096);
    let hash_block_size = spec.hash_block_size.unwrap_or(4096);
    if let Some(size) = [data_block_size, hash_block_size].into_iter().find(|size| !is_block_size(*size)) {
        return Err(verity_error(TreeError::BlockSize { size }));
    }
    let block = u64::from(data_block_size);
    if !spec.appended && !size.is_multiple_of(block) {
        return Err(verity_error(TreeError::Partial { size, block: data_block_size }));
    }
    let superblock = Superblock {
        uuid: uuid(&spec.uuid)?,
        hash: spec.hash.into(),
        data_block_size,
        hash_block_size,
        data_blocks: size.div_ceil(block),
        salt: from_hex(&spec.salt).ok_or(TreeError::Salt).map_err(verity_error)?,
    };
    superblock.check().map_err(verity_error)?;
    let output = directory.create(&spec.output)?;
    let read = |buffer: &mut [u8], offset: u64| {
        read_or_zero(&image, buffer, offset)?;
        if spec.appended { copy(&output.file, buffer, offset) } else { Ok(()) }
    };
    let tree = hash_image(&superblock, &read).map_err(verity_error)?;
    let offset = if spec.appended { superblock.data_blocks * block } else { 0 };
    let encoded = tree.encode(offset);
    output.file.write_all_at(&encoded, offset).map_err(|source| output.error(source))?;
    let root = to_hex(tree.root());
    let text = directory.create(&spec.root_hash_output)?;
    text.file.write_all_at(format!("{root}\n").as_bytes(), 0).map_err(|source| text.error(source))?;
    let place = if spec.appended { format!(" at {offset}") } else { String::new() };
    let name = output.path.file_name().unwrap_or_default().to_string_lossy();
    Ok(vec![format!("{name} has a hash tree of {} bytes{place}, root {root}", encoded.len())])
}

/// Reads a part of a file, behind whose end there are zeros.
fn read_or_zero(file: &File, buffer: &mut [u8], offset: u64) -> io::Result<()> {
    let mut done = 0;
    while done < buffer.len() {
        match file.read_at(&mut buffer[done..], offset + done as u64) {
            Ok(0) => break,
            Ok(n) => done += n,
            Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
            Err(error) => return Err(error),
        }
    }
    buffer[done..].fill(0);
    Ok(())
}

/// Copies what is not zero, neighbours together.
fn copy(file: &File, buffer: &[u8], offset: u64) -> io::Result<()> {
    let mut pending = 0..0;
    for (idx, part) in buffer.chunks(HOLE).enumerate() {
        let start = idx * HOLE;
        if part.iter().all(|byte| *byte == 0) {
            file.write_all_at(&buffer[pending.clone()], offset + pending.start as u64)?;
            pending = start + part.len()..start + part.len();
        } else {
            pending.end = start + part.len();
        }
    }
    file.write_all_at(&buffer[pending.clone()], offset + pending.start as u64)
}
