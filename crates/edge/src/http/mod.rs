//! The edge as a server of HTTP: connections, requests, answers.

pub(crate) mod body;
pub(crate) mod files;
pub(crate) mod front;
pub(crate) mod headers;
mod heads;
mod paced;
pub(crate) mod service;
pub(crate) mod strict;
pub(crate) mod upgrade;
pub(crate) mod upload;
pub(crate) mod watched;
pub(crate) mod websocket;
