//! What a service runs.

use std::collections::BTreeMap;

use serde::{Deserialize, Serialize};

use crate::database::DatabaseServer;
use crate::id::Digest;
use crate::status_page::StatusPage;

/// What a service runs.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum Artifact {
    /// An image that a registry or the local image store has.
    Image {
        /// As written: `nginx:1.27`.
        reference: String,
        /// When to ask the registry.
        pull: PullPolicy,
        /// The image's identity, once resolved. Replicas run this, whatever the tag says later.
        digest: Option<Digest>,
        /// The database server that is in it. Where replicas are plain processes, this machine's own server of that
        /// engine and version takes its place.
        #[serde(default, skip_serializing_if = "Option::is_none")]
        server: Option<Box<DatabaseServer>>,
    },
    /// Built from a directory. On the `process` runtime the directory itself is the artifact: a
    /// snapshot of it is kept under its digest and replicas run in the snapshot.
    Build(Build),
    /// A directory of files that the edge serves by itself; no replica runs.
    Static {
        /// Absolute path of the directory.
        root: String,
        /// Digest of the snapshot, once resolved.
        digest: Option<Digest>,
    },
    /// A Helm chart. What runs is the chart's affair; it is released and taken away as a whole.
    Chart(Box<Chart>),
    /// A page that the server writes again and again, and the edge serves by itself; no replica runs.
    StatusPage(Box<StatusPage>),
}

/// A Helm chart, with the values that it is released with.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Chart {
    /// Absolute path of its directory, `oci://HOST/PATH`, or its name in [`Chart::repository`].
    pub reference: String,
    /// URL of a chart repository.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub repository: Option<String>,
    /// A version, or a range of versions of which the newest is meant.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub version: Option<String>,
    /// What takes the place of the chart's own values: a mapping.
    pub values: serde_json::Value,
    /// Digest of the chart's files, once resolved. Releases use these, whatever the repository says later.
    pub digest: Option<Digest>,
    /// What it makes, once that is known.
    #[serde(default, skip_serializing_if = "Option::is_none")]
    pub made: Option<ChartObjects>,
}

/// What a chart makes with its values.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct ChartObjects {
    /// The version that the chart says it has.
    pub version: String,
    /// `Deployment cache`: the digest of what the object is to be.
    pub objects: BTreeMap<String, Digest>,
}

impl Chart {
    /// Whether it is a directory of the machine that the manifest is on.
    pub fn is_local(&self) -> bool {
        self.reference.starts_with('/')
    }
}

impl Artifact {
    /// An image that is looked at as it is, whatever is in it.
    pub fn image(reference: String, pull: PullPolicy, digest: Option<Digest>) -> Self {
        Self::Image { reference, pull, digest, server: None }
    }

    /// The digest, once resolved.
    pub fn digest(&self) -> Option<&Digest> {
        match self {
            Self::Image { digest, .. } | Self::Static { digest, .. } => digest.as_ref(),
            Self::Build(build) => build.digest.as_ref(),
            Self::Chart(chart) => chart.digest.as_ref(),
            Self::StatusPage(_) => None,
        }
    }

    /// Whether it is content that has to be had before it can run or serve, known by its digest.
    pub fn is_content(&self) -> bool {
        !matches!(self, Self::StatusPage(_))
    }

    /// Whether the edge serves it as files.
    pub fn is_files(&self) -> bool {
        matches!(self, Self::Static { .. } | Self::StatusPage(_))
    }

    /// The chart, if it is one.
    pub fn chart(&self) -> Option<&Chart> {
        match self {
            Self::Chart(chart) => Some(chart),
            _ => None,
        }
    }

    /// Whether replicas run it: not the edge, and not whatever a chart makes.
    pub fn has_replicas(&self) -> bool {
        matches!(self, Self::Image { .. } | Self::Build(_))
    }
}

/// When to ask a registry for an image.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize, Default)]
#[serde(rename_all = "snake_case")]
pub enum PullPolicy {
    /// At each plan, so that a moved tag is seen.
    Always,
    /// Only when this machine does not have it.
    #[default]
    Missing,
    /// Never: it must be here.
    Never,
}

/// How to build an artifact.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Build {
    /// Absolute path of the directory.
    pub context: String,
    /// Path of the Dockerfile, relative to the context.
    pub dockerfile: Option<String>,
    /// The Dockerfile's text where it stands in the manifest itself.
    pub dockerfile_inline: Option<String>,
    /// The stage to build; the last by default.
    pub target: Option<String>,
    /// Build arguments.
    pub args: BTreeMap<String, String>,
    /// Labels for the image.
    pub labels: BTreeMap<String, String>,
    /// Name to tag the image with, where the service has `image` beside `build`.
    pub tag: Option<String>,
    /// Digest of all inputs (context, Dockerfile, target, args), once resolved. An artifact of this
    /// digest need not be built again.
    pub digest: Option<Digest>,
}
