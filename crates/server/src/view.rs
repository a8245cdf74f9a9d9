//! What is shown of what is recorded and observed.

pub(crate) mod event;
pub(crate) mod history;
pub(crate) mod run;
pub(crate) mod status;
