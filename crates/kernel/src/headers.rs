//! The headers with which programs, and C libraries first, are compiled for a kernel.

use std::ffi::OsStr;
use std::fs;
use std::path::Path;

use crate::Error;

/// Copies the headers in and below the directory `from` to `to`. The kernel's own `headers_install` does the same and
/// needs `rsync` for it.
pub(crate) fn copy(from: &Path, to: &Path) -> Result<(), Error> {
    fs::create_dir_all(to).map_err(Error::io("make", to))?;
    let entries = fs::read_dir(from).map_err(Error::io("list", from))?;
    for entry in entries {
        let entry = entry.map_err(Error::io("list", from))?;
        let (path, target) = (entry.path(), to.join(entry.file_name()));
        if path.is_dir() {
            copy(&path, &target)?;
        } else if path.extension() == Some(OsStr::new("h")) {
            fs::copy(&path, &target).map_err(Error::io("copy", &path))?;
        }
    }
    Ok(())
}
