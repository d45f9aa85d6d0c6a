//! Downloads: the only code that opens connections.
