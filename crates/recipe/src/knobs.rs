//! Knobs: what they are set to, conditions on them, and their use in strings.

use std::collections::BTreeMap;

use crate::reader::{Read, Reader};
use crate::scalar::KnobName;
use crate::stack::{Knob, KnobType, KnobValue};
use crate::value::{Kind, Table, Value};
use crate::{Place, Problem, Spanned, suggest};

/// What whoever builds has chosen.
#[derive(Clone, Debug, Default)]
pub struct Settings {
    /// What `--set KNOB=VALUE` said. Every key must be a knob.
    pub set: BTreeMap<String, String>,
    /// The environment variables. Those that are knobs count, unless `set` has them too.
    pub environment: BTreeMap<String, String>,
}

/// The knobs of a project and what they are set to.
#[derive(Default)]
pub(crate) struct Knobs {
    declared: BTreeMap<KnobName, Spanned<Knob>>,
    pub(crate) values: BTreeMap<KnobName, KnobValue>,
}

impl Knobs {
    /// Reads the `[knob]` section and settles the value of each.
    pub(crate) fn read(top: &Table, settings: &Settings, problems: &mut Vec<Problem>) -> Knobs {
        let mut reader = Reader::default();
        let declared: BTreeMap<KnobName, Spanned<Knob>> = match top.get("knob") {
            Some(entry) => reader
                .inside("`knob`".to_owned(), |reader| BTreeMap::read(&entry.value, reader))
                .unwrap_or_default(),
            None => BTreeMap::new(),
        };
        problems.append(&mut reader.problems);
        let mut knobs = Knobs { declared, values: BTreeMap::new() };
        // A knob that could not be read is still a knob: saying that there is none would mislead.
        let written: Vec<&str> = top
            .get("knob")
            .and_then(|entry| entry.value.as_table())
            .map(|table| table.entries.iter().map(|entry| entry.key.as_str()).collect())
            .unwrap_or_default();
        for name in settings.set.keys().filter(|name| !written.contains(&name.as_str())) {
            problems.push(
                Problem::nowhere(format!("`--set {name}=…`: there is no such knob")).help(suggest::help(
                    name,
                    "knobs",
                    written.iter().copied(),
                )),
            );
        }
        for (name, knob) in &knobs.declared {
            if let Some(value) = settle(name, knob, settings, problems) {
                knobs.values.insert(name.clone(), value);
            }
        }
        knobs
    }

    fn names(&self) -> impl Iterator<Item = &str> {
        self.declared.keys().map(|name| name.0.as_str())
    }
}

fn settle(
    name: &KnobName,
    knob: &Spanned<Knob>,
    settings: &Settings,
    problems: &mut Vec<Problem>,
) -> Option<KnobValue> {
    let name = name.0.as_str();
    let table = &knob.0;
    let default_type = table.default.as_ref().map(|default| default.knob_type());
    let knob_type =
        table.r#type.as_ref().map(|r#type| r#type.value).or(default_type).unwrap_or(KnobType::String);
    let wrong_type = |value: &Spanned<KnobValue>| {
        Problem::at(&value.place, format!("`{}` is not of the type of knob `{name}`", value.value))
            .help(format!("the type is `{}`", knob_type.as_str()))
    };
    for value in table.values.iter().chain(&table.default) {
        if value.knob_type() != knob_type {
            problems.push(wrong_type(value));
            return None;
        }
    }
    let allowed =
        |value: &KnobValue| table.values.is_empty() || table.values.iter().any(|one| one.value == *value);
    let choices = || {
        let list: Vec<String> = table.values.iter().map(|value| format!("`{}`", value.value)).collect();
        format!("it can be {}", crate::reader::one_of(&list))
    };
    if let Some(default) = &table.default
        && !allowed(default)
    {
        let message = format!("the default of knob `{name}` is not one of its values");
        problems.push(Problem::at(&default.place, message).help(choices()));
        return None;
    }
    let given = settings.set.get(name).map(|text| (text, format!("`--set {name}={text}`"))).or_else(|| {
        settings.environment.get(name).map(|text| (text, format!("environment variable `{name}={text}`")))
    });
    let Some((text, origin)) = given else {
        if table.default.is_none() {
            problems.push(
                Problem::at(&knob.place, format!("knob `{name}` is not set and has no default"))
                    .help(format!("set it with `--set {name}=…`, or give it a `default`")),
            );
        }
        return table.default.as_ref().map(|default| default.value.clone());
    };
    let value = match knob_type {
        KnobType::String => Some(KnobValue::String(text.clone())),
        KnobType::Bool => text.parse().ok().map(KnobValue::Bool),
        KnobType::Int => text.parse().ok().map(KnobValue::Int),
    };
    let Some(value) = value else {
        let expected = match knob_type {
            KnobType::Bool => "`true` or `false`",
            KnobType::Int | KnobType::String => "a whole number",
        };
        problems.push(
            Problem::nowhere(format!("{origin}: knob `{name}` must be {expected}"))
                .related(&knob.place, "the knob"),
        );
        return None;
    };
    if !allowed(&value) {
        problems.push(
            Problem::nowhere(format!("{origin}: not a value of knob `{name}`"))
                .related(&knob.place, "the knob")
                .help(choices()),
        );
        return None;
    }
    Some(value)
}

