//! Configures unpacked packages.

mod cleanup;
mod database;
mod order;
mod spec;
