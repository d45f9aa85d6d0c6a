//! What this machine can do, for `doctor`.

use std::path::Path;

use crate::{Error, Exit, Files, Overlay, Root, Sandbox, Writable, spawn};

/// What this machine's kernel offers beyond what every sandbox needs.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Capabilities {
    /// The kernel's release, `6.1.0-40-amd64`.
    pub kernel: String,
    /// We are root outside.
    pub root: bool,
}

/// Makes a sandbox in the empty directory `scratch`, which must be on the file system where sandboxes will
/// be, and returns what this machine can do.
///
/// Fails with [`Error::Unavailable`] when this user gets no namespaces, and with what else is wrong.
pub fn probe(init: &Path, scratch: &Path) -> Result<Capabilities, Error> {
    let directory = |name: &str| {
        let path = scratch.join(name);
        std::fs::create_dir_all(&path)
            .map_err(|error| Error::set_up(format!("make `{}`", path.display()), error))?;
        Ok(path)
    };
    let overlay = Overlay {
        lowers: vec![directory("lower")?],
        writable: Some(Writable { upper: directory("upper")?, work: directory("work")? }),
    };
    let sandbox = Sandbox::new(Root::Overlay(overlay), vec!["/nothing".to_owned()]);
    let ended = spawn(&sandbox, &Files::default(), init)?.wait()?;
    // The sandbox was complete if all that was missing is the program.
    if ended.exit != Exit::NotRun(libc::ENOENT) {
        let source = std::io::Error::other(format!("a program that is not there gave {:?}", ended.exit));
        return Err(Error::set_up("probe this machine", source));
    }
    let kernel = rustix::system::uname().release().to_string_lossy().into_owned();
    Ok(Capabilities { kernel, root: rustix::process::geteuid().is_root() })
}
