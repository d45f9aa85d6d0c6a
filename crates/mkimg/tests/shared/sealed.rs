//! Images whose size is known before they are written.

use std::fs::File;
use std::path::Path;

use mkimg::{MemorySink, Sink, SparseFile};

use super::shared::Contents;

/// What every such image has, whatever the format.
pub(crate) trait Image {
    fn size(&self) -> u64;
    fn write(&self, contents: &Contents, sink: &mut dyn Sink);
}

/// An image and the contents of its files.
pub(crate) struct Sealed<I> {
    pub(crate) image: I,
    pub(crate) contents: Contents,
}

impl<I: Image> Sealed<I> {
    pub(crate) fn write(&self, sink: &mut dyn Sink) {
        self.image.write(&self.contents, sink);
    }

    pub(crate) fn bytes(&self) -> Vec<u8> {
        let mut sink = MemorySink::default();
        self.write(&mut sink);
        let bytes = sink.into_bytes();
        assert_eq!(bytes.len() as u64, self.image.size());
        bytes
    }

    /// Writes the image into a new sparse file.
    pub(crate) fn save(&self, path: &Path) -> File {
        let file = File::create_new(path).unwrap();
        let mut sink = SparseFile::new(&file);
        self.write(&mut sink);
        assert_eq!(sink.finish().unwrap(), self.image.size());
        File::open(path).unwrap()
    }
}
