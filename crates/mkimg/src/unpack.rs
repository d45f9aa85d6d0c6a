//! Writes a layer as plain files. Users can be named in them that the layer does not know.

use std::fs;
use std::io;
use std::path::Path;

use layer::{Layer, NodeKind, Tree, write_plain};

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
    if spec.users.is_empty() {
        return Ok(());
    }
    let layers = spec.below.iter().chain([&spec.layer]).map(|layer| directory.path(layer));
    name_users(&spec.users, &Tree::open(&layers.collect::<Vec<_>>())?, &output)
}

/// Puts the account files of `tree` into `output`, with the users besides.
fn name_users(users: &[UserSpec], tree: &Tree, output: &Path) -> Result<(), Error> {
    let read = |name: &str| {
        let Some(NodeKind::File(extent)) = tree.get(name.as_bytes()).map(|item| &item.node.kind) else {
            return Ok(None);
        };
        let bytes = tree.read_content(*extent);
        let bytes = bytes.map_err(|source| Error::Read { path: name.into(), source })?;
        // One that is none of those that we understand is left alone.
        Ok::<_, Error>(String::from_utf8(bytes).ok())
    };
    let (Some(passwd), Some(group)) = (read("etc/passwd")?, read("etc/group")?) else { return Ok(()) };
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
    for (name, text) in [("passwd", files.passwd), ("group", files.group)] {
        let path = output.join("etc").join(name);
        let written = fs::create_dir_all(output.join("etc")).and_then(|()| {
            // Another name of the same file must not change with it.
            match fs::remove_file(&path) {
                Err(error) if error.kind() != io::ErrorKind::NotFound => Err(error),
                _ => fs::write(&path, text),
            }
        });
        written.map_err(|source| Error::Write { path, source })?;
    }
    Ok(())
}
