//! PackIt archives: the file systems of COCONUT-SVSM.
//!
//! Nothing but names and contents, one file after the other (`packit/README.md` and `src/lib.rs` of the crate of that name):
//! a header of 8 bytes, then for each file the type 1, the length of its name, its size, both and what follows in
//! little-endian order.

use std::fs::File;
use std::io::{self, Write as _};

use crate::error::Error;
use crate::files::Directory;
use crate::spec::PackItSpec;

const MAGIC: &[u8; 4] = b"PKIT";
/// The size of the header, which says it of itself.
const HEADER: u32 = 8;
/// The type of a file, the only one.
const FILE: u16 = 1;

/// Writes an archive of the files, in their order.
pub(crate) fn write(spec: &PackItSpec, directory: &Directory<'_>) -> Result<(), Error> {
    directory.produce(&spec.output, |output| {
        let mut writer = output.writer();
        let mut put = |bytes: &[u8]| writer.write_all(bytes).map_err(|source| output.error(source));
        put(MAGIC)?;
        put(&HEADER.to_le_bytes())?;
        for file in &spec.files {
            let path = directory.path(&file.source);
            let read = |source| Error::Read { path: path.clone(), source };
            let mut content = File::open(&path).map_err(read)?;
            let size = content.metadata().map_err(read)?.len();
            let name = file.name.as_bytes();
            let too_long =
                || read(io::Error::new(io::ErrorKind::InvalidInput, "its name is longer than 65535 bytes"));
            let length = u16::try_from(name.len()).map_err(|_| too_long())?;
            put(&FILE.to_le_bytes())?;
            put(&length.to_le_bytes())?;
            put(&size.to_le_bytes())?;
            put(name)?;
            let mut rest = size;
            let mut buffer = vec![0; 64 << 10];
            while rest > 0 {
                let n = io::Read::read(&mut content, &mut buffer).map_err(read)?;
                if n == 0 {
                    return Err(read(io::ErrorKind::UnexpectedEof.into()));
                }
                put(&buffer[..n])?;
                rest = rest.saturating_sub(n as u64);
            }
        }
        output.close(writer)
    })
}

#[cfg(test)]
mod tests {
    use std::fs;

    use crate::spec::{PackItFile, PackItSpec, Spec};

    #[test]
    fn names_and_contents_are_one_behind_the_other() {
        let place = tempfile::tempdir().unwrap();
        fs::write(place.path().join("a"), "hello").unwrap();
        fs::write(place.path().join("b"), "").unwrap();
        let file = |name: &str, source: &str| PackItFile { name: name.to_owned(), source: source.to_owned() };
        let files = vec![file("test/x", "a"), file("init", "b")];
        let spec = PackItSpec { output: "out/fs.bin".to_owned(), files };
        crate::run(&Spec::PackIt(spec.clone()), place.path()).unwrap();
        let expected = [
            &b"PKIT\x08\0\0\0"[..],
            b"\x01\0\x06\0\x05\0\0\0\0\0\0\0test/xhello",
            b"\x01\0\x04\0\0\0\0\0\0\0\0\0init",
        ];
        assert_eq!(fs::read(place.path().join("out/fs.bin")).unwrap(), expected.concat());

        let missing = PackItSpec { files: vec![file("x", "nowhere")], ..spec };
        assert!(crate::run(&Spec::PackIt(missing), place.path()).is_err());
        assert!(!place.path().join("out/fs.bin").exists());
    }
}
