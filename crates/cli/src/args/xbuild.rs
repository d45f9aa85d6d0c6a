//! The command line of `xbuild`: that of COCONUT's own program of this name.

use std::path::PathBuf;

use clap::Args;
use recipe::xbuild::ExtraFeature;

/// What is built, and how.
#[derive(Clone, Debug, Args)]
pub(crate) struct Xbuild {
    /// Build releases
    #[arg(short, long)]
    pub(crate) release: bool,
    /// Build all features of everything
    #[arg(short, long)]
    pub(crate) all_features: bool,
    /// Build these features, too: of `svsm`, or of the component that is named
    #[arg(short, long = "feature", value_name = "[COMPONENT:]FEATURE", value_delimiter = ',')]
    pub(crate) features: Vec<ExtraFeature>,
    /// Have cargo and make tell more
    #[arg(short, long)]
    pub(crate) verbose: bool,
    /// The same as --offline, which goes for cargo, too
    #[arg(short = 'o')]
    pub(crate) is_offline: bool,
    /// Print each recipe before it is built
    #[arg(short, long)]
    pub(crate) print_config: bool,
    /// Build in an environment of the tree's `bootwright.toml`, each part in a sandbox, instead of with this machine's tools
    #[arg(long, value_name = "NAME")]
    pub(crate) env: Option<String>,
    /// Only warn of what COCONUT's own program passes over: unknown attributes, parts and features
    #[arg(long)]
    pub(crate) compat: bool,
    /// The recipes
    #[arg(required = true, value_name = "RECIPE")]
    pub(crate) recipes: Vec<PathBuf>,
}
