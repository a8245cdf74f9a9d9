//! Text to a specification, with located diagnostics.
