//! `measure --sign`: a file with an ID block of its own digest.

use std::path::Path;

use launch::id_block::{Identity, Key, SignError, sign};
use launch::{Directive, File, ZeroPages};
use serde_json::json;

use super::{hex, place, write};
use crate::args::{Global, Measure};
use crate::failure::{Blame, Failure, io};
use crate::ui::Ui;

/// Writes the signed file.
pub(super) fn run(
    global: &Global,
    ui: &Ui,
    options: &Measure,
    (bytes, zeros): (&[u8], ZeroPages),
    key: &Path,
) -> Result<(), Failure> {
    let Some(output) = &options.output else {
        return Err(Failure::project("`--sign` writes another file").help("say which with `--output FILE`"));
    };
    let id_key = read_key(global, key)?;
    let author = options.author_key.as_deref().map(|path| read_key(global, path)).transpose()?;
    let identity = Identity {
        family_id: options.family_id.unwrap_or_default(),
        image_id: options.image_id.unwrap_or_default(),
        guest_svn: options.guest_svn.unwrap_or_default(),
    };
    let signed = sign(bytes, zeros, identity, &id_key, author.as_ref()).map_err(|error| {
        let help = match &error {
            SignError::NoPolicy => Some("COCONUT's `igvmbuilder` takes one as `--policy`"),
            SignError::Unknown(_) => Some("sign the file with the tool that made it"),
            _ => None,
        };
        let failure = Failure::new(Blame::Build, error);
        match help {
            Some(help) => failure.help(help),
            None => failure,
        }
    })?;
    write(&place(global, output), &signed)?;
    // What was written is read again: nobody else would say that it is right.
    let file = File::parse(&signed).map_err(|error| Failure::new(Blame::Build, error))?;
    let Some(Directive::IdBlock(block)) = file.directives.last() else { return Ok(()) };
    let key = hex(&launch::id_block::key_digest(&block.id_public_key));
    if global.json {
        let digest = hex(&block.ld);
        ui.print_json(
            &json!({ "version": 1, "file": output.display().to_string(), "digest": digest, "key": key }),
        );
    } else if options.igvmmeasure {
        ui.print(&format!("Successfully created signed file: {}\n", output.display()));
    } else {
        ui.print(&format!("{}: launch digest {}, key {key}\n", output.display(), hex(&block.ld)));
    }
    Ok(())
}

#[derive(Debug, thiserror::Error)]
#[error("could not read the key `{path}`")]
struct KeyNotRead {
    path: String,
    source: launch::id_block::KeyError,
}

fn read_key(global: &Global, path: &Path) -> Result<Key, Failure> {
    let shown = path.display().to_string();
    let bytes = std::fs::read(place(global, path))
        .map_err(|error| Failure { blame: Blame::Project, ..io(format!("read the key `{shown}`"))(error) })?;
    Key::parse(&bytes).map_err(|source| {
        let help = source.help();
        Failure::project(KeyNotRead { path: shown, source }).help(help)
    })
}
