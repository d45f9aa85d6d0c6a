//! Images whose metadata is not compressed: what changes in it is not refused by a decompressor.

/// Where the superblock says where what is: how many fragments there are, the end, and the tables.
const N_FRAGMENTS: usize = 16;
const END: usize = 40;
const IDS: usize = 48;
const XATTRS: usize = 56;
const INODES: usize = 64;
const DIRECTORIES: usize = 72;
const FRAGMENTS: usize = 80;
const EXPORTS: usize = 88;

/// Returns `image` with its metadata as `unpack` has it out of a block. Each table must fit into a block of 8 KiB.
pub(crate) fn with_plain_metadata(image: &[u8], unpack: &dyn Fn(&[u8]) -> Vec<u8>) -> Vec<u8> {
    let number = |at: usize| u64::from_le_bytes(image[at..at + 8].try_into().unwrap());
    let place = |at: usize| usize::try_from(number(at)).unwrap();
    let has = |table: usize| number(table) != u64::MAX;
    let block = |plain: &mut Vec<u8>, at: usize| -> u64 {
        let start = plain.len() as u64;
        let head = u16::from_le_bytes([image[at], image[at + 1]]);
        let stored = &image[at + 2..][..usize::from(head & 0x7fff)];
        let table = if head & 0x8000 == 0 { unpack(stored) } else { stored.to_vec() };
        plain.extend((u16::try_from(table.len()).unwrap() | 0x8000).to_le_bytes());
        plain.extend(table);
        start
    };
    let mut plain = image[..place(INODES)].to_vec();
    let mut starts = Vec::new();
    for table in [INODES, DIRECTORIES] {
        starts.push((table, block(&mut plain, place(table))));
    }
    for table in [FRAGMENTS, EXPORTS, IDS].into_iter().filter(|table| has(*table)) {
        // Without an entry there is no block.
        let is_empty = table == FRAGMENTS && image[N_FRAGMENTS..N_FRAGMENTS + 4] == [0; 4];
        let start = (!is_empty).then(|| block(&mut plain, place(place(table))));
        starts.push((table, plain.len() as u64));
        plain.extend(start.into_iter().flat_map(u64::to_le_bytes));
    }
    if has(XATTRS) {
        let header = place(XATTRS);
        let values = block(&mut plain, place(header));
        let ids = block(&mut plain, place(header + 16));
        starts.push((XATTRS, plain.len() as u64));
        plain.extend(values.to_le_bytes());
        plain.extend_from_slice(&image[header + 8..header + 16]);
        plain.extend(ids.to_le_bytes());
    }
    starts.push((END, plain.len() as u64));
    for (at, start) in starts {
        plain[at..at + 8].copy_from_slice(&start.to_le_bytes());
    }
    plain
}
