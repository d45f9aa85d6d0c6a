//! The modules of a kernel as a layer.

use std::fs;
use std::io::{BufWriter, Write as _};
use std::os::unix::ffi::{OsStrExt as _, OsStringExt as _};
use std::path::Path;

use layer::{Builder, Content, Declaration, EntryPath, Metadata};

use crate::Error;

/// Links to where the kernel was built, which is nowhere else.
const OF_THE_BUILD: [&[u8]; 2] = [b"build", b"source"];

/// Writes what lies in the directory `installed` as a layer that root owns.
pub(crate) fn write(installed: &Path, output: &Path) -> Result<(), Error> {
    let mut builder = Builder::default();
    add(installed, None, &mut builder)?;
    builder.declare_parents(&Metadata { mode: 0o755, ..Metadata::default() });
    let file = fs::File::create_new(output).map_err(Error::io("make", output))?;
    let mut sink = builder.write(BufWriter::with_capacity(256 << 10, file))?;
    sink.flush().map_err(Error::io("write", output))
}

fn add(directory: &Path, at: Option<&EntryPath>, builder: &mut Builder) -> Result<(), Error> {
    let entries = fs::read_dir(directory).map_err(Error::io("list", directory))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("list", directory))?;
        let (path, name) = (entry.path(), entry.file_name());
        let within = match at {
            Some(at) => at.join(name.as_bytes()),
            None => EntryPath::new(name.as_bytes()),
        };
        // `make` gives no file such a name.
        let Ok(within) = within else { continue };
        let found = fs::symlink_metadata(&path).map_err(Error::io("look at", &path))?;
        if found.is_symlink() {
            let target = fs::read_link(&path).map_err(Error::io("read", &path))?;
            if !OF_THE_BUILD.contains(&within.file_name()) {
                let link = Declaration::Symlink(target.into_os_string().into_vec());
                builder.declare(within, Metadata { mode: 0o777, ..Metadata::default() }, link)?;
            }
        } else if found.is_dir() {
            let metadata = Metadata { mode: 0o755, ..Metadata::default() };
            builder.declare(within.clone(), metadata, Declaration::Directory)?;
            add(&path, Some(&within), builder)?;
        } else {
            let content = Content::Path { path, size: found.len() };
            let metadata = Metadata { mode: 0o644, ..Metadata::default() };
            builder.declare(within, metadata, Declaration::File(content))?;
        }
    }
    Ok(())
}
