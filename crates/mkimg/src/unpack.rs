//! Writes a layer as plain files. Users can be named in them that the layer does not know.

use std::fs;
use std::io;
use std::path::Path;

use layer::{Layer, write_plain};

use crate::accounts::{self, AccountFiles};
use crate::error::Error;
use crate::files::Directory;
use crate::spec::{AccountsSpec, TreeSpec, UserSpec};

/// Writes the files of a layer.
pub(crate) fn write(spec: &TreeSpec, directory: &Directory<'_>) -> Result<(), Error> {
    let path = directory.path(&spec.layer);
    let layer = Layer::open(&path).map_err(|source| Error::Read { path: path.clone(), source })?;
    let output = directory.path(&spec.output);
    write_plain(&layer, &output)?;
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