impl Knobs {
    /// Returns whether the condition holds. One that makes no sense is reported and does not hold.
    pub(crate) fn holds(&self, condition: &str, place: &Place, problems: &mut Vec<Problem>) -> bool {
        // Every comparison is looked at, for its mistakes.
        let mut all = true;
        for comparison in condition.split(',') {
            all &= self.comparison_holds(comparison, place, problems);
        }
        all
    }

    fn comparison_holds(&self, comparison: &str, place: &Place, problems: &mut Vec<Problem>) -> bool {
        let place = place.narrowed_to(comparison);
        let Some((left, right)) = comparison.split_once('=') else {
            let message = format!("`{}` is not a condition", comparison.escape_debug());
            problems.push(Problem::at(&place, message).help("write it as in `ARCH=arm64` or `ARCH!=arm64`"));
            return false;
        };
        let (name, equal) = match left.strip_suffix('!') {
            Some(name) => (name.trim(), false),
            None => (left.trim(), true),
        };
        let Some(knob) = self.declared.get(name) else {
            problems.push(
                Problem::at(&place, format!("condition on unknown knob `{}`", name.escape_debug()))
                    .help(suggest::help(name, "knobs", self.names())),
            );
            return false;
        };
        let known: Vec<String> = knob.0.values.iter().map(|value| value.to_string()).collect();
        let known = match (&known[..], knob.0.default.as_deref()) {
            ([], Some(KnobValue::Bool(_))) => vec!["true".to_owned(), "false".to_owned()],
            _ => known,
        };
        let wanted: Vec<&str> = right.split('|').map(str::trim).collect();
        for value in &wanted {
            if !known.is_empty() && !known.iter().any(|one| one == value) {
                problems.push(
                    Problem::at(&place, format!("knob `{name}` is never `{}`", value.escape_debug()))
                        .help(suggest::help(value, "values", known.iter().map(String::as_str))),
                );
            }
        }
        let Some(value) = self.values.get(name) else {
            return false;
        };
        let value = value.to_string();
        wanted.contains(&value.as_str()) == equal
    }
}

/// What `${…}` can stand for.
pub(crate) struct Variables<'a> {
    pub(crate) knobs: &'a Knobs,
    /// `stack.name` and `stack.version`, as far as they are known.
    pub(crate) stack: BTreeMap<String, String>,
    /// Where strings are that a knob without a value left unfinished: what they come to is nobody's mistake.
    pub(crate) unfinished: Vec<Place>,
}

impl Variables<'_> {
    /// Replaces `${…}` and `$$` in every string in `value`.
    pub(crate) fn interpolate(&mut self, value: &mut Value, problems: &mut Vec<Problem>) {
        match &mut value.kind {
            Kind::String(text) if text.contains('$') => {
                value.kind = self.interpolated(text, &value.place, problems);
            }
            Kind::Array(values) => {
                for value in values {
                    self.interpolate(value, problems);
                }
            }
            Kind::Table(table) => {
                for entry in &mut table.entries {
                    self.interpolate(&mut entry.value, problems);
                }
            }
            _ => {}
        }
    }

    fn interpolated(&mut self, text: &str, place: &Place, problems: &mut Vec<Problem>) -> Kind {
        let mut result = String::with_capacity(text.len());
        let mut rest = text;
        while let Some(dollar) = rest.find('$') {
            result.push_str(&rest[..dollar]);
            let after = &rest[dollar + 1..];
            if let Some(name_and_rest) = after.strip_prefix('{') {
                let Some(end) = name_and_rest.find('}') else {
                    let message = "`${` without `}`";
                    problems.push(
                        Problem::at(&place.narrowed_to("${"), message).help("`$${` stands for `${` itself"),
                    );
                    return Kind::String(text.to_owned());
                };
                let name = &name_and_rest[..end];
                rest = &name_and_rest[end + 1..];
                if let Some(value) = self.knobs.values.get(name) {
                    if result.is_empty() && rest.is_empty() && text.len() == name.len() + 3 {
                        return whole(value);
                    }
                    result.push_str(&value.to_string());
                } else if let Some(value) = self.stack.get(name) {
                    result.push_str(value);
                } else {
                    self.unfinished.push(place.clone());
                    if !self.knobs.declared.contains_key(name) {
                        problems.push(self.unknown(name, place));
                    }
                }
            } else {
                result.push('$');
                rest = after.strip_prefix('$').unwrap_or(after);
            }
        }
        result.push_str(rest);
        Kind::String(result)
    }

    fn unknown(&self, name: &str, place: &Place) -> Problem {
        let written = format!("${{{name}}}");
        let candidates = self.knobs.names().chain(["stack.name", "stack.version"]);
        let shell = format!("a variable of the shell is written `${written}`");
        let help = match suggest::nearest(name, candidates) {
            Some(nearest) => format!("did you mean `${{{nearest}}}`? {shell}"),
            None => shell,
        };
        Problem::at(&place.narrowed_to(&written), format!("`{}` is not a knob", name.escape_debug()))
            .help(help)
    }
}

fn whole(value: &KnobValue) -> Kind {
    let typed = match value {
        KnobValue::String(text) => return Kind::String(text.clone()),
        KnobValue::Bool(boolean) => Kind::Boolean(*boolean),
        KnobValue::Int(number) => Kind::Integer(*number),
    };
    Kind::Knob { text: value.to_string(), value: Box::new(typed) }
}
