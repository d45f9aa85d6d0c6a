//! Going down into the directories of an image that is read.

/// How long a path in an image that is read can be, in bytes, as Linux has it.
pub(crate) const MOST_PATH: usize = 4096;
/// What is said of a directory that has a longer one.
pub(crate) const TOO_DEEP: &str = "what is in it lies too deep in directories";

/// The directories that a walk is in, depth first, each with what is still to be visited of it. There is one path, so that
/// memory does not grow with what all paths have together.
pub(crate) struct Descent<D, E> {
    path: Vec<u8>,
    above: Vec<Level<D, E>>,
}

struct Level<D, E> {
    directory: D,
    /// The next one last.
    entries: Vec<E>,
    /// Where the directory's own name ends in the path.
    end: usize,
}

impl<D: Copy, E> Descent<D, E> {
    /// Returns one that is in no directory; the first that it enters is the root.
    pub(crate) fn new() -> Descent<D, E> {
        Descent { path: Vec::new(), above: Vec::new() }
    }

    /// Enters the directory that came last. What is in it is visited from the last of `entries` to the first.
    pub(crate) fn enter(&mut self, directory: D, entries: Vec<E>) {
        self.above.push(Level { directory, entries, end: self.path.len() });
    }

    /// Returns what comes next, and the directory that it is in.
    pub(crate) fn next(&mut self, name: impl FnOnce(&E) -> &[u8]) -> Option<(D, E)> {
        loop {
            let level = self.above.last_mut()?;
            self.path.truncate(level.end);
            if let Some(entry) = level.entries.pop() {
                self.path.push(b'/');
                self.path.extend_from_slice(name(&entry));
                return Some((level.directory, entry));
            }
            self.above.pop();
        }
    }

    /// Returns the path of what came last, which begins with a slash.
    pub(crate) fn path(&self) -> &[u8] {
        &self.path
    }

    /// Says whether that path is longer than any.
    pub(crate) fn is_too_deep(&self) -> bool {
        self.path.len() > MOST_PATH
    }

    /// Returns the path of the directory that it is in; that of the root is empty.
    pub(crate) fn directory(&self) -> &[u8] {
        &self.path[..self.above.last().map_or(0, |level| level.end)]
    }
}
