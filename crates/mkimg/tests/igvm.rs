//! IGVM files: what is loaded for firmware and for kernels, what is measured of it, what cannot be.

#![allow(clippy::unwrap_used, reason = "a test that cannot go on panics")]

#[path = "igvm/digests.rs"]
mod digests;
#[path = "igvm/direct.rs"]
mod direct;
#[path = "igvm/hostile.rs"]
mod hostile;
#[path = "igvm/support.rs"]
mod support;
