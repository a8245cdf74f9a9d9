//! The control plane: API, timers, ownership of the state.
