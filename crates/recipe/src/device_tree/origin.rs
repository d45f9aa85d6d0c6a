//! Files and directories of the project, of a source, or of a target.

use std::borrow::Cow;

use schemars::{JsonSchema, Schema, SchemaGenerator, json_schema};

use crate::Spanned;
use crate::reader::{Read, Reader, table};
use crate::scalar::{ProjectPath, SourceRef, TargetRef};
use crate::value::Value;

/// A file or directory, and where it comes from.
#[derive(Clone, Debug)]
pub enum Origin {
    /// It is in the project.
    Project(ProjectPath),
    /// It is in a source.
    Source(InSource),
    /// A target leaves it.
    Target(Spanned<TargetRef>),
}

table! {
    /// A file or directory in a source.
    pub struct InSource {
        /// The source.
        source: Spanned<SourceRef>,
        /// Where in it, relative to its top.
        path: Spanned<ProjectPath>,
    }
}

table! {
    /// What a target leaves.
    struct OfTarget {
        /// The target, or a file of it.
        target: Spanned<TargetRef>,
    }
}

impl Read for Origin {
    fn read(value: &Value, reader: &mut Reader) -> Option<Origin> {
        if value.as_str().is_some() {
            return ProjectPath::read(value, reader).map(Origin::Project);
        }
        match value.as_table() {
            Some(table) if table.get("target").is_some() => {
                OfTarget::read(value, reader).map(|of| Origin::Target(of.target))
            }
            Some(_) => InSource::read(value, reader).map(Origin::Source),
            None => {
                reader.wrong_type(
                    value,
                    "a path of the project, or a table with `source` and `path` or with `target`",
                );
                None
            }
        }
    }
}

impl JsonSchema for Origin {
    fn schema_name() -> Cow<'static, str> {
        "Origin".into()
    }

    fn json_schema(generator: &mut SchemaGenerator) -> Schema {
        let path = generator.subschema_for::<ProjectPath>();
        let (source, target) = (generator.subschema_for::<InSource>(), generator.subschema_for::<OfTarget>());
        json_schema!({
            "description": "A path of the project, or a table with `source` and `path`, or with `target`.",
            "anyOf": [path, source, target],
        })
    }
}
