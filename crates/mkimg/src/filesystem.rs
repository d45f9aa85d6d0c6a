//! Makes ext4 images of merged layers.

use layer::Tree;

use crate::Sink;
use crate::contents::Contents as _;
use crate::error::Error;
use crate::ext4::{self, BlockSize, Builder, Growth, Inodes, Journal, OnError, Options, Size};
use crate::files::Directory;
use crate::sink::SparseFile;
use crate::spec::{Ext4Spec, OnErrorSpec};
use crate::tree::{HardLinks, Timestamp};

/// Writes the image that `spec` describes.
pub(crate) fn write(spec: &Ext4Spec, directory: &Directory<'_>) -> Result<(), Error> {
    let tree = directory.merge(&spec.layers)?;
    let options = options(spec, &tree)?;
    directory.produce(&spec.output, |output| {
        let mut sink = SparseFile::new(&output.file);
        write_ext4(&tree, options, &mut sink)
            .map_err(|source| Error::Ext4 { path: output.path.clone(), source })?;
        sink.finish().map(drop).map_err(|source| output.error(source))
    })
}

/// Without a size, an image has this much free space at least.
const MIN_SLACK: u64 = 8 << 20;

fn options(spec: &Ext4Spec, tree: &Tree) -> Result<Options, Error> {
    let seconds = i64::try_from(spec.epoch).map_err(|_| Error::Epoch { epoch: spec.epoch })?;
    let epoch = Timestamp::new(seconds, 0).ok_or(Error::Epoch { epoch: spec.epoch })?;
    let size = match (spec.size, spec.slack) {
        (Some(size), _) => Size::Fixed(size),
        (None, Some(slack)) => Size::Fit { slack },
        (None, None) => Size::Fit { slack: (tree.statistics().bytes / 4).max(MIN_SLACK) },
    };
    let mut options = Options::new(size, uuid(&spec.uuid)?, uuid(&spec.hash_seed)?, epoch);
    if let Some(size) = spec.block_size {
        options.block_size = BlockSize::from_bytes(size).ok_or(Error::BlockSize { size })?;
    }
    options.label = spec.label.clone().unwrap_or_default().into_bytes();
    options.inodes = spec.inodes.map_or(Inodes::Auto, Inodes::Count);
    let blocks =
        |bytes: u64| u32::try_from(bytes / u64::from(options.block_size.bytes())).unwrap_or(u32::MAX);
    options.journal = match spec.journal {
        None => Journal::Auto,
        Some(0) => Journal::None,
        Some(bytes) => Journal::Blocks(blocks(bytes)),
    };
    options.growth = match spec.grow_to {
        None => Growth::Auto,
        Some(0) => Growth::Unplanned,
        Some(bytes) => Growth::UpTo(bytes),
    };
    options.on_error = match spec.on_error {
        OnErrorSpec::Continue => OnError::Continue,
        OnErrorSpec::RemountReadOnly => OnError::RemountReadOnly,
        OnErrorSpec::Panic => OnError::Panic,
    };
    options.reserved_percent = spec.reserved_percent.unwrap_or(0);
    Ok(options)
}

/// Reads 32 hexadecimal digits, with or without the usual hyphens.
pub(crate) fn uuid(text: &str) -> Result<[u8; 16], Error> {
    let wrong = || Error::Uuid { text: text.to_owned() };
    let digits: Option<Vec<u8>> = text
        .chars()
        .filter(|char| *char != '-')
        .map(|char| char.to_digit(16).map(|digit| digit as u8))
        .collect();
    let digits = digits.filter(|digits| digits.len() == 32).ok_or_else(wrong)?;
    let mut bytes = [0; 16];
    for (byte, pair) in bytes.iter_mut().zip(digits.chunks_exact(2)) {
        *byte = pair[0] << 4 | pair[1];
    }
    Ok(bytes)
}

/// Writes the file system that has everything in `tree`. The root belongs to root, has mode 755 and the
/// file system's time.
pub fn write_ext4(tree: &Tree, options: Options, sink: &mut dyn Sink) -> Result<(), ext4::Error> {
    let mut builder = Builder::new(options)?;
    let contents = builder.declare(tree, HardLinks::Kept, Builder::set_xattrs)?;
    builder.seal()?.write(&mut |node, offset, buffer| contents.read(node, offset, buffer), sink)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn uuids_with_and_without_hyphens() {
        let expected: [u8; 16] = std::array::from_fn(|idx| idx as u8 * 0x11);
        assert_eq!(uuid("00112233-4455-6677-8899-aabbccddeeff").unwrap(), expected);
        assert_eq!(uuid("00112233445566778899AABBCCDDEEFF").unwrap(), expected);
        for bad in ["", "0011", "00112233-4455-6677-8899-aabbccddeefg", "00112233445566778899aabbccddeeff00"]
        {
            assert!(uuid(bad).is_err(), "{bad}");
        }
    }
}
