//! What only the process runtime promises.
