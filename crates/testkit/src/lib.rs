//! What tests share: a scripted executor, caches and stores that forget on demand, trees as text, archives
//! that mean harm, and one suite of tests for each trait that has several implementations.

mod cache;
mod executor;
mod hostile;
mod store;
mod suites;
mod tree;

pub use cache::MemoryActionCache;
pub use executor::{Produced, ScriptedExecutor};
pub use hostile::{Flood, HostileTar, Verdict, hostile_tars, tar};
pub use store::EvictingStore;
pub use suites::{check_action_cache, check_store};
pub use tree::{describe_tree, make_tree, read_path};
