//! Builds Linux: patches, configures and compiles it, and keeps what was promised of its configuration.
//!
//! Each of these is a step of its own, done by the tool `kbuild`: `patch` leaves only the files that a series of
//! patches changes, `config` a configuration, `contract` nothing but its word that the configuration is what was asked
//! for, and `build` the kernel. So a kernel is compiled again only when its source or its configuration changed, and
//! configured only when something did on which that depends. `edit` has somebody change a configuration.
//!
//! Everything that is compiled runs through the kernel's own Makefiles (`Documentation/kbuild/kbuild.rst`), with all
//! that would differ from build to build fixed (`Documentation/kbuild/reproducible-builds.rst`).

mod build;
mod config;
mod contract;
mod date;
mod edit;
mod error;
mod fragment;
mod headers;
mod make;
mod modules;
mod needs;
mod objects;
mod patch;
mod reads;
pub mod spec;

pub use build::build;
pub use config::configure;
pub use contract::check;
pub use edit::edit;
pub use error::Error;
pub use fragment::update_fragment;
pub use patch::patch;
pub use reads::{CONFIGURES_NEVER, CONFIGURES_WHOLE, CONFIGURES_WITHOUT};
