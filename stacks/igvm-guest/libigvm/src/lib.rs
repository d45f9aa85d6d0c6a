//! The functions of the crate `igvm` for programs in C. `include/igvm/igvm.h` declares them.

pub use format::c_api::*;
