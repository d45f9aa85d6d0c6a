//! The objects of the last build, used again as `make` does it: by the times of files.
//!
//! The files of a source all have the same old time here, so what changed since the last build is found by what each
//! file is, and given the time of now. A file is known by its inode, its size and when the inode was made: the store
//! never changes one, and another content is another inode.
//!
//! What must hold, whatever happens in between: if anything may have been made of another version of a file than the
//! one noted, the file is not noted, and so it is taken for changed next time.

use std::collections::BTreeMap;
use std::ffi::OsStr;
use std::fs::{self, File};
use std::os::unix::ffi::OsStrExt as _;
use std::os::unix::fs::MetadataExt as _;
use std::path::{Path, PathBuf};
use std::time::SystemTime;

use crate::Error;

/// What is known of the files that the objects were made of.
const SEEN: &str = ".bootwright-seen";
/// There as long as a build runs, and as old as its beginning.
const RUNNING: &str = ".bootwright-running";
/// What the first line of [`SEEN`] starts with.
const VERSION: &str = "1";

/// What is known of a file where the file system does not say when inodes were made: it is another one each time.
const UNKNOWN: &str = "unknown";

/// Paths in a source, as bytes, with what tells versions of them apart.
type Seen = BTreeMap<Vec<u8>, String>;

/// Objects that a build uses. Whoever drops this without [`Objects::close`] leaves them as after a crash.
pub(crate) struct Objects {
    directory: PathBuf,
    made_for: String,
    now: Seen,
}

impl Objects {
    /// Makes the objects in `directory` ready to be used again for `source`: removes what cannot be trusted, and gives
    /// what changed of the source the time of now, and says what that is.
    pub(crate) fn open(
        directory: &Path,
        source: &Path,
        made_for: &str,
        say: &mut dyn FnMut(&str),
    ) -> Result<Objects, Error> {
        let seen = read(&directory.join(SEEN), made_for);
        if seen.is_none() {
            empty(directory)?;
        }
        let running = directory.join(RUNNING);
        // What was being written when the last build was killed may be half of it, and looks new.
        if let Ok(metadata) = fs::symlink_metadata(&running) {
            let since = metadata.modified().map_err(Error::io("look at", &running))?;
            remove_since(directory, since)?;
        }
        fs::write(&running, "").map_err(Error::io("write", &running))?;

        let mut now = Seen::new();
        look(source, &mut Vec::new(), &mut now)?;
        let objects = Objects { directory: directory.to_owned(), made_for: made_for.to_owned(), now };
        let Some(seen) = seen else {
            // There is no object yet, so none of anything else than this.
            objects.write(&objects.now)?;
            return Ok(objects);
        };
        let is_settled = |path: &Vec<u8>| is_same(seen.get(path), objects.now.get(path));
        let changed: Vec<&Vec<u8>> = objects.now.keys().filter(|path| !is_settled(path)).collect();
        if !changed.is_empty() || seen.len() != objects.now.len() {
            let settled = objects.now.iter().filter(|(path, _)| is_settled(path));
            objects.write(&settled.map(|(path, what)| (path.clone(), what.clone())).collect())?;
        }
        tell(&changed, say);
        for path in changed {
            touch(&source.join(OsStr::from_bytes(path)))?;
        }
        Ok(objects)
    }

    /// Notes that the build ended by itself, and with `is_made` that all objects are of what the source is now.
    pub(crate) fn close(self, is_made: bool) -> Result<(), Error> {
        if is_made {
            self.write(&self.now)?;
        }
        let running = self.directory.join(RUNNING);
        fs::remove_file(&running).map_err(Error::io("remove", &running))
    }

    fn write(&self, seen: &Seen) -> Result<(), Error> {
        let mut text = format!("{VERSION} {}\n", self.made_for).into_bytes();
        for (path, what) in seen {
            text.extend_from_slice(what.as_bytes());
            text.push(b' ');
            text.extend_from_slice(path);
            text.push(0);
        }
        let (new, place) = (self.directory.join(format!("{SEEN}-new")), self.directory.join(SEEN));
        fs::write(&new, text).map_err(Error::io("write", &new))?;
        fs::rename(&new, &place).map_err(Error::io("write", &place))
    }
}

/// Returns what is noted; nothing when there is no note, or one of another version or for something else.
fn read(path: &Path, made_for: &str) -> Option<Seen> {
    let text = fs::read(path).ok()?;
    let head = format!("{VERSION} {made_for}\n");
    let mut seen = Seen::new();
    for entry in
        text.strip_prefix(head.as_bytes())?.split(|byte| *byte == 0).filter(|entry| !entry.is_empty())
    {
        let space = entry.iter().position(|byte| *byte == b' ')?;
        let what = std::str::from_utf8(&entry[..space]).ok()?.to_owned();
        seen.insert(entry[space + 1..].to_vec(), what);
    }
    Some(seen)
}

