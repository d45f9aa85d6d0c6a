//! A recipe as a target of a stack.

use std::collections::BTreeMap;

use super::plan::{ExtraFeature, Options};
use crate::Spanned;
use crate::cargo::CargoWord;
use crate::reader::{FromText, Wrong, table};
use crate::scalar::{EnvRef, ProjectPath, SourceRef, TimeSpan};
use crate::target::ArchiveFile;

table! {
    /// IGVM files of COCONUT-SVSM, as a build recipe of its tree says. Leaves each image by the name of its file.
    ///
    /// The recipe is read as `bootwright xbuild` reads it, and all that it asks for is built in the environment, each
    /// part once in a sandbox of its own. The crates are those of the tree's `Cargo.lock`, fetched by their checksums and
    /// commits before anything runs.
    pub struct Xbuild {
        /// The environment that has cargo, `objcopy` and, if the recipe needs it, `make`.
        env: Spanned<EnvRef>,
        /// The tree. Not one of a Debian package.
        source: Spanned<SourceRef>,
        /// The recipe, relative to the source: `configs/qemu-target.json`.
        recipe: Spanned<ProjectPath>,
        /// The firmware of the guest, whatever the recipe says of it.
        firmware: Option<Spanned<ArchiveFile>>,
        /// Whether everything is built as a release.
        release: bool = false,
        /// Further features: `vtpm` of the kernel, `COMPONENT:FEATURE` of another component.
        features: Vec<Spanned<ExtraFeature>>,
        /// Whether all features of all packages are built.
        all_features: bool = false,
        /// What the kernel says of its version. The default is the name of the commit that was asked for, without a `v` in front.
        version: Option<Spanned<String>>,
        /// Crates of the standard library to compile too, where the environment has only their source: `["core", "alloc"]`.
        /// That is unstable in cargo, and `RUSTC_BOOTSTRAP` is set for it.
        build_std: Vec<Spanned<CargoWord>>,
        /// Further environment variables.
        environment: BTreeMap<String, Spanned<String>>,
        /// How long each part may take.
        timeout: Option<TimeSpan>,
    }
}

impl Xbuild {
    /// Returns what is said beside the recipe.
    pub fn options(&self) -> Options {
        Options {
            release: self.release,
            all_features: self.all_features,
            features: self.features.iter().map(|feature| feature.value.clone()).collect(),
            offline: true,
            verbose: false,
            locked_crates: true,
            build_std: crate::lower::build_std(&self.build_std),
        }
    }
}

impl FromText for ExtraFeature {
    fn from_text(text: &str) -> Result<ExtraFeature, Wrong> {
        text.parse().map_err(|help: String| {
            Wrong::new(format!("`{}` is no feature of a component", text.escape_debug()), help)
        })
    }
}

impl schemars::JsonSchema for ExtraFeature {
    fn schema_name() -> std::borrow::Cow<'static, str> {
        "ExtraFeature".into()
    }

    fn json_schema(_: &mut schemars::SchemaGenerator) -> schemars::Schema {
        schemars::json_schema!({
            "type": "string",
            "description": "A feature of the kernel, or `COMPONENT:FEATURE`.",
            "pattern": "[^:\\s]",
        })
    }
}
