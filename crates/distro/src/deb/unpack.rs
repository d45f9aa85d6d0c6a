//! From the bytes of a package to its layer.

use std::collections::BTreeSet;
use std::fs::File;
use std::io::{self, BufReader, BufWriter, Read, Write};
use std::path::{Path, PathBuf};

use layer::{
    BuildError, Builder, Content, Declaration, Entry, EntryPath, ForeignError, ForeignReader, Kind, Limits,
    Metadata, WriteError,
};
use md5::{Digest, Md5};

use crate::deb::ahead::read_ahead;
use crate::deb::ar::{ArError, Archive};
use crate::deb::compression::{Compression, MAX_HEADERS, unpacked_limit};
use crate::deb::package::{ControlError, Identity};
use crate::deb::spool::Spool;
use crate::deb::{hexadecimal, usr_merge};

/// Why there is no layer.
#[derive(Debug, thiserror::Error)]
pub enum UnpackError {
    /// The package could not be opened.
    #[error("could not open the package `{path}`")]
    Open {
        /// The package.
        path: PathBuf,
        /// What opening said.
        source: io::Error,
    },
    /// The layer could not be written.
    #[error("could not write `{path}`")]
    Create {
        /// The layer.
        path: PathBuf,
        /// What writing said.
        source: io::Error,
    },
    /// Contents could not be kept until the layer is written.
    #[error("could not write scratch data")]
    Scratch(#[source] io::Error),
    /// The package is no archive.
    #[error("the package is damaged")]
    Ar(#[from] ArError),
    /// An archive, but no package of the format 2.
    #[error("the file is not a Debian package: {0}")]
    NotPackage(&'static str),
    /// A member with an ending that we do not know.
    #[error("the member `{0}` has a compression that is not supported")]
    Compression(String),
    /// A member could not be decompressed, or its compressed data go on where they should have ended.
    #[error("could not decompress the member `{member}`")]
    Decompress {
        /// The member.
        member: &'static str,
        /// What is wrong with it.
        source: io::Error,
    },
    /// A member is no archive of files, or a harmful one.
    #[error("could not read the files of the member `{member}`")]
    Tar {
        /// The member.
        member: &'static str,
        /// What is wrong with it.
        source: ForeignError,
    },
    /// Control files are small plain files with plain names.
    #[error("the control file `{path}` is {problem}")]
    ControlFile {
        /// The file.
        path: EntryPath,
        /// What is wrong with it.
        problem: &'static str,
    },
    /// The stanza that says what the package is.
    #[error("the package's control stanza cannot be used")]
    Control(#[from] ControlError),
    /// Far more than it says of itself, or than is in anything of its size.
    #[error(
        "the package has more than {limit} bytes of files, far more than it says or its size lets expect"
    )]
    TooLarge {
        /// Where reading stopped.
        limit: u64,
    },
    /// Two files that are one when `/bin` is `/usr/bin`.
    #[error("the package has two files that would lie at `{path}` on a system with a merged /usr")]
    SamePlace {
        /// The path of both.
        path: EntryPath,
    },
    /// The files do not make a layer.
    #[error("the package's files do not make a layer")]
    Build(#[from] BuildError),
}

impl UnpackError {
    /// Says whether this machine is to blame and not the package.
    pub fn is_machine(&self) -> bool {
        match self {
            UnpackError::Open { .. } | UnpackError::Create { .. } | UnpackError::Scratch(_) => true,
            UnpackError::Ar(ArError::Read(_)) => true,
            UnpackError::Build(BuildError::Write(error)) => {
                matches!(error, WriteError::Sink { .. } | WriteError::End { .. } | WriteError::Content { .. })
            }
            _ => false,
        }
    }
}

/// Control files are copied to memory; the largest known are some megabytes.
const MAX_CONTROL: u64 = 64 << 20;
/// The stanza is also understood, which takes many times its size; the largest of Debian 12 has 80 KB.
const MAX_STANZA: u64 = 1 << 20;
/// What may follow the end of an archive: GNU tar fills up its last record.
const MAX_TRAILING: u64 = 1 << 20;

/// Writes the layer of the package in the file `deb` to the new file `layer`, and returns what it is.
///
/// If it fails, `layer` may have been begun.
pub fn unpack(deb: &Path, layer: &Path) -> Result<Identity, UnpackError> {
    let open_error = |source| UnpackError::Open { path: deb.to_owned(), source };
    let input = File::open(deb).map_err(open_error)?;
    let size = input.metadata().map_err(open_error)?.len();
    let create_error = |source| UnpackError::Create { path: layer.to_owned(), source };
    let output = File::create_new(layer).map_err(create_error)?;
    let scratch = layer.with_extension("scratch");
    let output = BufWriter::with_capacity(256 << 10, output);
    let (identity, output) = unpack_sized(input, size, output, scratch)?;
    output.into_inner().map_err(|error| create_error(error.into_error()))?;
    Ok(identity)
}

/// Writes the layer of the package that `input` gives to `sink`; returns what the package is, and the sink.
///
/// The layer has the package's files where they lie on a system with a merged /usr, dpkg's files about the
/// package in [`INFO_DIRECTORY`](crate::deb::INFO_DIRECTORY), and its control stanza in
/// [`STATUS_DIRECTORY`](crate::deb::STATUS_DIRECTORY). A large package needs the file `scratch` for a moment.
pub fn unpack_to<W: Write>(
    input: impl Read + Send,
    sink: W,
    scratch: PathBuf,
) -> Result<(Identity, W), UnpackError> {
    unpack_sized(input, u64::MAX, sink, scratch)
}

/// As [`unpack_to`]; `input` gives no more than `size` bytes, whatever the members say of theirs.
fn unpack_sized<W: Write>(
    input: impl Read + Send,
    size: u64,
    sink: W,
    scratch: PathBuf,
) -> Result<(Identity, W), UnpackError> {
    let mut archive = Archive::new(BufReader::with_capacity(64 << 10, input))?;
    read_format(&mut archive)?;
    let (compression, _) = find_member(&mut archive, "control.tar")?;
    let decoded = compression
        .decode_within(archive.contents(), MAX_CONTROL + (16 << 20))
        .map_err(decompress_error("control.tar"))?;
    let control = ControlFiles::read(decoded)?;
    let (compression, member_size) = find_member(&mut archive, "data.tar")?;
    let mut package = Package::new(&control, scratch, unpacked_limit(member_size.min(size)));
    std::thread::scope(|scope| {
        let decoded = compression
            .decode_within(archive.contents(), package.limit.saturating_add(MAX_HEADERS))
            .map_err(decompress_error("data.tar"))?;
        package.read_data(read_ahead(scope, decoded))
    })?;
    package.add_info(&control)?;
    let sink = package.into_builder().write(sink)?;
    Ok((control.identity, sink))
}

fn decompress_error(member: &'static str) -> impl Fn(io::Error) -> UnpackError {
    move |source| UnpackError::Decompress { member, source }
}

fn read_format(archive: &mut Archive<impl Read>) -> Result<(), UnpackError> {
    match archive.next_member()? {
        Some(member) if member.name == "debian-binary" && member.size < 64 => {}
        _ => return Err(UnpackError::NotPackage("its first member is not `debian-binary`")),
    }
    let mut format = Vec::new();
    archive.contents().read_to_end(&mut format).map_err(|source| UnpackError::Ar(ArError::Read(source)))?;
    // deb(5): minor numbers and further lines are for additions that do not matter to us.
    match format.strip_prefix(b"2.").and_then(|rest| rest.first()) {
        Some(digit) if digit.is_ascii_digit() => Ok(()),
        _ => Err(UnpackError::NotPackage("its format is not 2.x")),
    }
}

/// Goes to the member called `name` with any suffix, which must be the next one that deb(5) does not tell
/// readers to ignore; returns how it is compressed, and its size.
fn find_member(
    archive: &mut Archive<impl Read>,
    name: &'static str,
) -> Result<(Compression, u64), UnpackError> {
    loop {
        let Some(member) = archive.next_member()? else {
            return Err(UnpackError::NotPackage("it has no `control.tar` followed by a `data.tar`"));
        };
        match member.name.strip_prefix(name) {
            Some(suffix) => {
                return match Compression::from_suffix(suffix) {
                    Some(compression) => Ok((compression, member.size)),
                    None => Err(UnpackError::Compression(member.name)),
                };
            }
            None if member.name.starts_with('_') => {}
            None => return Err(UnpackError::NotPackage("it has no `control.tar` followed by a `data.tar`")),
        }
    }
}

/// Reads what follows the end of an archive, so that the decoder verifies its checksums.
fn read_to_end(member: &'static str, mut decoded: impl Read) -> Result<(), UnpackError> {
    let trailing = io::copy(&mut (&mut decoded).take(MAX_TRAILING + 1), &mut io::sink());
    match trailing.map_err(decompress_error(member))? {
        n if n <= MAX_TRAILING => Ok(()),
        _ => {
            let source =
                io::Error::new(io::ErrorKind::InvalidData, "data go on behind the end of the archive");
            Err(UnpackError::Decompress { member, source })
        }
    }
}

/// The contents of `control.tar`.
struct ControlFiles {
    identity: Identity,
    control: Vec<u8>,
    /// The time that files get which dpkg would write now.
    mtime: i64,
    /// All but `control`, with their names.
    others: Vec<(String, Metadata, Vec<u8>)>,
}

impl ControlFiles {
    fn read(mut decoded: impl Read) -> Result<ControlFiles, UnpackError> {
        let tar_error = |source| UnpackError::Tar { member: "control.tar", source };
        let mut reader = ForeignReader::new(&mut decoded, Limits { paths: 1000, metadata_bytes: 1 << 20 });
        let (mut control, mut others, mut total) = (None, Vec::new(), 0);
        while let Some((entry, mut content)) = reader.next_entry().map_err(tar_error)? {
            let problem = |problem| UnpackError::ControlFile { path: entry.path.clone(), problem };
            let Kind::File { size } = entry.kind else { return Err(problem("not a plain file")) };
            let name = match entry.path.as_str() {
                Some(name) if name.bytes().all(|b| b.is_ascii_alphanumeric() || b"-_".contains(&b)) => name,
                _ => return Err(problem("not named as control files are")),
            };
            total += size;
            if total > MAX_CONTROL || (name == "control" && size > MAX_STANZA) {
                return Err(problem("too large"));
            }
            let mut bytes = Vec::new();
            content.read_to_end(&mut bytes).map_err(decompress_error("control.tar"))?;
            match name {
                "control" => control = Some((bytes, entry.metadata.mtime)),
                // dpkg writes it itself.
                "list" => {}
                _ => {
                    // Scripts belong to root, whoever built the package.
                    let metadata = Metadata { uid: 0, gid: 0, ..entry.metadata };
                    others.push((name.to_owned(), metadata, bytes));
                }
            }
        }
        read_to_end("control.tar", decoded)?;
        let (control, mtime) =
            control.ok_or(UnpackError::NotPackage("its `control.tar` has no `control`"))?;
        let identity = Identity::parse(&String::from_utf8_lossy(&control))?;
        Ok(ControlFiles { identity, control, mtime, others })
    }

    fn has(&self, name: &str) -> bool {
        self.others.iter().any(|(other, ..)| other == name)
    }
}

/// A layer that is being collected.
struct Package {
    builder: Builder,
    spool: Spool,
    /// Where the contents of files are in the spool; declared when the spool is complete.
    files: Vec<(EntryPath, Metadata, u64, u64)>,
    /// The paths as the package has them, as dpkg lists them.
    list: Vec<u8>,
    /// Those of them that are directories.
    directories: BTreeSet<EntryPath>,
    /// What the control file `md5sums` would say, if the package has none.
    md5sums: Option<Vec<u8>>,
    limit: u64,
}

impl Package {
    fn new(control: &ControlFiles, scratch: PathBuf, max_limit: u64) -> Package {
        let text = String::from_utf8_lossy(&control.control);
        let installed_size =
            crate::deb822::single(&text).ok().and_then(|fields| fields.get("Installed-Size")?.parse().ok());
        Package {
            builder: Builder::default(),
            spool: Spool::new(scratch),
            files: Vec::new(),
            list: b"/.\n".to_vec(),
            directories: BTreeSet::new(),
            md5sums: (!control.has("md5sums")).then(Vec::new),
            // Installed-Size is in KiB, and an estimate; it may say anything.
            limit: installed_size.unwrap_or(0_u64).saturating_mul(8 << 10).max(1 << 30).min(max_limit),
        }
    }

    fn read_data(&mut self, mut decoded: impl Read) -> Result<(), UnpackError> {
        let tar_error = |source| UnpackError::Tar { member: "data.tar", source };
        let mut reader = ForeignReader::new(&mut decoded, Limits::default());
        let mut buffer = vec![0; 256 << 10];
        while let Some((entry, mut content)) = reader.next_entry().map_err(tar_error)? {
            if entry.kind == Kind::Directory && !self.directories.insert(entry.path.clone()) {
                // dpkg leaves a directory that is there as it is.
                continue;
            }
            self.list.push(b'/');
            self.list.extend_from_slice(entry.path.as_bytes());
            self.list.push(b'\n');
            if !matches!(entry.kind, Kind::File { .. }) {
                self.declare(entry)?;
                continue;
            }
            let start = self.spool.length();
            if entry.size().saturating_add(start) > self.limit {
                return Err(UnpackError::TooLarge { limit: self.limit });
            }
            let mut digest = self.md5sums.is_some().then(Md5::new);
            loop {
                match content.read(&mut buffer) {
                    Ok(0) => break,
                    Ok(n) => {
                        if let Some(digest) = &mut digest {
                            digest.update(&buffer[..n]);
                        }
                        self.spool.append(&buffer[..n]).map_err(UnpackError::Scratch)?;
                    }
                    Err(error) if error.kind() == io::ErrorKind::Interrupted => {}
                    Err(source) => return Err(UnpackError::Decompress { member: "data.tar", source }),
                }
            }
            if let (Some(md5sums), Some(digest)) = (&mut self.md5sums, digest) {
                md5sums.extend_from_slice(format!("{}  ", hexadecimal(&digest.finalize())).as_bytes());
                md5sums.extend_from_slice(entry.path.as_bytes());
                md5sums.push(b'\n');
            }
            let path = usr_merge::real_path(&entry.path).unwrap_or_else(|| entry.path.clone());
            self.make_room(&path)?;
            // Declared as what it is, so that a second file at its place is found; the contents come later.
            let placeholder = Declaration::File(Content::Bytes(Vec::new()));
            self.builder.declare(path.clone(), entry.metadata.clone(), placeholder)?;
            self.files.push((path, entry.metadata, start, self.spool.length() - start));
        }
        read_to_end("data.tar", decoded)
    }

    fn declare(&mut self, entry: Entry) -> Result<(), UnpackError> {
        let real = match entry.kind {
            Kind::Directory => {
                usr_merge::real_directory(&entry.path).or_else(|| usr_merge::real_path(&entry.path))
            }
            _ => usr_merge::real_path(&entry.path),
        };
        let is_literal = real.is_none();
        let path = real.unwrap_or_else(|| entry.path.clone());
        let declaration = match &entry.kind {
            Kind::Directory => {
                // `lib` and `usr/lib` are one directory, for which the package has two entries.
                match self.builder.get(&path) {
                    Some((_, Declaration::Directory)) if !is_literal => return Ok(()),
                    Some((_, Declaration::Directory)) => drop(self.builder.withdraw(&path)),
                    _ => {}
                }
                Declaration::Directory
            }
            Kind::Symlink { target } => {
                if self.builder.get(&path).is_some() && points_to_itself(&path, target) {
                    return Ok(());
                }
                Declaration::Symlink(target.clone())
            }
            Kind::HardLink { target } => {
                Declaration::HardLink(usr_merge::real_path(target).unwrap_or_else(|| target.clone()))
            }
            Kind::CharDevice { major, minor } => Declaration::CharDevice(*major, *minor),
            Kind::BlockDevice { major, minor } => Declaration::BlockDevice(*major, *minor),
            Kind::Fifo => Declaration::Fifo,
            Kind::File { .. } | Kind::Whiteout | Kind::OpaqueDirectory => {
                unreachable!("files are declared with their contents, and foreign archives have no whiteouts")
            }
        };
        self.make_room(&path)?;
        Ok(self.builder.declare(path, entry.metadata, declaration)?)
    }

    /// Makes sure that nothing of the package is at `path` yet. A compatibility link from there to itself,
    /// which a merged /usr makes of one from `/usr/bin` to `/bin`, gives way.
    fn make_room(&mut self, path: &EntryPath) -> Result<(), UnpackError> {
        match self.builder.get(path) {
            None => Ok(()),
            Some((_, Declaration::Symlink(target))) if points_to_itself(path, target) => {
                self.builder.withdraw(path);
                Ok(())
            }
            Some(_) => Err(UnpackError::SamePlace { path: path.clone() }),
        }
    }

    fn add_info(&mut self, control: &ControlFiles) -> Result<(), UnpackError> {
        let metadata = Metadata { mtime: control.mtime, ..Metadata::with_mode(0o644) };
        let mut add = |path, metadata: &Metadata, bytes: &[u8]| {
            let content = Declaration::File(Content::Bytes(bytes.to_vec()));
            self.builder.declare(path, metadata.clone(), content)
        };
        add(control.identity.info_path("list"), &metadata, &self.list)?;
        add(control.identity.status_path(), &metadata, &control.control)?;
        if let Some(md5sums) = &self.md5sums {
            add(control.identity.info_path("md5sums"), &metadata, md5sums)?;
        }
        for (name, metadata, bytes) in &control.others {
            add(control.identity.info_path(name), metadata, bytes)?;
        }
        Ok(())
    }

    fn into_builder(mut self) -> Builder {
        let source = self.spool.into_source();
        for (path, metadata, offset, size) in self.files {
            self.builder.withdraw(&path);
            let content = Declaration::File(Content::Part { source: source.clone(), offset, size });
            self.builder.declare(path, metadata, content).expect("what was at the path is withdrawn");
        }
        self.builder
    }
}

/// Says whether a symbolic link at `path` with this target means `path` itself once /usr is merged.
fn points_to_itself(path: &EntryPath, target: &[u8]) -> bool {
    let mut components: Vec<&[u8]> = Vec::new();
    if target.first() != Some(&b'/') {
        components.extend(path.components());
        components.pop();
    }
    for component in target.split(|byte| *byte == b'/') {
        match component {
            b"" | b"." => {}
            b".." => drop(components.pop()),
            _ => components.push(component),
        }
    }
    let Ok(meant) = EntryPath::new(components.join(&b'/')) else { return false };
    usr_merge::real_path(&meant).unwrap_or(meant) == *path
}
