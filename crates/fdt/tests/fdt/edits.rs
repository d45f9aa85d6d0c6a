//! Edits: what they do, what is wrong with some, and what they look like as data.

use fdt::{Edit, Labels, Part, Reference};
use serde::de::value::{Error, MapAccessDeserializer, MapDeserializer, SeqDeserializer};
use serde::de::{Deserialize, Deserializer, IntoDeserializer, Visitor};

use crate::{build, cells, chain, set, string};

fn delete(node: &str) -> Edit {
    Edit::DeleteNode { node: node.to_owned() }
}

fn delete_property(node: &str, property: &str) -> Edit {
    Edit::DeleteProperty { node: node.to_owned(), property: property.to_owned() }
}

fn rename(node: &str, name: &str) -> Edit {
    Edit::RenameNode { node: node.to_owned(), name: name.to_owned() }
}

fn label(label: &str) -> Part {
    Part::Phandle(Reference::Label(label.to_owned()))
}

fn path(path: &str) -> Part {
    Part::Phandle(Reference::Path(path.to_owned()))
}

/// Edits a small tree and compares its source without line breaks, or the error with its help.
#[track_caller]
fn check(edits: &[Edit], expected: &str) {
    let tree = build(&[
        set("/gic", "phandle", &[cells(&[2])]),
        set("/soc/uart@1", "status", &[string("okay")]),
        set("/soc/uart@2", "reg", &[cells(&[2])]),
    ]);
    let labels = [("gic", "/gic"), ("uart1", "/soc/uart@1"), ("gone", "/soc/gone")];
    let labels: Labels = labels.map(|(label, path)| (label.to_owned(), path.to_owned())).into();
    let outcome = match tree.edited(edits, &labels) {
        Ok(tree) => tree.to_dts().split_whitespace().skip(1).collect::<Vec<_>>().join(" "),
        Err(error) => format!("{} ({})", chain(&error), error.help().unwrap_or_default()),
    };
    assert_eq!(outcome, expected);
}

#[test]
fn values_and_nodes_are_made() {
    check(
        &[
            delete("/soc"),
            delete("/gic"),
            set("/a/b@1/c", "v", &[cells(&[1, 2]), Part::U64(vec![1 << 32 | 5]), cells(&[])]),
            set("/a/b", "w", &[string("x"), string("y z"), Part::Bytes(vec![7])]),
            set("/a", "flag", &[]),
            set("/a/b/c", "v", &[Part::Bytes(vec![1, 2, 3])]),
            set("/", "model", &[string("")]),
        ],
        r#"/ { model = [00]; a { flag; b@1 { w = [78 00 79 20 7a 00 07]; c { v = [01 02 03]; }; }; }; };"#,
    );
}

#[test]
fn nodes_are_renamed_and_deleted() {
    check(
        &[
            rename("/soc/uart@1", "serial@1"),
            delete_property("/soc/serial", "status"),
            delete("/soc/uart"),
            rename("/gic", "gic"),
        ],
        "/ { gic { phandle = <0x02>; }; soc { serial@1 { }; }; };",
    );
}

#[test]
fn labels_stay_with_nodes_that_are_renamed() {
    check(
        &[
            set("/a", "x", &[label("uart1")]),
            rename("/soc/uart@1", "serial@1"),
            rename("/soc", "bus"),
            delete("/bus/uart"),
        ],
        "/ { gic { phandle = <0x02>; }; bus { serial@1 { status = \"okay\"; phandle = <0x01>; }; }; a { x = <0x01>; }; };",
    );
}

#[test]
fn references_get_the_lowest_free_phandles() {
    check(
        &[
            set("/a", "clocks", &[path("/late"), cells(&[9]), label("uart1"), path("/gic")]),
            set("/late", "x", &[label("gic")]),
            // What is replaced or deleted refers to nothing any more.
            set("/a", "gone", &[label("gone")]),
            set("/a", "gone", &[]),
            set("/soc/uart@2", "gone", &[label("gone")]),
            delete("/soc/uart@2"),
            // The nodes behind one that goes keep theirs.
            set("/first", "x", &[]),
            set("/last", "x", &[path("/late")]),
            delete("/first"),
            set("/a/gone", "gone", &[label("gone")]),
            delete_property("/a/gone", "gone"),
            rename("/a", "b"),
        ],
        "/ { gic { phandle = <0x02>; }; soc { uart@1 { status = \"okay\"; phandle = <0x03>; }; }; \
         b { clocks = <0x01 0x09 0x03 0x02>; gone; gone { }; }; late { x = <0x02>; phandle = <0x01>; }; last { x = <0x01>; }; };",
    );
}

