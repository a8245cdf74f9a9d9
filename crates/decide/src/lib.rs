//! Pure decisions: what to do next, and why.
