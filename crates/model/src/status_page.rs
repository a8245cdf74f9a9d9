//! A page that tells the public how an environment does.

use std::collections::BTreeSet;

use serde::{Deserialize, Serialize};

use crate::name::{EnvKey, ServiceName};

/// What is on a status page, as somebody has set it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct StatusPage {
    /// What it is about: "Shop".
    pub title: String,
    /// In the order in which they are shown.
    pub components: Vec<PageComponent>,
    /// IANA name of the zone in which days are counted and times told; UTC where it does not exist.
    pub zone: String,
}

/// A component, as somebody has set it up.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct PageComponent {
    /// What the public knows it as: "Checkout".
    pub name: String,
    /// The services that it stands for.
    pub services: BTreeSet<ServiceName>,
}

impl StatusPage {
    /// The longest text that is published of an incident: characters.
    pub const LONGEST_TEXT: usize = 2_000;

    /// Where the files of a page are, beneath the directory of all pages.
    pub fn directory(key: &EnvKey, service: &ServiceName) -> String {
        format!("{}/{}/{service}", key.app, key.env)
    }
}
