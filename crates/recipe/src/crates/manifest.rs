//! The manifest of a crate that is taken out of its repository.
//!
//! What it inherits of a workspace is not there any more then, so it is written into it, as `cargo vendor` does
//! (The Cargo Book, "Workspaces", "The `package` table", "The `dependencies` table", "The `lints` table").

use toml::{Table, Value};

/// What a manifest says of its package.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Package {
    /// Its name.
    pub name: String,
    /// Its version; `None` when it is the workspace's, or there is none: then it is `0.0.0`.
    pub version: Option<String>,
    /// Whether something of it is the workspace's.
    pub inherits: bool,
}

/// Why a manifest cannot stand alone.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum ManifestError {
    /// It is no TOML.
    #[error("`Cargo.toml` is damaged: {0}")]
    Form(String),
    /// It inherits what the workspace does not have.
    #[error("`Cargo.toml` takes `{0}` from its workspace, which does not have it")]
    Absent(String),
    /// It inherits one large thing many times.
    #[error("`Cargo.toml` takes more than {MAX_INHERITED} bytes from its workspace")]
    TooLarge,
}

/// How many bytes of dependencies a manifest may inherit. Each of its targets may inherit the same.
const MAX_INHERITED: usize = 16 << 20;

/// Where dependencies are, in a manifest and for each of its targets.
const DEPENDENCIES: [&str; 5] =
    ["dependencies", "dev-dependencies", "dev_dependencies", "build-dependencies", "build_dependencies"];

/// Returns what a manifest says of its package, if it is one of a package.
pub fn package(text: &str) -> Result<Option<Package>, ManifestError> {
    let manifest = table(text)?;
    let Some(package) = manifest.get("package").or_else(|| manifest.get("project")) else { return Ok(None) };
    let Some(name) = package.get("name").and_then(Value::as_str) else { return Ok(None) };
    let version = package.get("version").and_then(Value::as_str).map(str::to_owned);
    Ok(Some(Package { name: name.to_owned(), version, inherits: inherits(&Value::Table(manifest.clone())) }))
}

/// Says whether a manifest is one of a workspace.
pub fn is_workspace(text: &str) -> bool {
    table(text).is_ok_and(|manifest| manifest.contains_key("workspace"))
}

/// Returns the version that a workspace has its packages inherit, if there is one.
pub fn version_of_workspace(text: &str) -> Option<String> {
    let manifest = table(text).ok()?;
    let version = manifest.get("workspace")?.get("package")?.get("version")?;
    version.as_str().map(str::to_owned)
}

/// Returns the manifest with all that it inherits from `workspace`, the manifest of that.
///
/// Fails when either is damaged, or something is inherited that is not there.
pub fn stand_alone(text: &str, workspace: &str) -> Result<String, ManifestError> {
    let mut manifest = table(text)?;
    let root = table(workspace)?;
    let empty = Table::new();
    let of = |key: &str| root.get("workspace").and_then(|workspace| workspace.get(key)?.as_table());
    let (packages, dependencies) = (of("package").unwrap_or(&empty), of("dependencies").unwrap_or(&empty));
    if let Some(package) = manifest.get_mut("package").and_then(Value::as_table_mut) {
        let inherited: Vec<String> =
            package.iter().filter(|(_, value)| is_inherited(value)).map(|(key, _)| key.clone()).collect();
        for key in inherited {
            let value =
                packages.get(&key).ok_or_else(|| ManifestError::Absent(format!("package.{key}")))?.clone();
            package.insert(key, value);
        }
        // That there is a workspace above is true no more.
        package.remove("workspace");
    }
    if manifest.get("lints").is_some_and(is_inherited) {
        let lints = of("lints").ok_or_else(|| ManifestError::Absent("lints".to_owned()))?;
        manifest.insert("lints".to_owned(), Value::Table(lints.clone()));
    }
    let mut left = MAX_INHERITED;
    add_dependencies(&mut manifest, dependencies, &mut left)?;
    if let Some(targets) = manifest.get_mut("target").and_then(Value::as_table_mut) {
        for (_, target) in targets.iter_mut() {
            if let Some(target) = target.as_table_mut() {
                add_dependencies(target, dependencies, &mut left)?;
            }
        }
    }
    manifest.remove("workspace");
    Ok(manifest.to_string())
}

fn table(text: &str) -> Result<Table, ManifestError> {
    text.parse().map_err(|error: toml::de::Error| ManifestError::Form(error.message().to_owned()))
}

/// Says whether a value is `{ workspace = true }`, perhaps with more.
fn is_inherited(value: &Value) -> bool {
    value.get("workspace").and_then(Value::as_bool) == Some(true)
}

fn inherits(value: &Value) -> bool {
    match value {
        Value::Table(table) => is_inherited(value) || table.iter().any(|(_, value)| inherits(value)),
        _ => false,
    }
}

/// Writes out the dependencies of `table` that are the workspace's. What they say themselves is added: features come
/// together, the rest counts more. What the workspace has of them is taken off `left`.
fn add_dependencies(table: &mut Table, workspace: &Table, left: &mut usize) -> Result<(), ManifestError> {
    for kind in DEPENDENCIES {
        let Some(dependencies) = table.get_mut(kind).and_then(Value::as_table_mut) else { continue };
        for (name, dependency) in dependencies.iter_mut() {
            if !is_inherited(dependency) {
                continue;
            }
            let absent = || ManifestError::Absent(format!("dependencies.{name}"));
            let inherited = workspace.get(name).ok_or_else(absent)?;
            *left = left.checked_sub(inherited.to_string().len()).ok_or(ManifestError::TooLarge)?;
            let mut whole = match inherited {
                Value::Table(table) => table.clone(),
                version => Table::from_iter([("version".to_owned(), version.clone())]),
            };
            let own = dependency.as_table().into_iter().flatten();
            for (key, value) in own.filter(|(key, _)| *key != "workspace") {
                match (key.as_str(), whole.get_mut(key), value) {
                    ("features", Some(Value::Array(features)), Value::Array(more)) => {
                        features.extend(more.iter().cloned());
                    }
                    // A member can only switch them on again (The Cargo Book, "Inheriting a dependency").
                    ("default-features" | "default_features", Some(_), value)
                        if value.as_bool() == Some(false) => {}
                    _ => _ = whole.insert(key.clone(), value.clone()),
                }
            }
            *dependency = Value::Table(whole);
        }
    }
    Ok(())
}
