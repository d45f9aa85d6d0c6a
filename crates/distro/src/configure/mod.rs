//! Configures unpacked packages: runs their maintainer scripts, and finds out what that changed.
//!
//! Packages can be configured on top of others that are: adding one to a system need not begin anew.
//!
//! The packages' merged tree is the lower, read-only tree of an overlay. In it run the `preinst` scripts and
//! `dpkg --configure`, as a root that `sandbox::emulate` pretends to be: owners, devices and capabilities
//! that they ask for are recorded. What the overlay then has beyond the packages, without what differs from
//! run to run (`cleanup`), becomes a layer. It has the same bytes whoever runs this, and wherever.

mod cleanup;
mod database;
mod difference;
mod directories;
mod diversions;
mod order;
mod packages;
mod prepare;
mod root;
mod scripts;
mod spec;

use std::fs;
use std::io::{self, Write};
use std::path::{Path, PathBuf};

use layer::{BuildError, EntryPath, Layer, PlainError, write_plain};
use sandbox::emulate::Records;
use sandbox::{Overlay, Writable, mount_overlay};

pub use directories::DirectoryError;
pub use diversions::ConflictError;
pub use packages::PackagesError;
pub use scripts::Failure;
pub use spec::{Spec, SpecError, Stage};

use difference::Difference;
use diversions::Diversion;
use order::Step;
use packages::Packages;
use root::Root;
use scripts::Scripts;

/// Where configuring happens.
#[derive(Debug, Clone)]
pub struct Places {
    /// An empty directory on a file system that is not an overlay.
    pub scratch: PathBuf,
    /// The directory that gets `layer.tar`, the changes as a layer, and `tree`, the same as plain files.
    pub out: PathBuf,
    /// An executable that calls [`sandbox::init::run_if_requested`] first thing: our own.
    pub init: PathBuf,
}

