//! The launch digest of SEV-SNP: SEV Secure Nested Paging Firmware ABI Specification, "SNP_LAUNCH_UPDATE", "Page
//! measurement" and the structure PAGE_INFO.
//!
//! The digest begins as zeros. Each page makes it the SHA-384 of a structure that has the digest so far, the digest of
//! the page's contents, its type and its address. So contents can be hashed in any order, and only what is 112 bytes
//! long has to be hashed one after the other.

use std::collections::HashMap;

use sha2::{Digest as _, Sha384};

use super::sha384::sha384_of_pages;
use super::{ZEROS, ZeroPages};
use crate::Platform;
use crate::file::{Data, Directive, File, Import, PAGE, PageKind};

/// What a page is to the firmware: `PAGE_TYPE`.
#[derive(Clone, Copy)]
enum PageType {
    Normal = 1,
    Vmsa = 2,
    Zero = 3,
    Unmeasured = 4,
    Secrets = 5,
    Cpuid = 6,
}

/// A page, and which digest of all is that of its contents.
struct Loaded {
    gpa: u64,
    page_type: PageType,
    contents: Contents,
}

#[derive(Clone, Copy)]
enum Contents {
    /// What is not hashed counts as zeros.
    Unmeasured,
    /// A page full of zeros.
    Zeros,
    /// The page with this number among those that are hashed.
    Hashed(usize),
}

/// Contents that are hashed, each once: makers of files keep equal pages once.
#[derive(Default)]
struct Pages<'a> {
    /// By where they are in memory, which parts of one file share.
    known: HashMap<*const u8, usize>,
    contents: Vec<&'a [u8]>,
}

impl<'a> Pages<'a> {
    fn number(&mut self, data: Data<'a>) -> usize {
        *self.known.entry(data.bytes.as_ptr()).or_insert_with(|| {
            self.contents.push(data.bytes);
            self.contents.len() - 1
        })
    }
}

/// Returns the launch digest.
pub(super) fn launch_digest(file: &File<'_>, platform: &Platform, zeros: ZeroPages) -> [u8; 48] {
    let mut pages = Pages::default();
    let mut loaded = Vec::new();
    for directive in file.directives_for(platform) {
        match directive {
            Directive::Page(page) if page.import != Import::Shared => {
                for (gpa, data) in page.small() {
                    let (page_type, contents) = match (page.kind, page.import, data) {
                        (PageKind::Secrets, ..) => (PageType::Secrets, Contents::Unmeasured),
                        (PageKind::CpuidData | PageKind::CpuidXf, ..) => {
                            (PageType::Cpuid, Contents::Unmeasured)
                        }
                        (PageKind::Normal, Import::Unmeasured, _) => {
                            (PageType::Unmeasured, Contents::Unmeasured)
                        }
                        (PageKind::Normal, _, Some(data)) => {
                            (PageType::Normal, Contents::Hashed(pages.number(data)))
                        }
                        (PageKind::Normal, _, None) if zeros == ZeroPages::Native => {
                            (PageType::Zero, Contents::Unmeasured)
                        }
                        (PageKind::Normal, _, None) => (PageType::Normal, Contents::Zeros),
                    };
                    loaded.push(Loaded { gpa, page_type, contents });
                }
            }
            Directive::ParameterInsert { gpa, size, .. } => {
                loaded.extend((0..size / PAGE).map(|number| Loaded {
                    gpa: gpa + number * PAGE,
                    page_type: PageType::Unmeasured,
                    contents: Contents::Unmeasured,
                }));
            }
            Directive::VpContext(context) => {
                let contents = Contents::Hashed(pages.number(context.data));
                loaded.push(Loaded { gpa: context.gpa, page_type: PageType::Vmsa, contents });
            }
            _ => {}
        }
    }

    let hashed = sha384_of_pages(&pages.contents);
    let zeros: [u8; 48] = Sha384::digest(ZEROS).into();
    let mut digest = [0; 48];
    for Loaded { gpa, page_type, contents } in loaded {
        let contents = match contents {
            Contents::Unmeasured => &[0; 48],
            Contents::Zeros => &zeros,
            Contents::Hashed(number) => &hashed[number],
        };
        digest = Sha384::digest(page_info(&digest, contents, page_type, gpa)).into();
    }
    digest
}

/// Returns PAGE_INFO: the digest so far, that of the contents, the length, the type, whether the page belongs to an
/// importing agent (never), a reserved byte, what the three lower privilege levels may do (nothing), and the address.
fn page_info(digest: &[u8; 48], contents: &[u8; 48], page_type: PageType, gpa: u64) -> [u8; 0x70] {
    let mut info = [0; 0x70];
    info[..48].copy_from_slice(digest);
    info[48..96].copy_from_slice(contents);
    info[96..98].copy_from_slice(&0x70_u16.to_le_bytes());
    info[98] = page_type as u8;
    info[104..].copy_from_slice(&gpa.to_le_bytes());
    info
}