/// Adds what tells the versions of all files below `directory` apart.
fn look(directory: &Path, path: &mut Vec<u8>, found: &mut Seen) -> Result<(), Error> {
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let entry = entry.map_err(Error::io("read", directory))?;
        let at = entry.path();
        let len = path.len();
        if !path.is_empty() {
            path.push(b'/');
        }
        path.extend_from_slice(entry.file_name().as_bytes());
        let kind = entry.file_type().map_err(Error::io("look at", &at))?;
        if kind.is_dir() {
            look(&at, path, found)?;
        } else if kind.is_symlink() {
            let target = fs::read_link(&at).map_err(Error::io("read", &at))?;
            found.insert(path.clone(), format!("link:{}", hex(target.as_os_str().as_bytes())));
        } else {
            let metadata = fs::symlink_metadata(&at).map_err(Error::io("look at", &at))?;
            found.insert(path.clone(), identity(&metadata));
        }
        path.truncate(len);
    }
    Ok(())
}

/// Says whether a file is what it was.
fn is_same(before: Option<&String>, now: Option<&String>) -> bool {
    before == now && now.is_none_or(|what| what != UNKNOWN)
}

fn identity(metadata: &fs::Metadata) -> String {
    let made = metadata.created().ok().and_then(|made| made.duration_since(SystemTime::UNIX_EPOCH).ok());
    match made {
        Some(made) => format!("{}:{}:{}", metadata.ino(), metadata.size(), made.as_nanos()),
        None => UNKNOWN.to_owned(),
    }
}

fn hex(bytes: &[u8]) -> String {
    bytes.iter().map(|byte| format!("{byte:02x}")).collect()
}

/// Gives a file the time of now; what a link leads to, if it is one.
fn touch(path: &Path) -> Result<(), Error> {
    let file = match File::open(path) {
        // A link that leads nowhere is read by nobody.
        Err(error) if error.kind() == std::io::ErrorKind::NotFound => return Ok(()),
        file => file.map_err(Error::io("open", path))?,
    };
    #[expect(
        clippy::disallowed_methods,
        reason = "`make` compares times: what changed has to be newer than the objects"
    )]
    let now = SystemTime::now();
    file.set_modified(now).map_err(Error::io("touch", path))
}

/// Says what changed.
fn tell(changed: &[&Vec<u8>], say: &mut dyn FnMut(&str)) {
    const MOST: usize = 20;
    for path in changed.iter().take(MOST) {
        say(&format!("changed: {}", String::from_utf8_lossy(path)));
    }
    if changed.len() > MOST {
        say(&format!("changed: {} more", changed.len() - MOST));
    }
}

/// Removes all that is in a directory.
fn empty(directory: &Path) -> Result<(), Error> {
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let path = entry.map_err(Error::io("read", directory))?.path();
        let is_directory = fs::symlink_metadata(&path).map_err(Error::io("look at", &path))?.is_dir();
        let removed = if is_directory { fs::remove_dir_all(&path) } else { fs::remove_file(&path) };
        removed.map_err(Error::io("remove", &path))?;
    }
    Ok(())
}