/// Why packages could not be configured.
#[derive(Debug, thiserror::Error)]
pub enum ConfigureError {
    /// The layers are not those of packages that can be configured together.
    #[error("could not read the packages")]
    Packages(#[from] PackagesError),
    /// Two packages have a file of the same name.
    #[error("the packages cannot be installed together")]
    Conflict(#[from] ConflictError),
    /// One has a directory where the other has something else.
    #[error("the packages cannot be installed together")]
    Directory(#[from] DirectoryError),
    /// Nobody there who could configure.
    #[error("dpkg is not among the packages")]
    NoDpkg,
    /// A script failed.
    #[error("{0}")]
    Script(Failure),
    /// There was no world to run a script in.
    #[error("could not run the maintainer scripts")]
    Sandbox(#[from] sandbox::Error),
    /// Something in the root, or about what was changed there.
    #[error("could not {doing} `/{path}` in the root")]
    Root {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: String,
        /// What the system said.
        source: io::Error,
    },
    /// Something in the scratch or output directory.
    #[error("could not {doing} `{path}`")]
    Place {
        /// What was being done.
        doing: &'static str,
        /// To what.
        path: PathBuf,
        /// What the system said.
        source: io::Error,
    },
    /// The changes do not make a layer.
    #[error("could not write what was changed as a layer")]
    Layer(#[from] BuildError),
    /// Nor can they be plain files.
    #[error("could not write what was changed as plain files")]
    Plain(#[from] PlainError),
}

impl ConfigureError {
    pub(self) fn root(doing: &'static str, path: &EntryPath, source: io::Error) -> ConfigureError {
        ConfigureError::Root { doing, path: path.to_string(), source }
    }

    pub(self) fn place(doing: &'static str, path: &Path, source: io::Error) -> ConfigureError {
        ConfigureError::Place { doing, path: path.to_owned(), source }
    }

    /// Says whether this machine is to blame and not the packages.
    pub fn is_machine(&self) -> bool {
        matches!(
            self,
            Self::Sandbox(_) | Self::Root { .. } | Self::Place { .. } | Self::Layer(_) | Self::Plain(_)
        )
    }

    /// Returns what the reader can do about it.
    pub fn help(&self) -> Option<&str> {
        match self {
            Self::NoDpkg => Some("add `dpkg` and the packages that are Essential"),
            Self::Sandbox(error) => error.help(),
            _ => None,
        }
    }
}

/// Configures packages as `spec` says. What the scripts print goes to `log`.
///
/// The caller must be root of a single-user namespace, see [`sandbox::emulate::run`].
pub fn configure(spec: &Spec, places: &Places, log: &mut (dyn Write + Send)) -> Result<(), ConfigureError> {
    allow_open_layers();
    let packages = Packages::read(&spec.below, &spec.layers)?;
    if packages.get(b"usr/bin/dpkg").is_none() {
        return Err(ConfigureError::NoDpkg);
    }
    directories::check(&packages)?;
    let mount = Mounted::new(spec, &places.scratch)?;
    let open_error = |source| ConfigureError::place("open", &mount.root, source);
    let mut root = Root::open(&mount.root).map_err(open_error)?;
    prepare::prepare(&mut root, &packages, spec)?;
    let epoch = packages.epoch();
    let mut records = Records::default();
    let mut scripts = Scripts {
        root: &mount.root,
        init: &places.init,
        environment: scripts::environment(epoch),
        records: &mut records,
        log: &mut *log,
    };
    run_scripts(spec, &packages, &mut root, &mut scripts)?;

    let difference = Difference {
        packages: &packages,
        root: &root,
        records: &records,
        lower: &spec.root,
        upper: &mount.writable.upper,
        mount: &mount.root,
        epoch,
    };
    let path = places.out.join("layer.tar");
    let write_error = |source| ConfigureError::place("write", &path, source);
    let file = fs::File::create_new(&path).map_err(write_error)?;
    let (changes, keys) = difference.layer()?;
    for key in keys {
        // Whoever no longer reads the log still wants the result.
        let _nobody_reads_it = writeln!(
            log,
            "note: `/{key}` is a private key that a script made: all that is made of this has the same one"
        );
    }
    let sink = changes.write(io::BufWriter::with_capacity(256 << 10, file))?;
    sink.into_inner().map_err(|error| write_error(error.into_error()))?;
    let layer = Layer::open(&path).map_err(|source| ConfigureError::place("read", &path, source))?;
    Ok(write_plain(&layer, &places.out.join("tree"))?)
}

/// Every package's layer stays open, and a sandbox allows no more than 1024 files unless it is asked.
fn allow_open_layers() {
    use rustix::process::{Resource, getrlimit, setrlimit};
    let limit = getrlimit(Resource::Nofile);
    let wanted = rustix::process::Rlimit { current: limit.maximum, ..limit };
    // If it stays as it is and is too low, opening a layer says so.
    let _stays_as_it_is = setrlimit(Resource::Nofile, wanted);
}

/// The overlay in which everything happens, unmounted and removed when dropped.
struct Mounted {
    root: PathBuf,
    writable: Writable,
}

impl Mounted {
    fn new(spec: &Spec, scratch: &Path) -> Result<Mounted, ConfigureError> {
        let writable = Writable { upper: scratch.join("upper"), work: scratch.join("work") };
        let root = scratch.join("root");
        for path in [&root, &writable.upper, &writable.work] {
            fs::create_dir(path).map_err(|source| ConfigureError::place("make", path, source))?;
        }
        let overlay = Overlay { lowers: vec![spec.root.clone()], writable: Some(writable.clone()) };
        mount_overlay(&overlay, &root)?;
        Ok(Mounted { root, writable })
    }
}

impl Drop for Mounted {
    fn drop(&mut self) {
        // What cannot be removed now is removed with the world that this runs in.
        let _still_used = rustix::mount::unmount(&self.root, rustix::mount::UnmountFlags::DETACH);
        for path in [&self.writable.upper, &self.writable.work, &self.root] {
            let _still_used = sandbox::remove_tree(path);
        }
    }
}

fn run_scripts(
    spec: &Spec,
    packages: &Packages,
    root: &mut Root,
    scripts: &mut Scripts<'_>,
) -> Result<(), ConfigureError> {
    if !spec.preseed.is_empty() {
        let input = scripts::input(&spec.preseed)
            .map_err(|source| ConfigureError::place("write", Path::new("preseed"), source))?;
        if let Some(failure) = scripts.attempt(&["debconf-set-selections"], &[], Some(&input))? {
            return Err(ConfigureError::Script(failure));
        }
    }
    let mut diversions = read_diversions(root)?;
    for diversion in diversions.iter().filter(|diversion| diversion.concerns_new(packages)) {
        follow_diversion(packages, root, diversion)?;
    }
    for step in order::steps(&packages.candidates(), packages.n_configured) {
        match step {
            Step::Preinst(idx) => {
                run_preinst(packages, idx, scripts)?;
                follow_diversions(packages, root, &mut diversions)?;
            }
            Step::Configure(set) => {
                let names: Vec<String> =
                    set.iter().map(|idx| packages.all[*idx].identity.info_name()).collect();
                let mut arguments = vec!["--no-triggers", "--configure"];
                arguments.extend(names.iter().map(String::as_str));
                run_dpkg(scripts, &arguments)?;
            }
            Step::ConfigureAll => {
                if let Some(conflict) = root.conflicts.first() {
                    return Err(conflict.clone().into());
                }
                run_dpkg(scripts, &["--configure", "--pending"])?;
            }
        }
    }
    Ok(())
}

fn run_preinst(packages: &Packages, idx: usize, scripts: &mut Scripts<'_>) -> Result<(), ConfigureError> {
    let package = &packages.all[idx].identity;
    let dpkg = packages.all.iter().find(|package| package.identity.name == "dpkg");
    let script = format!("/{}", package.info_path("preinst"));
    let environment = [
        // debconf knows this only of scripts that dpkg runs from its own directory.
        ("DEBCONF_PACKAGE", package.name.as_str()),
        ("DPKG_ADMINDIR", "/var/lib/dpkg"),
        ("DPKG_MAINTSCRIPT_ARCH", &package.architecture),
        ("DPKG_MAINTSCRIPT_DEBUG", "0"),
        ("DPKG_MAINTSCRIPT_NAME", "preinst"),
        ("DPKG_MAINTSCRIPT_PACKAGE", &package.name),
        ("DPKG_MAINTSCRIPT_PACKAGE_REFCOUNT", "1"),
        ("DPKG_RUNNING_VERSION", dpkg.map_or("", |dpkg| &dpkg.identity.version)),
    ];
    match scripts.attempt(&[&script, "install"], &environment, None)? {
        None => Ok(()),
        Some(failure) => {
            let package = Some(package.info_name());
            Err(ConfigureError::Script(Failure { package, script: "preinst".to_owned(), ..failure }))
        }
    }
}

fn run_dpkg(scripts: &mut Scripts<'_>, arguments: &[&str]) -> Result<(), ConfigureError> {
    // Questions about changed conffiles, if there are any, are answered without asking; the first failure ends
    // it, so that what is shown last is what failed.
    let mut all = vec!["dpkg", "--force-confdef", "--force-confold", "--abort-after=1", "--log=/dev/null"];
    all.extend_from_slice(arguments);
    let (exit, output) = scripts.run(&all, &[], None)?;
    match scripts::failure("dpkg", exit, &output) {
        None => Ok(()),
        Some(failure) => Err(ConfigureError::Script(scripts::blame(failure, &output))),
    }
}

/// Puts files where diversions that are not yet `known` want them.
fn follow_diversions(
    packages: &Packages,
    root: &mut Root,
    known: &mut Vec<Diversion>,
) -> Result<(), ConfigureError> {
    let now = read_diversions(root)?;
    for diversion in now.iter().filter(|diversion| !known.contains(diversion)) {
        follow_diversion(packages, root, diversion)?;
    }
    *known = now;
    Ok(())
}

fn follow_diversion(
    packages: &Packages,
    root: &mut Root,
    diversion: &Diversion,
) -> Result<(), ConfigureError> {
    for placement in diversion.placements(packages) {
        root.place(packages, &placement)?;
        root.conflicts.retain(|conflict| conflict.path != placement.path);
    }
    Ok(())
}

fn read_diversions(root: &Root) -> Result<Vec<Diversion>, ConfigureError> {
    let path = "var/lib/dpkg/diversions";
    let read_error = |source| ConfigureError::Root { doing: "read", path: path.to_owned(), source };
    let text = root.read(path).map_err(read_error)?.unwrap_or_default();
    Ok(diversions::parse(&String::from_utf8_lossy(&text)))
}
