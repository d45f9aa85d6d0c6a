//! Writes protocol buffers straight from what we have, for the messages that every key is made of.
//!
//! A build in which nothing has to run does little else than encode and hash these messages, and building
//! the message types first costs more than both. The tests hold every writer to what `prost` would write.

use cas::{Digest, Node};

/// Appends the fields of messages to a buffer.
pub(crate) struct Writer<'b> {
    buffer: &'b mut Vec<u8>,
}

/// The encoded length of the `Digest` message: hash, and size unless it is zero.
fn digest_len(digest: &Digest) -> usize {
    let size = digest.size();
    2 + 64 + if size == 0 { 0 } else { 1 + varint_len(size) }
}

fn varint_len(value: u64) -> usize {
    let bits = 64 - (value | 1).leading_zeros() as usize;
    bits.div_ceil(7)
}

/// The length of a field with the given content.
fn field_len(content: usize) -> usize {
    1 + varint_len(content as u64) + content
}

impl<'b> Writer<'b> {
    pub(crate) fn new(buffer: &'b mut Vec<u8>) -> Writer<'b> {
        Writer { buffer }
    }

    /// Writes a `string` or `bytes` field, also an empty one, as repeated fields want it.
    pub(crate) fn text(&mut self, tag: u8, content: &str) {
        self.header(tag, content.len());
        self.buffer.extend_from_slice(content.as_bytes());
    }

    /// Writes an integer field.
    pub(crate) fn number(&mut self, tag: u8, value: u64) {
        self.buffer.push(tag << 3);
        self.varint(value);
    }

    /// Writes a `Digest` field.
    pub(crate) fn digest(&mut self, tag: u8, digest: &Digest) {
        self.header(tag, digest_len(digest));
        self.header(1, 64);
        let mut hex = [0; 64];
        for (digits, byte) in hex.chunks_exact_mut(2).zip(digest.hash()) {
            digits.copy_from_slice(&HEX[usize::from(*byte)]);
        }
        self.buffer.extend_from_slice(&hex);
        if digest.size() != 0 {
            self.number(2, digest.size());
        }
    }

    /// Writes a field of a message with the fields `name` and `value`, which are left out when empty.
    pub(crate) fn pair(&mut self, tag: u8, name: &str, value: &str) {
        self.header(tag, pair_len(name, value));
        for (tag, content) in [(1, name), (2, value)] {
            if !content.is_empty() {
                self.text(tag, content);
            }
        }
    }

    /// Writes a `Platform` field, or nothing when there are no properties.
    pub(crate) fn platform(&mut self, tag: u8, properties: &[(&str, &str)]) {
        if properties.is_empty() {
            return;
        }
        self.header(tag, properties.iter().map(|(name, value)| field_len(pair_len(name, value))).sum());
        for (name, value) in properties {
            self.pair(1, name, value);
        }
    }

    /// Writes the fields of a `Directory` message. The entries are sorted by name.
    pub(crate) fn directory(&mut self, entries: &[(&str, Entry<'_>)]) {
        for (name, entry) in entries {
            if let Entry::File { digest, executable } = entry {
                let digest_field = field_len(digest_len(digest));
                self.header(1, field_len(name.len()) + digest_field + if *executable { 2 } else { 0 });
                self.text(1, name);
                self.digest(2, digest);
                if *executable {
                    self.number(4, 1);
                }
            }
        }
        for (name, entry) in entries {
            if let Entry::Directory(digest) = entry {
                self.header(2, field_len(name.len()) + field_len(digest_len(digest)));
                self.text(1, name);
                self.digest(2, digest);
            }
        }
        for (name, entry) in entries {
            if let Entry::Symlink { target } = entry {
                self.pair(3, name, target);
            }
        }
    }

    fn header(&mut self, tag: u8, len: usize) {
        self.buffer.push(tag << 3 | 2);
        self.varint(len as u64);
    }

    fn varint(&mut self, mut value: u64) {
        while value >= 0x80 {
            self.buffer.push(value as u8 | 0x80);
            value >>= 7;
        }
        self.buffer.push(value as u8);
    }
}

/// What a name in a directory stands for; [`Node`] without owning it.
#[derive(Clone, Copy)]
pub(crate) enum Entry<'n> {
    File { digest: Digest, executable: bool },
    Directory(Digest),
    Symlink { target: &'n str },
}

impl<'n> From<&'n Node> for Entry<'n> {
    fn from(node: &'n Node) -> Entry<'n> {
        match node {
            Node::File { digest, executable } => Entry::File { digest: *digest, executable: *executable },
            Node::Directory { digest } => Entry::Directory(*digest),
            Node::Symlink { target } => Entry::Symlink { target },
        }
    }
}

fn pair_len(name: &str, value: &str) -> usize {
    [name, value].into_iter().filter(|text| !text.is_empty()).map(|text| field_len(text.len())).sum()
}

/// Every byte as two lower-case hex digits.
const HEX: [[u8; 2]; 256] = {
    let digits = b"0123456789abcdef";
    let mut table = [[0; 2]; 256];
    let mut byte = 0;
    while byte < 256 {
        table[byte] = [digits[byte >> 4], digits[byte & 15]];
        byte += 1;
    }
    table
};

#[cfg(test)]
mod tests {
    use cas::Directory;
    use proptest::prelude::*;
    use prost::Message as _;

    use super::*;
    use crate::action::{Action, Command};
    use crate::proto;

    prop_compose! {
        fn a_digest()(hash in any::<[u8; 32]>(), size in prop_oneof![Just(0), any::<u32>().prop_map(u64::from)]) -> Digest {
            Digest::from_parts(hash, size)
        }
    }

    fn a_node() -> impl Strategy<Value = Node> {
        prop_oneof![
            (a_digest(), any::<bool>()).prop_map(|(digest, executable)| Node::File { digest, executable }),
            a_digest().prop_map(|digest| Node::Directory { digest }),
            ".{0,200}".prop_map(|target| Node::Symlink { target }),
        ]
    }

    fn pairs() -> impl Strategy<Value = Vec<(String, String)>> {
        prop::collection::vec((".{0,9}", ".{0,200}"), 0..4)
    }

    fn properties(pairs: &[(String, String)]) -> Vec<proto::Property> {
        pairs
            .iter()
            .map(|(name, value)| proto::Property { name: name.clone(), value: value.clone() })
            .collect()
    }

    fn platform(pairs: &[(String, String)]) -> Option<proto::Platform> {
        (!pairs.is_empty()).then(|| proto::Platform { properties: properties(pairs) })
    }

    proptest! {
        #[test]
        fn directories_are_those_of_cas(entries in prop::collection::btree_map(".{1,200}", a_node(), 0..8)) {
            let mut written = Vec::new();
            let borrowed: Vec<(&str, Entry<'_>)> =
                entries.iter().map(|(name, node)| (name.as_str(), node.into())).collect();
            Writer::new(&mut written).directory(&borrowed);
            prop_assert_eq!(written, Directory { entries }.encode());
        }

        #[test]
        fn commands_are_those_of_prost(
            arguments in prop::collection::vec(".{0,200}", 0..4),
            environment in pairs(),
            properties_of_platform in pairs(),
        ) {
            let message = proto::Command {
                arguments: arguments.clone(),
                environment_variables: properties(&environment),
                platform: platform(&properties_of_platform),
                working_directory: "build".to_owned(),
                output_paths: vec!["out".to_owned()],
                output_directory_format: 1,
            };
            let command = Command { arguments, environment, platform: properties_of_platform };
            prop_assert_eq!(command.encode(), message.encode_to_vec());
        }

        #[test]
        fn actions_are_those_of_prost(command in a_digest(), input_root in a_digest(), pairs in pairs()) {
            let digest = |digest: Digest| Some((&digest).into());
            let message = proto::Action {
                command_digest: digest(command),
                input_root_digest: digest(input_root),
                platform: platform(&pairs),
            };
            let action = Action { command, input_root, platform: pairs };
            prop_assert_eq!(action.encode(), message.encode_to_vec());
        }
    }
}
