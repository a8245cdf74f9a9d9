//! A Lease (`coordination.k8s.io/v1`): the record by which servers elect a leader. What it means is decided elsewhere;
//! here it is read, and changed by whoever knows its version.

use std::time::Duration;

use daybook_model::target::ClusterTarget;
use daybook_runtime::Result;
use jiff::Timestamp;
use k8s_openapi::api::coordination::v1::{Lease as Object, LeaseSpec};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::{MicroTime, ObjectMeta};
use kube::api::{Api, PostParams};

use crate::cluster::{Cluster, MANAGER, answer};

/// A Lease of a name in a namespace.
pub struct Lease {
    api: Api<Object>,
    name: String,
    lasts: Duration,
}

/// What a Lease says.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Held {
    /// Another with each change. `None`: there is no Lease.
    pub version: Option<String>,
    /// Who holds it.
    pub holder: Option<String>,
}

impl Lease {
    /// Finds the cluster; makes nothing. `lasts` is written for whoever reads the Lease.
    pub async fn connect(target: &ClusterTarget, namespace: &str, name: &str, lasts: Duration) -> Result<Self> {
        let cluster = Cluster::connect(target, None).await?;
        Ok(Self { api: cluster.within(Some(namespace)), name: name.to_owned(), lasts })
    }

    /// Reads it.
    pub async fn look(&self) -> Result<Held> {
        let found = answer("read the Lease", self.api.get_opt(&self.name)).await?;
        let Some(found) = found else { return Ok(Held { version: None, holder: None }) };
        let holder = found.spec.and_then(|spec| spec.holder_identity).filter(|holder| !holder.is_empty());
        Ok(Held { version: found.metadata.resource_version, holder })
    }

    /// Makes it name `holder`, or nobody, if it is still of this version. The new version; none, if it was not.
    pub async fn change(&self, expecting: Option<&str>, holder: Option<&str>) -> Result<Option<String>> {
        let changed = async {
            let params = PostParams { field_manager: Some(MANAGER.to_owned()), ..PostParams::default() };
            let object = self.object(expecting, holder);
            let done = match expecting {
                Some(_) => self.api.replace(&self.name, &params, &object).await,
                None => self.api.create(&params, &object).await,
            };
            match done {
                Ok(object) => Ok(object.metadata.resource_version),
                // Somebody else was faster: it has another version, is there by now, or is gone.
                Err(kube::Error::Api(status)) if matches!(status.code, 404 | 409) => Ok(None),
                Err(said) => Err(said),
            }
        };
        answer("change the Lease", changed).await
    }

    fn object(&self, expecting: Option<&str>, holder: Option<&str>) -> Object {
        let metadata = ObjectMeta {
            name: Some(self.name.clone()),
            resource_version: expecting.map(ToOwned::to_owned),
            ..ObjectMeta::default()
        };
        let spec = LeaseSpec {
            holder_identity: holder.map(ToOwned::to_owned),
            lease_duration_seconds: i32::try_from(self.lasts.as_secs()).ok(),
            renew_time: Some(MicroTime(Timestamp::now())),
            ..LeaseSpec::default()
        };
        Object { metadata, spec: Some(spec) }
    }
}
