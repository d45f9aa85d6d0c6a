//! Device trees: where they come from and what is changed in them.

mod arm;
pub(crate) mod edits;
mod origin;
mod values;

use std::borrow::Cow;
use std::collections::BTreeMap;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Spanned;
use crate::reader::{FromText, Wrong, table};
use crate::scalar::{EnvRef, MachineRef, Name, TargetRef};

pub use arm::{Chosen, Cpus, GicV2, GicV3, Pl011, PsciMethod, Root, VirtioMmio, Window};
pub use origin::{InSource, Origin};
pub use values::{PropertyPart, PropertyValue};

table! {
    /// A device tree. Leaves `NAME.dtb`, and `NAME.dts` for people.
    ///
    /// It starts as the one that QEMU makes of a machine of this project, as another one, as source, or as nothing. Then
    /// come overlays, then what is deleted and renamed, then the parts of an Arm machine that are asked for, then `nodes`.
    /// What comes of it is checked: lengths of `reg`, `interrupts` and the like, references, unit addresses, strings.
    pub struct Dtb {
        /// A machine, of which QEMU says what its devices are. Its images are not looked at.
        machine: Option<Spanned<MachineRef>>,
        /// A device tree as a target leaves it.
        base: Option<Spanned<TargetRef>>,
        /// Source of a device tree: a file of the project, `{ source = "linux", path = "arch/…" }` or `{ target = … }`. It
        /// goes through the C preprocessor, as in the kernel's build.
        dts: Option<Spanned<Origin>>,
        /// The environment that has `cpp` and `dtc`, for `dts` and `overlays`.
        env: Option<Spanned<EnvRef>>,
        /// Directories in which the files are looked for that source includes, each as `dts` is written.
        includes: Vec<Spanned<Origin>>,
        /// Overlays, laid over the base in this order: source with `/plugin/;`, or what is compiled from such.
        overlays: Vec<Spanned<Origin>>,
        /// Whether the tree keeps the labels of `dts` as `__symbols__`, for overlays that come later.
        symbols: bool = false,
        /// Short names for nodes, by which `{ phandle = "gic" }` refers to them: `{ gic = "/intc@8000000" }`. The labels of
        /// `dts` and `overlays` are known anyway, and `gic` where there is `gic-v3` or `gic-v2`.
        labels: BTreeMap<Name, Spanned<NodePath>>,
        /// Nodes that are removed, with all in them.
        delete: Vec<Spanned<NodePath>>,
        /// Nodes that get other names: `{ "/soc/uart@1000" = "serial@1000" }`.
        rename: BTreeMap<NodePath, Spanned<NodeName>>,
        /// What the machine is called. Addresses and sizes at the root have two cells each.
        root: Option<Spanned<Root>>,
        /// Memory: `[{ at = "0x48000000", size = "512M" }]`.
        memory: Vec<Spanned<Window>>,
        /// Processors, which PSCI starts: `{ count = 4 }`.
        cpus: Option<Spanned<Cpus>>,
        /// How PSCI is called.
        psci: Option<Spanned<PsciMethod>>,
        /// A GICv3, the interrupt controller of everything.
        gic_v3: Option<Spanned<GicV3>>,
        /// A GICv2, in its place.
        gic_v2: Option<Spanned<GicV2>>,
        /// Whether there is the generic timer of Arm processors.
        timer: bool = false,
        /// Serial ports.
        pl011: Vec<Spanned<Pl011>>,
        /// Virtio devices in memory.
        virtio_mmio: Vec<Spanned<VirtioMmio>>,
        /// What `/chosen` tells the system.
        chosen: Option<Spanned<Chosen>>,
        /// Properties by node and name: a string, a number or a list of numbers, which are cells, `true` for one that
        /// is only there, `false` for one that is removed; in lists also `{ u64 = [0x40000000] }` and `{ u32 = […] }`, whose
        /// numbers may be texts as in `"0x40000000"` or `"512M"`, `{ bytes = "00ff" }` and `{ phandle = "gic" }`. Nodes that
        /// are missing are made.
        nodes: BTreeMap<NodePath, Spanned<BTreeMap<PropertyName, Spanned<PropertyValue>>>>,
        /// A region of the machine that uses the tree, with an address of its own: the initramfs, of which
        /// `/chosen` tells where it begins and ends.
        initrd: Option<Spanned<RegionRef>>,
    }
}

table! {
    /// A region of a machine.
    pub struct RegionRef {
        /// The machine.
        machine: Spanned<MachineRef>,
        /// The region of it.
        region: Spanned<Name>,
    }
}

/// The path of a node: `/cpus/cpu@0`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodePath(String);

impl NodePath {
    /// Returns it as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for NodePath {
    fn from_text(text: &str) -> Result<NodePath, Wrong> {
        if text.starts_with('/') && !text.contains(char::is_whitespace) {
            return Ok(NodePath(text.to_owned()));
        }
        let message = format!("`{}` is no path of a node", text.escape_debug());
        Err(Wrong::new(message, "it begins with a slash, as in `/cpus/cpu@0`"))
    }
}

impl JsonSchema for NodePath {
    fn schema_name() -> Cow<'static, str> {
        "NodePath".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "pattern": "^/", "description": "The path of a node: `/cpus/cpu@0`." })
    }
}

/// The name of a node, with its unit address: `serial@9000000`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct NodeName(String);

impl NodeName {
    /// Returns it as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for NodeName {
    fn from_text(text: &str) -> Result<NodeName, Wrong> {
        // Devicetree Specification v0.4, 2.2.1.
        let is_name = |name: &str| {
            !name.is_empty()
                && name.bytes().all(|byte| byte.is_ascii_alphanumeric() || b",._+-".contains(&byte))
        };
        let (base, unit) = text.split_once('@').map_or((text, None), |(base, unit)| (base, Some(unit)));
        if is_name(base) && unit.is_none_or(is_name) {
            return Ok(NodeName(text.to_owned()));
        }
        let message = format!("`{}` cannot be the name of a node", text.escape_debug());
        Err(Wrong::new(
            message,
            "it is a name without slashes, and perhaps `@` and an address: `serial@9000000`",
        ))
    }
}

impl JsonSchema for NodeName {
    fn schema_name() -> Cow<'static, str> {
        "NodeName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "The name of a node: `serial@9000000`." })
    }
}

/// The name of a property: `linux,initrd-start`.
#[derive(Clone, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub struct PropertyName(String);

impl PropertyName {
    /// Returns it as it is written.
    pub fn as_str(&self) -> &str {
        &self.0
    }
}

impl FromText for PropertyName {
    fn from_text(text: &str) -> Result<PropertyName, Wrong> {
        // Devicetree Specification v0.4, 2.2.4.1; Linux has longer ones.
        let is_name = text.bytes().all(|byte| byte.is_ascii_alphanumeric() || b",._+?#-".contains(&byte));
        if is_name && !text.is_empty() {
            return Ok(PropertyName(text.to_owned()));
        }
        let message = format!("`{}` cannot be the name of a property", text.escape_debug());
        Err(Wrong::new(message, "it has letters, digits and `,._+?#-`"))
    }
}

impl JsonSchema for PropertyName {
    fn schema_name() -> Cow<'static, str> {
        "PropertyName".into()
    }

    fn json_schema(_: &mut SchemaGenerator) -> Schema {
        json_schema!({ "type": "string", "description": "The name of a property." })
    }
}
