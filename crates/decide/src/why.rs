//! The cause of a service's trouble, from evidence.
