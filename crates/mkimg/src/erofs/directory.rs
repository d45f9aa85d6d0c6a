//! Listings of directories: blocks of entries, each with the names behind the entries.

use super::options::BLOCK;

/// The size of `struct erofs_dirent`.
pub(super) const ENTRY_LEN: usize = 12;

/// A name with what it leads to.
pub(super) struct Listed<'a, T> {
    pub(super) name: &'a [u8],
    pub(super) target: T,
}

/// Returns which entries share a block, by their number.
fn blocks<'a, T>(listed: &'a [Listed<'a, T>]) -> impl Iterator<Item = &'a [Listed<'a, T>]> {
    let mut rest = listed;
    std::iter::from_fn(move || {
        let mut length = 0;
        let fitting = rest.iter().take_while(|entry| {
            length += ENTRY_LEN + entry.name.len();
            length <= BLOCK
        });
        let (block, behind) = rest.split_at(fitting.count());
        rest = behind;
        (!block.is_empty()).then_some(block)
    })
}

fn block_len<T>(block: &[Listed<'_, T>]) -> usize {
    block.iter().map(|entry| ENTRY_LEN + entry.name.len()).sum()
}

/// Returns the size of the listing of these names, which are in order.
pub(super) fn len<T>(listed: &[Listed<'_, T>]) -> u64 {
    let mut length = 0_u64;
    for block in blocks(listed) {
        length = length.next_multiple_of(BLOCK as u64) + block_len(block) as u64;
    }
    length
}

/// Returns the listing of these names, which are in order, each with the number and the type of its inode.
pub(super) fn encode(listed: &[Listed<'_, (u64, u8)>]) -> Vec<u8> {
    let mut bytes = Vec::new();
    for block in blocks(listed) {
        bytes.resize(bytes.len().next_multiple_of(BLOCK), 0);
        let mut name_at = block.len() * ENTRY_LEN;
        for Listed { name, target: (number, kind) } in block {
            bytes.extend_from_slice(&number.to_le_bytes());
            bytes.extend_from_slice(&(name_at as u16).to_le_bytes());
            bytes.extend_from_slice(&[*kind, 0]);
            name_at += name.len();
        }
        block.iter().for_each(|entry| bytes.extend_from_slice(entry.name));
    }
    bytes
}

/// An entry that was read.
pub(super) struct Found {
    pub(super) name: Vec<u8>,
    pub(super) number: u64,
    pub(super) kind: u8,
}

/// Reads the entries of a block. Names are in order, and those that files can have or the two dots.
pub(super) fn decode(block: &[u8]) -> Result<Vec<Found>, &'static str> {
    let name_at = |entry: &[u8]| usize::from(u16::from_le_bytes([entry[8], entry[9]]));
    let first = block.get(..ENTRY_LEN).map(name_at).ok_or("its listing ends early")?;
    if first < ENTRY_LEN || !first.is_multiple_of(ENTRY_LEN) || first > block.len() {
        return Err("the first name of a block is in an impossible place");
    }
    let heads: Vec<&[u8]> = block[..first].chunks_exact(ENTRY_LEN).collect();
    let mut found: Vec<Found> = Vec::with_capacity(heads.len());
    for (idx, head) in heads.iter().enumerate() {
        let end = heads.get(idx + 1).map_or(block.len(), |next| name_at(next));
        let name = block.get(name_at(head)..end).ok_or("a name is in an impossible place")?;
        // What is left of the block is filled up.
        let name = if idx + 1 == heads.len() {
            &name[..name.iter().position(|byte| *byte == 0).unwrap_or(name.len())]
        } else {
            name
        };
        if name.is_empty() || name.len() > 255 || name.iter().any(|byte| matches!(byte, 0 | b'/')) {
            return Err("it has a name that no file can have");
        }
        let number = u64::from_le_bytes(head[..8].try_into().expect("eight bytes"));
        found.push(Found { name: name.to_vec(), number, kind: head[10] });
    }
    Ok(found)
}