/// Removes the files below a directory that were written at `since` or later, save for our own note, which is
/// replaced as a whole.
fn remove_since(directory: &Path, since: SystemTime) -> Result<(), Error> {
    for entry in fs::read_dir(directory).map_err(Error::io("read", directory))? {
        let entry = entry.map_err(Error::io("read", directory))?;
        let path = entry.path();
        let metadata = fs::symlink_metadata(&path).map_err(Error::io("look at", &path))?;
        if metadata.is_dir() {
            remove_since(&path, since)?;
        } else if metadata.modified().map_err(Error::io("look at", &path))? >= since
            && entry.file_name() != SEEN
        {
            fs::remove_file(&path).map_err(Error::io("remove", &path))?;
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::time::Duration;

    use super::*;

    /// A source of files, and objects.
    struct World {
        scratch: tempfile::TempDir,
    }

    impl World {
        fn new() -> World {
            let world = World { scratch: tempfile::tempdir().unwrap() };
            fs::create_dir(world.objects()).unwrap();
            world.write("a.c", "1");
            world.write("lib/b.c", "2");
            world
        }

        fn source(&self) -> PathBuf {
            self.scratch.path().join("source")
        }

        fn objects(&self) -> PathBuf {
            self.scratch.path().join("objects")
        }

        /// Puts a file into the source as the store does: another content is another inode, with the same time.
        fn write(&self, path: &str, content: &str) {
            let path = self.source().join(path);
            fs::create_dir_all(path.parent().unwrap()).unwrap();
            let new = self.scratch.path().join("new");
            fs::write(&new, content).unwrap();
            File::options().write(true).open(&new).unwrap().set_modified(old()).unwrap();
            fs::rename(&new, &path).unwrap();
        }

        /// Opens the objects and returns which files are newer than they were, all of them old again.
        fn changed(&self, close: Option<bool>) -> Vec<&'static str> {
            let objects = Objects::open(&self.objects(), &self.source(), "gcc 12", &mut |_| ()).unwrap();
            let is_new = |path: &&str| {
                let path = self.source().join(path);
                let modified = fs::metadata(&path).map(|metadata| metadata.modified().unwrap());
                let is_new = modified.is_ok_and(|modified| modified > old());
                if is_new {
                    File::options().write(true).open(&path).unwrap().set_modified(old()).unwrap();
                }
                is_new
            };
            let changed = ["a.c", "lib/b.c", "lib/c.c"].into_iter().filter(is_new).collect();
            if let Some(is_made) = close {
                objects.close(is_made).unwrap();
            }
            changed
        }
    }

    fn old() -> SystemTime {
        SystemTime::UNIX_EPOCH + Duration::from_secs(946_684_800)
    }

    #[test]
    fn what_changed_is_newer_than_the_objects() {
        let world = World::new();
        assert_eq!(world.changed(Some(true)), [""; 0]);
        assert_eq!(world.changed(Some(true)), [""; 0]);
        world.write("a.c", "3");
        world.write("lib/c.c", "new");
        assert_eq!(world.changed(Some(true)), ["a.c", "lib/c.c"]);
        assert_eq!(world.changed(Some(true)), [""; 0]);
        // As old as it ever was, and yet something else than what the objects were made of.
        world.write("a.c", "1");
        assert_eq!(world.changed(Some(true)), ["a.c"]);
    }

    #[test]
    fn what_was_not_made_stays_changed() {
        for close in [Some(false), None] {
            let world = World::new();
            world.changed(Some(true));
            let before = fs::hard_link(world.source().join("a.c"), world.scratch.path().join("before"));
            before.unwrap();
            world.write("a.c", "3");
            assert_eq!(world.changed(close), ["a.c"]);
            assert_eq!(world.changed(close), ["a.c"]);
            // Something may have been made of the version in between, so the one before is no better.
            fs::rename(world.scratch.path().join("before"), world.source().join("a.c")).unwrap();
            assert_eq!(world.changed(Some(true)), ["a.c"]);
            assert_eq!(world.changed(Some(true)), [""; 0]);
        }
    }

    #[test]
    fn first_build_that_failed_leaves_objects_of_what_it_saw() {
        let world = World::new();
        world.changed(Some(false));
        assert_eq!(world.changed(Some(false)), [""; 0]);
        world.write("a.c", "3");
        assert_eq!(world.changed(Some(true)), ["a.c"]);
    }

    #[test]
    fn what_comes_back_is_taken_for_changed() {
        let world = World::new();
        world.changed(Some(true));
        fs::rename(world.source().join("a.c"), world.scratch.path().join("away")).unwrap();
        assert_eq!(world.changed(Some(true)), [""; 0]);
        fs::rename(world.scratch.path().join("away"), world.source().join("a.c")).unwrap();
        assert_eq!(world.changed(Some(true)), ["a.c"]);
    }

    #[test]
    fn what_a_killed_build_wrote_is_not_used() {
        let world = World::new();
        let object = |name: &str| world.objects().join(name);
        world.changed(Some(true));
        fs::create_dir(object("lib")).unwrap();
        fs::write(object("lib/b.o"), "whole").unwrap();
        File::options().write(true).open(object("lib/b.o")).unwrap().set_modified(old()).unwrap();
        world.changed(None);
        fs::write(object("a.o"), "hal").unwrap();
        world.changed(Some(true));
        assert!(object("lib/b.o").exists());
        assert!(!object("a.o").exists());
    }

    #[test]
    fn file_of_which_nothing_is_known_is_another_one() {
        let [one, other, unknown] = ["1:2:3", "1:2:4", UNKNOWN].map(str::to_owned);
        assert!(is_same(Some(&one), Some(&one)));
        assert!(!is_same(Some(&one), Some(&other)));
        assert!(!is_same(None, Some(&one)));
        assert!(!is_same(Some(&unknown), Some(&unknown)));
    }

    #[test]
    fn objects_for_something_else_are_not_used() {
        let world = World::new();
        world.changed(Some(true));
        fs::write(world.objects().join("a.o"), "").unwrap();
        Objects::open(&world.objects(), &world.source(), "gcc 13", &mut |_| ()).unwrap().close(true).unwrap();
        assert!(!world.objects().join("a.o").exists());
    }
}
