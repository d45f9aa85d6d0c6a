//! The file `.gitmodules`: where the submodules of a repository come from.

use super::error::described;

/// A submodule as the file describes it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(super) struct Module {
    /// Where it belongs.
    pub(super) path: String,
    /// Where it comes from, which may be relative to the repository.
    pub(super) url: String,
    /// Whether `git submodule update` leaves it out.
    pub(super) is_left_out: bool,
}

/// The largest file that is read.
const MAX_SIZE: usize = 1 << 20;

/// Returns the submodules that have both a path and an address; what else the file says has no meaning here.
///
/// Fails, with what is wrong, when the bytes are no such file.
pub(super) fn parse(bytes: &[u8]) -> Result<Vec<Module>, String> {
    if bytes.len() > MAX_SIZE {
        return Err(format!("it has {} bytes", bytes.len()));
    }
    let file = gix_config::File::from_bytes_no_includes(
        bytes,
        gix_config::file::Metadata::api(),
        gix_config::file::init::Options::default(),
    )
    .map_err(|error| described(&error))?;
    let mut modules = Vec::new();
    for section in file.sections_by_name("submodule").into_iter().flatten() {
        let text = |key| section.value(key).and_then(|value| String::from_utf8(value.into()).ok());
        if let (Some(path), Some(url)) = (text("path"), text("url")) {
            let path = path.trim_end_matches('/').to_owned();
            modules.push(Module { path, url, is_left_out: text("update").as_deref() == Some("none") });
        }
    }
    Ok(modules)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_whole_is_returned() {
        let text = "# comment\n[submodule \"a b\"]\n\tpath = lib/a b/\n\turl = \"../a b.git\"\n[core]\n\tbare\n\
                    [submodule \"c\"]\n\tpath = c\n[submodule \"d\"]\n\turl = https://x/d\n\tpath = d\n\tupdate = none\n";
        let module = |path: &str, url: &str, is_left_out| Module {
            path: path.to_owned(),
            url: url.to_owned(),
            is_left_out,
        };
        let expected = [module("lib/a b", "../a b.git", false), module("d", "https://x/d", true)];
        assert_eq!(parse(text.as_bytes()).unwrap(), expected);
        assert_eq!(parse(b"").unwrap(), []);
    }

    #[test]
    fn what_is_no_such_file_is_refused() {
        assert!(parse(b"[submodule \"a\npath = ").is_err());
        assert!(parse(&vec![b'#'; MAX_SIZE + 1]).is_err());
    }
}
