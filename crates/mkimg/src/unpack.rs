//! Writes a layer as plain files, which become a tree in the sense of the Remote Execution API.
//!
//! Such a tree has names, contents, the executable bit and symbolic links. Whiteouts keep their `.wh.` names, so
//! that trees can be merged like layers. Devices and pipes have no place in it. Users can be named in it that the
//! layer does not know.

use std::ffi::OsStr;
use std::fs::{self, DirBuilder, File};
use std::io::{self, Read, Write};
use std::os::unix::ffi::OsStrExt;
use std::os::unix::fs::{DirBuilderExt, OpenOptionsExt};
use std::path::{Path, PathBuf};

use layer::{EntryPath, Kind, Layer, Located};

use crate::accounts::{self, AccountFiles};
use crate::error::Error;
use crate::files::Directory;
use crate::spec::{AccountsSpec, TreeSpec, UserSpec};

/// Writes the files of a layer.
pub(crate) fn write(spec: &TreeSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let path = directory.path(&spec.layer);
    let layer = Layer::open(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let output = directory.path(&spec.output);
    fs::create_dir_all(&output).map_err(|source| Error::Write { path: output.clone(), source })?;
    let layer_error = |source| Error::Layer { path: path.clone(), source };
    let mut unpack =
        Unpack { layer: &layer, output: &output, made: PathBuf::new(), buffer: vec![0; 256 * 1024] };
    for located in layer.entries().map_err(layer_error)? {
        unpack.place(&located.map_err(layer_error)?)?;
    }
    name_users(&spec.users, &output)
}

/// Adds the users to the account files in `output`.
fn name_users(users: &[UserSpec], output: &Path) -> Result<(), Error> {
    let (passwd_path, group_path) = (output.join("etc/passwd"), output.join("etc/group"));
    let read = |path: &Path| match fs::read_to_string(path) {
        // There are no such files in the layer, or they are none of those that we understand.
        Err(error) if matches!(error.kind(), io::ErrorKind::NotFound | io::ErrorKind::InvalidData) => {
            Ok(None)
        }
        result => result.map(Some).map_err(|source| Error::Read { path: path.to_path_buf(), source }),
    };
    let (Some(passwd), Some(group)) = (read(&passwd_path)?, read(&group_path)?) else { return Ok(()) };
    let mut files = AccountFiles { passwd, group, ..AccountFiles::default() };
    for user in users {
        let mut with_user = files.clone();
        let accounts = AccountsSpec { users: vec![user.clone()], ..AccountsSpec::default() };
        match with_user.add(&accounts) {
            Ok(()) => files = with_user,
            Err(accounts::Error::Exists { .. } | accounts::Error::Number { .. }) => {}
            Err(error) => return Err(error.into()),
        }
    }
    for (path, text) in [(passwd_path, files.passwd), (group_path, files.group)] {
        // Another name of the same file must not change with it.
        fs::remove_file(&path)
            .and_then(|()| fs::write(&path, text))
            .map_err(|source| Error::Write { path: path.clone(), source })?;
    }
    Ok(())
}

struct Unpack<'a> {
    layer: &'a Layer,
    output: &'a Path,
    /// The directory that was made or found last.
    made: PathBuf,
    buffer: Vec<u8>,
}

impl Unpack<'_> {
    fn place(&mut self, located: &Located) -> Result<(), Error> {
        let entry = &located.entry;
        let stored = match entry.stored_path() {
            Ok(stored) => stored,
            Err(_) => unreachable!("the reader found the entry at its stored path"),
        };
        if stored.as_str().is_none() {
            return Err(Error::NotUtf8 { path: stored });
        }
        let path = self.path(&stored);
        let write_error = |source| Error::Write { path: path.clone(), source };
        if let Some(parent) = path.parent()
            && self.made != parent
        {
            // A layer need not have the directories above what it has.
            DirBuilder::new().recursive(true).mode(0o755).create(parent).map_err(write_error)?;
            self.made = parent.to_path_buf();
        }
        match &entry.kind {
            Kind::Directory => match DirBuilder::new().mode(0o755).create(&path) {
                Err(error) if error.kind() != io::ErrorKind::AlreadyExists => Err(write_error(error)),
                _ => Ok(()),
            },
            Kind::File { .. } => self.write_file(located, &path),
            Kind::Symlink { target } => {
                if std::str::from_utf8(target).is_err() {
                    return Err(Error::NotUtf8 { path: stored });
                }
                std::os::unix::fs::symlink(OsStr::from_bytes(target), &path).map_err(write_error)
            }
            Kind::HardLink { target } => fs::hard_link(self.path(target), &path).map_err(write_error),
            Kind::Whiteout | Kind::OpaqueDirectory => File::create_new(&path).map(drop).map_err(write_error),
            Kind::CharDevice { .. } | Kind::BlockDevice { .. } | Kind::Fifo => Ok(()),
        }
    }

    fn path(&self, path: &EntryPath) -> PathBuf {
        self.output.join(OsStr::from_bytes(path.as_bytes()))
    }

    fn write_file(&mut self, located: &Located, path: &Path) -> Result<(), Error> {
        let mode = if located.entry.metadata.mode & 0o111 == 0 { 0o644 } else { 0o755 };
        let write_error = |source| Error::Write { path: path.to_path_buf(), source };
        let mut file =
            File::options().write(true).create_new(true).mode(mode).open(path).map_err(write_error)?;
        let mut content = self.layer.open_content(located);
        loop {
            let n = content
                .read(&mut self.buffer)
                .map_err(|source| Error::Read { path: PathBuf::from(self.layer.name()), source })?;
            if n == 0 {
                return Ok(());
            }
            file.write_all(&self.buffer[..n]).map_err(write_error)?;
        }
    }
}
