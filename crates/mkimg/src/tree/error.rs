//! Why something cannot be declared, whatever the format.

/// Something cannot be in a file system.
#[derive(Debug, thiserror::Error)]
pub enum Error {
    /// Empty, too long, `.`, `..`, or with `/` or NUL in it.
    #[error("`{name}` cannot be a file name")]
    Name {
        /// The name.
        name: String,
    },
    /// Something other than a directory was given as one.
    #[error("`{path}` is not a directory, so `{name}` cannot be in it")]
    NotADirectory {
        /// Where the parent is.
        path: String,
        /// What should be in it.
        name: String,
    },
    /// Two things have one name.
    #[error("`{path}` is declared twice")]
    Duplicate {
        /// The path.
        path: String,
    },
    /// Something other than a directory has the name of one that is always there.
    #[error("`{path}` must be a directory")]
    Reserved {
        /// The path.
        path: String,
    },
    /// Directories have one name.
    #[error("the directory `{path}` cannot have a second name, `{name}`")]
    LinkToDirectory {
        /// Where the directory is.
        path: String,
        /// The second name.
        name: String,
    },
    /// The format counts names no further.
    #[error("`{path}` has more than {limit} hard links")]
    TooManyLinks {
        /// The first of its names.
        path: String,
        /// The most that there can be.
        limit: u32,
    },
    /// A mode has more than twelve bits.
    #[error("`{path}` cannot have mode {mode:o}: the limit is 7777")]
    Mode {
        /// What it was for.
        path: String,
        /// The mode.
        mode: u16,
    },
    /// A file is larger than the format can say.
    #[error("`{path}` is too large with {size} bytes: the limit is {limit}")]
    FileTooLarge {
        /// The file.
        path: String,
        /// Its size.
        size: u64,
        /// The largest size.
        limit: u64,
    },
    /// Empty, with a NUL byte, or longer than kernels read.
    #[error(
        "the target of the symbolic link `{path}` has {length} bytes: it needs 1 to {limit}, none of them NUL"
    )]
    SymlinkTarget {
        /// The link.
        path: String,
        /// How long the target is.
        length: usize,
        /// How long it could be.
        limit: usize,
    },
    /// Linux has 12 bits for major and 20 bits for minor numbers.
    #[error(
        "`{path}` cannot be device {major}:{minor}: Linux has majors below 4096 and minors below 1048576"
    )]
    Device {
        /// The device.
        path: String,
        /// Its major number.
        major: u32,
        /// Its minor number.
        minor: u32,
    },
    /// Names together pass 4 GiB, or there are 2^32 of something.
    #[error("the tree is too large to be laid out in memory")]
    TooLarge,
}
