//! Where files lie when `/bin` is a symbolic link to `usr/bin`.

use layer::EntryPath;

/// The directories that a merged-/usr system has as symbolic links, each into `usr/` under the same name.
pub const ALIASES: [&str; 7] = ["bin", "lib", "lib32", "lib64", "libo32", "libx32", "sbin"];

/// Those of them that every system has, whatever is in it.
pub const ALWAYS: [&str; 3] = ["bin", "lib", "sbin"];

/// Returns where something inside an aliased directory really lies, or `None` if that is where it says.
///
/// The aliases themselves stay: whether `bin` is a directory or the link is the caller's knowledge.
pub fn real_path(path: &EntryPath) -> Option<EntryPath> {
    let mut components = path.components();
    let is_aliased = components.next().is_some_and(is_alias) && components.next().is_some();
    is_aliased.then(|| below_usr(path))
}

/// Returns where the aliased directory `path` really lies, or `None` if it is not one.
pub fn real_directory(path: &EntryPath) -> Option<EntryPath> {
    is_alias(path.as_bytes()).then(|| below_usr(path))
}

fn is_alias(name: &[u8]) -> bool {
    ALIASES.iter().any(|alias| alias.as_bytes() == name)
}

fn below_usr(path: &EntryPath) -> EntryPath {
    EntryPath::new([b"usr/", path.as_bytes()].concat()).unwrap_or_else(|_| path.clone())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_what_is_inside_moves() {
        let real = |path: &str| real_path(&EntryPath::new(path).unwrap()).map(|path| path.to_string());
        assert_eq!(real("bin/sh").as_deref(), Some("usr/bin/sh"));
        assert_eq!(real("lib64/ld.so").as_deref(), Some("usr/lib64/ld.so"));
        for path in ["bin", "lib", "binary/sh", "usr/bin/sh", "etc/bin/sh"] {
            assert_eq!(real(path), None, "{path}");
        }
        let directory = real_directory(&EntryPath::new("lib").unwrap());
        assert_eq!(directory.unwrap().to_string(), "usr/lib");
    }
}