#[test]
fn errors_say_what_was_done_to_what() {
    let missing = "there is no node `/soc/uart@3` (did you mean `/soc/uart@1`?)";
    check(&[delete("/soc/uart@3")], &format!("could not delete `/soc/uart@3`: {missing}"));
    check(&[rename("/soc/uart@3", "x")], &format!("could not rename `/soc/uart@3` to `x`: {missing}"));
    check(
        &[delete_property("/gic", "phandel")],
        "could not delete `phandel` of `/gic`: the node has no such property (did you mean `phandle`?)",
    );
    check(
        &[rename("/soc/uart@1", "uart@2")],
        "could not rename `/soc/uart@1` to `uart@2`: a node of that name is there already ()",
    );
    check(
        &[rename("/soc/uart@1", "a/b")],
        "could not rename `/soc/uart@1` to `a/b`: `a/b` is not the name of a node: it has other characters than letters, digits and `,._+*#?-` ()",
    );
    check(&[delete("/")], "could not delete `/`: the root stays what it is ()");
    check(
        &[delete("gic")],
        "could not delete `gic`: `gic` is not the path of a node: it has to be names with `/` before each ()",
    );
    check(
        &[set("/soc/uart", "x", &[])],
        "could not set `x` of `/soc/uart`: `/soc/uart` may be any of several nodes: `uart@1`, `uart@2` (add the unit address)",
    );
    check(
        &[set("/x", "a b", &[])],
        "could not set `a b` of `/x`: `a b` is not the name of a property: it has other characters than letters, digits and `,._+*#?-` ()",
    );
    check(&[set("/x", "a", &[string("\0")])], "could not set `a` of `/x`: a string has a NUL byte in it ()");
    check(
        &[set("/x", "phandle", &[label("gic")])],
        "could not set `phandle` of `/x`: a node's own phandle is a number and no reference ()",
    );
    let deep = "/n".repeat(64);
    check(
        &[set(&deep, "a", &[])],
        &format!("could not set `a` of `{deep}`: 64 nodes may lie inside each other ()"),
    );
    check(
        &[set("/", "a", &[label("uart2")])],
        "could not let `a` of `/` refer to `&uart2`: there is no label `uart2` (did you mean `uart1`?)",
    );
    check(
        &[set("/", "a", &[label("interrupts")])],
        "could not let `a` of `/` refer to `&interrupts`: there is no label `interrupts` (known labels: `gic`, `gone`, `uart1`)",
    );
    check(
        &[set("/x", "a", &[label("soc")])],
        "could not let `a` of `/x` refer to `&soc`: there is no label `soc` (did you mean `/soc`?)",
    );
    check(
        &[set("/x", "a", &[label("gone")])],
        "could not let `a` of `/x` refer to `&gone`: there is no node `/soc/gone` ()",
    );
    check(
        &[set("/x", "a", &[path("/gik")])],
        "could not let `a` of `/x` refer to `&{/gik}`: there is no node `/gik` (did you mean `/gic`?)",
    );
}

/// What JSON can say.
#[derive(Clone)]
enum Json {
    Number(u64),
    Text(&'static str),
    List(Vec<Json>),
    Map(Vec<(&'static str, Json)>),
}

impl<'de> IntoDeserializer<'de> for Json {
    type Deserializer = Json;

    fn into_deserializer(self) -> Json {
        self
    }
}

impl<'de> Deserializer<'de> for Json {
    type Error = Error;

    fn deserialize_any<V: Visitor<'de>>(self, visitor: V) -> Result<V::Value, Error> {
        match self {
            Json::Number(number) => visitor.visit_u64(number),
            Json::Text(text) => visitor.visit_borrowed_str(text),
            Json::List(list) => visitor.visit_seq(SeqDeserializer::new(list.into_iter())),
            Json::Map(map) => visitor.visit_map(MapDeserializer::new(map.into_iter())),
        }
    }

    fn deserialize_enum<V: Visitor<'de>>(
        self,
        _name: &'static str,
        _variants: &'static [&'static str],
        visitor: V,
    ) -> Result<V::Value, Error> {
        let Json::Map(map) = self else { return self.deserialize_any(visitor) };
        visitor.visit_enum(MapAccessDeserializer::new(MapDeserializer::new(map.into_iter())))
    }

    serde::forward_to_deserialize_any! {
        bool i8 i16 i32 i64 i128 u8 u16 u32 u64 u128 f32 f64 char str string bytes byte_buf option unit
        unit_struct newtype_struct seq tuple tuple_struct map struct identifier ignored_any
    }
}

#[test]
fn edits_are_data() {
    use Json::{List, Map, Number, Text};
    let edit = |kind, rest: Vec<(&'static str, Json)>| {
        Edit::deserialize(Map([vec![("kind", Text(kind)), ("node", Text("/a"))], rest].concat()))
    };
    let value = vec![
        Map(vec![("u32", List(vec![Number(1)]))]),
        Map(vec![("u64", List(vec![Number(1 << 40)]))]),
        Map(vec![("string", Text("s"))]),
        Map(vec![("bytes", List(vec![Number(255)]))]),
        Map(vec![("phandle", Map(vec![("label", Text("gic"))]))]),
        Map(vec![("phandle", Map(vec![("path", Text("/gic"))]))]),
    ];
    let parts = [
        cells(&[1]),
        Part::U64(vec![1 << 40]),
        string("s"),
        Part::Bytes(vec![255]),
        label("gic"),
        path("/gic"),
    ];
    let property = ("property", Text("p"));
    assert_eq!(
        edit("set-property", vec![property.clone(), ("value", List(value))]),
        Ok(set("/a", "p", &parts))
    );
    assert_eq!(edit("delete-property", vec![property.clone()]), Ok(delete_property("/a", "p")));
    assert_eq!(edit("delete-node", vec![]), Ok(delete("/a")));
    assert_eq!(edit("rename-node", vec![("name", Text("b"))]), Ok(rename("/a", "b")));
    assert!(
        edit("delete-node", vec![property]).unwrap_err().to_string().contains("unknown field `property`")
    );
}
