//! What a runtime knows to be in the way of a service's replicas.

use serde::{Deserialize, Serialize};

/// Something in the way of replicas.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
pub struct Trouble {
    /// What.
    pub kind: TroubleKind,
    /// In the words of whoever found it.
    pub said: String,
}

/// What is in the way.
#[derive(Debug, Clone, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum TroubleKind {
    /// Its image cannot be fetched.
    Image {
        /// Its name.
        image: String,
        /// Why.
        fault: ImageFault,
    },
    /// No machine has as much as it asks for.
    NoRoom {
        /// Of what: `cpu`, `memory`, `nvidia.com/gpu`.
        resource: String,
        /// The most that any machine has in all, whoever uses it: thousandths of a core, bytes, or pieces. `None` where
        /// machines may not be looked at.
        most: Option<u64>,
    },
    /// A machine is being added for it.
    Growing,
    /// Machines keep everything away that does not tolerate their taint.
    Tainted {
        /// The taint, as `KEY: VALUE`; empty where nobody tells.
        taint: String,
    },
    /// Machines do not fit for another reason.
    Unfit,
    /// A volume is not there yet.
    NoVolume {
        /// Its claim, where it is known.
        claim: Option<String>,
    },
    /// Something cannot be mounted.
    Mount,
    /// A quota is used up.
    Quota {
        /// Its name.
        quota: String,
    },
    /// The cluster refuses the replica.
    Refused {
        /// Who refuses it: an admission webhook, a limit, a security standard. Empty where nobody tells.
        by: String,
    },
    /// It was put out of its machine.
    Evicted,
    /// Its machine does not answer.
    MachineAway,
    /// Its container cannot be made.
    Container,
    /// It listens, and not where it should.
    Listens {
        /// The ports that can be reached from outside.
        ports: Vec<u16>,
        /// Those at its own loopback address, which nobody else reaches.
        inside: Vec<u16>,
    },
    /// Somebody else's policies say who may reach it, or whom it may reach.
    Closed {
        /// Names of those that say who may reach it.
        inward: Vec<String>,
        /// Names of those that say whom it may reach.
        outward: Vec<String>,
    },
}

/// Why an image cannot be fetched.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Serialize, Deserialize)]
#[serde(rename_all = "snake_case")]
pub enum ImageFault {
    /// Its registry does not have it.
    Missing,
    /// Its registry does not give it to the cluster.
    Denied,
    /// Its registry does not answer.
    Away,
    /// It is no name of an image.
    Name,
    /// Nobody can tell.
    Unknown,
}
