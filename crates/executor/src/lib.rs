//! Drives a run: journal, act, journal, observe.
