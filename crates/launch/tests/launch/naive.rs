//! A second implementation of what platforms measure, written from the specifications alone: of the format, of AMD's and
//! Intel's firmware, and of Hyper-V's chunks. It trusts the file and is slow.

use sha2::{Digest, Sha256, Sha384};

fn number(bytes: &[u8], at: usize, n_bytes: usize) -> u64 {
    (0..n_bytes).rev().fold(0, |number, idx| number * 256 + u64::from(bytes[at + idx]))
}

/// What a loader does, in order.
enum Load {
    Page { gpa: u64, kind: u64, unmeasured: bool, contents: Option<Vec<u8>> },
    Parameters { gpa: u64 },
    Error { gpa: u64 },
    State { gpa: u64, processor: u64, offset: usize },
}

fn loads(file: &[u8], mask: u32) -> Vec<Load> {
    let mut at = number(file, 8, 4) as usize;
    let end = at + number(file, 12, 4) as usize;
    let mut sizes = std::collections::BTreeMap::new();
    let mut loads = Vec::new();
    while at < end {
        let (typ, length) = (number(file, at, 4), number(file, at + 4, 4) as usize);
        let header = &file[at + 8..at + 8 + length];
        at += 8 + length.div_ceil(8) * 8;
        let is_ours = |place| number(header, place, 4) as u32 & mask != 0;
        match typ {
            0x301 => {
                sizes.insert(number(header, 8, 4), number(header, 0, 8));
            }
            0x302 if is_ours(8) => {
                let flags = number(header, 16, 4);
                let offset = number(header, 12, 4) as usize;
                if flags & 4 != 0 {
                    continue;
                }
                for small in 0..if flags & 1 != 0 { 512 } else { 1 } {
                    let start = offset + small * 4096;
                    loads.push(Load::Page {
                        gpa: number(header, 0, 8) + small as u64 * 4096,
                        kind: number(header, 20, 2),
                        unmeasured: flags & 2 != 0,
                        contents: (offset != 0).then(|| file[start..start + 4096].to_vec()),
                    });
                }
            }
            0x303 if is_ours(8) => {
                for page in 0..sizes[&number(header, 12, 4)] / 4096 {
                    loads.push(Load::Parameters { gpa: number(header, 0, 8) + page * 4096 });
                }
            }
            0x304 if is_ours(8) => loads.push(Load::State {
                gpa: number(header, 0, 8),
                processor: number(header, 16, 2),
                offset: number(header, 12, 4) as usize,
            }),
            0x30d if is_ours(8) => {
                for page in 0..number(header, 12, 4) / 4096 {
                    loads.push(Load::Error { gpa: number(header, 0, 8) + page * 4096 });
                }
            }
            _ => {}
        }
    }
    loads
}

/// SEV-SNP: LD' = SHA-384(PAGE_INFO).
pub(crate) fn snp(file: &[u8], mask: u32, native_zero: bool) -> Vec<u8> {
    let mut ld = vec![0; 48];
    for load in loads(file, mask) {
        let (gpa, page_type, contents) = match load {
            Load::Page { gpa, kind: 1, .. } => (gpa, 5, None),
            Load::Page { gpa, kind: 2 | 3, .. } => (gpa, 6, None),
            Load::Page { gpa, unmeasured: true, .. } | Load::Parameters { gpa } => (gpa, 4, None),
            Load::Page { gpa, contents: None, .. } if native_zero => (gpa, 3, None),
            Load::Page { gpa, contents, .. } => (gpa, 1, Some(contents.unwrap_or(vec![0; 4096]))),
            Load::State { gpa, offset, .. } => (gpa, 2, Some(file[offset..offset + 4096].to_vec())),
            Load::Error { .. } => continue,
        };
        let mut info = ld.clone();
        info.extend(contents.map_or(vec![0; 48], |contents| Sha384::digest(contents).to_vec()));
        info.extend([0x70, 0, page_type, 0, 0, 0, 0, 0]);
        info.extend(gpa.to_le_bytes());
        assert_eq!(info.len(), 0x70);
        ld = Sha384::digest(info).to_vec();
    }
    ld
}

/// SEV and SEV-ES: SHA-256 of all that is encrypted.
pub(crate) fn sev(file: &[u8], mask: u32, has_states: bool) -> Vec<u8> {
    let mut all = Vec::new();
    let mut states = Vec::new();
    for load in loads(file, mask) {
        match load {
            Load::Page { unmeasured: false, contents, .. } => all.extend(contents.unwrap_or(vec![0; 4096])),
            Load::State { processor, offset, .. } if has_states => states.push((processor, offset)),
            _ => {}
        }
    }
    states.sort();
    for (_, offset) in states {
        all.extend(&file[offset..offset + 4096]);
    }
    Sha256::digest(all).to_vec()
}

/// TDX: SHA-384 of all that is added and extended.
pub(crate) fn tdx(file: &[u8], mask: u32) -> Vec<u8> {
    let mut all = Vec::new();
    let mut operation = |name: &str, gpa: u64, data: &[u8]| {
        let mut buffer = [0; 128];
        buffer[..name.len()].copy_from_slice(name.as_bytes());
        buffer[16..24].copy_from_slice(&gpa.to_le_bytes());
        all.extend(buffer);
        all.extend(data);
    };
    for load in loads(file, mask) {
        match load {
            Load::Page { gpa, unmeasured, contents, .. } => {
                operation("MEM.PAGE.ADD", gpa, &[]);
                let contents = contents.unwrap_or(vec![0; 4096]);
                for chunk in 0..if unmeasured { 0 } else { 16 } {
                    let start = chunk * 256;
                    operation("MR.EXTEND", gpa + start as u64, &contents[start..start + 256]);
                }
            }
            Load::Parameters { gpa } => operation("MEM.PAGE.ADD", gpa, &[]),
            _ => {}
        }
    }
    Sha384::digest(all).to_vec()
}

/// VSM: each chunk is hashed behind the digest so far, registers last.
pub(crate) fn vbs(file: &[u8], mask: u32) -> Vec<u8> {
    let mut digest = vec![0; 32];
    let mut chunk = |kind: u32, body: Vec<u8>| {
        let mut all = digest.clone();
        all.extend((body.len() as u32 + 16).to_le_bytes());
        all.extend(kind.to_le_bytes());
        all.extend([0; 8]);
        all.extend(body);
        digest = Sha256::digest(all).to_vec();
    };
    let page = |gpa: u64, metadata: u64, contents: Option<Vec<u8>>| {
        let mut body = metadata.to_le_bytes().to_vec();
        body.extend((gpa >> 12).to_le_bytes());
        body.extend(contents.unwrap_or(vec![0; 4096]));
        body
    };
    let mut states = Vec::new();
    for load in loads(file, mask) {
        match load {
            Load::Page { gpa, unmeasured: true, .. } | Load::Parameters { gpa } => {
                chunk(2, page(gpa, 4, None))
            }
            Load::Page { gpa, contents, .. } => chunk(2, page(gpa, 0, contents)),
            Load::Error { gpa } => chunk(2, page(gpa, 7, None)),
            Load::State { offset, .. } => states.push(offset),
        }
    }
    for offset in states {
        for register in 0..number(file, offset, 4) as usize {
            let register = &file[offset + 4 + register * 32..][..32];
            let mut body = vec![0, 0, 0, 0, register[0], 0, 0, 0, 0, 0, 0, 0];
            body.extend(&register[1..5]);
            body.extend(&register[16..]);
            chunk(0, body);
        }
    }
    digest
}
