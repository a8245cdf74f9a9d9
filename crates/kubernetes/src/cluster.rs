//! The connection to an API server, and the few ways in which objects are read and written.

use std::fmt::Debug;
use std::path::Path;
use std::sync::Arc;
use std::time::Duration;

use daybook_model::name::EnvKey;
use daybook_model::target::ClusterTarget;
use daybook_runtime::{Error, ErrorKind, Result};
use k8s_openapi::NamespaceResourceScope;
use k8s_openapi::api::core::v1::Node;
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::config::{KubeConfigOptions, Kubeconfig};
use kube::core::Resource;
use kube::{Client, Config};
use serde::Serialize;
use serde::de::DeserializeOwned;

use crate::error::{failed, if_there};
use crate::names;
use crate::objects::{Pairs, selector};
use crate::written::Written;

/// Who we are in the records of an object's fields.
pub(crate) const MANAGER: &str = "daybook";

const CONNECT: Duration = Duration::from_secs(10);
/// How long one answer may take. Watches, logs and commands are not bound by it.
pub(crate) const ANSWER: Duration = Duration::from_secs(30);

/// Objects that one answer holds at most: larger lists come in pages.
const PAGE: u32 = 500;

/// What every kind of object that we keep can do.
pub(crate) trait Kept:
    Resource<DynamicType = (), Scope = NamespaceResourceScope>
    + Clone
    + Debug
    + DeserializeOwned
    + Serialize
    + Send
    + Sync
    + 'static
{
}

impl<K> Kept for K where
    K: Resource<DynamicType = (), Scope = NamespaceResourceScope>
        + Clone
        + Debug
        + DeserializeOwned
        + Serialize
        + Send
        + Sync
        + 'static
{
}

/// One cluster.
#[derive(Clone)]
pub(crate) struct Cluster {
    pub(crate) client: Client,
    /// One namespace for all environments, if the target names one.
    pub(crate) only: Option<String>,
    /// The context of the kubeconfig, where the target names one.
    pub(crate) context: Option<String>,
    /// Where the API server is.
    pub(crate) url: String,
    /// What this process has written.
    pub(crate) written: Arc<Written>,
}

impl Cluster {
    pub(crate) async fn connect(target: &ClusterTarget, kubeconfig: Option<&Path>) -> Result<Self> {
        let operation = format!("connect to {target}");
        let (mut config, context, only) = configuration(target, kubeconfig, &operation).await?;
        config.connect_timeout = Some(CONNECT);
        config.write_timeout = Some(ANSWER);
        let url = config.cluster_url.to_string();
        let client = Client::try_from(config).map_err(|said| failed(operation, &said))?;
        Ok(Self { client, only, context, url, written: Arc::default() })
    }

    /// The namespace of an environment.
    pub(crate) fn namespace(&self, key: &EnvKey) -> String {
        self.only.clone().unwrap_or_else(|| names::namespace(key))
    }

    /// Objects of one kind in an environment's namespace.
    pub(crate) fn of<K: Kept>(&self, key: &EnvKey) -> Api<K> {
        Api::namespaced(self.client.clone(), &self.namespace(key))
    }

    /// Objects of one kind in a namespace, or in all.
    pub(crate) fn within<K: Kept>(&self, namespace: Option<&str>) -> Api<K> {
        match namespace {
            Some(namespace) => Api::namespaced(self.client.clone(), namespace),
            None => Api::all(self.client.clone()),
        }
    }

    /// The version of the API server.
    pub(crate) async fn version(&self) -> Result<String> {
        let operation = "ask the API server for its version";
        let version = answer(operation, self.client.apiserver_version()).await?;
        Ok(format!("Kubernetes {}", version.git_version))
    }

    /// One object, if it is there.
    pub(crate) async fn get<K: Kept>(&self, key: &EnvKey, name: &str) -> Result<Option<K>> {
        let operation = format!("look for {} {name}", kind::<K>());
        answer(&operation, self.of::<K>(key).get_opt(name)).await
    }

    /// All objects of one kind with these labels, in a namespace or in all.
    pub(crate) async fn list<K: Kept>(&self, namespace: Option<&str>, labels: &Pairs) -> Result<Vec<K>> {
        let api = self.within::<K>(namespace);
        let operation = format!("list {}s", kind::<K>());
        let mut params = ListParams::default().labels(&selector(labels)).limit(PAGE);
        let mut all = Vec::new();
        loop {
            let page = answer(&operation, api.list(&params)).await?;
            all.extend(page.items);
            match page.metadata.continue_.filter(|token| !token.is_empty()) {
                Some(token) => params = params.continue_token(&token),
                None => return Ok(all),
            }
        }
    }

    /// The machines.
    pub(crate) async fn nodes(&self) -> Result<Vec<Node>> {
        let api: Api<Node> = Api::all(self.client.clone());
        Ok(answer("list nodes", api.list(&ListParams::default())).await?.items)
    }

    /// Makes an object what it is said to be, or creates it. What others have set of it stays: an error of kind
    /// [`ErrorKind::Conflict`] when that is something which we want otherwise.
    pub(crate) async fn apply<K: Kept>(&self, key: &EnvKey, object: &K) -> Result<K> {
        let name = object.meta().name.clone().unwrap_or_default();
        let operation = format!("apply {} {name}", kind::<K>());
        let params = PatchParams::apply(MANAGER);
        let applied = answer(&operation, self.of::<K>(key).patch(&name, &params, &Patch::Apply(object))).await;
        self.note(key, applied.as_ref().ok());
        applied
    }

    /// Notes what a write was answered with.
    fn note<K: Kept>(&self, key: &EnvKey, made: Option<&K>) {
        match made {
            Some(made) => self.written.answered(key, kind::<K>(), made.meta()),
            None => self.written.unknown(key),
        }
    }

    /// Changes a few fields of an object that is there. Not there is fine.
    pub(crate) async fn change<K: Kept>(&self, key: &EnvKey, name: &str, change: serde_json::Value) -> Result<()> {
        let operation = format!("change {} {name}", kind::<K>());
        let params = PatchParams { field_manager: Some(MANAGER.to_owned()), ..PatchParams::default() };
        let api = self.of::<K>(key);
        let changed = async { if_there(api.patch(name, &params, &Patch::Merge(change)).await) };
        let changed = answer(&operation, changed).await;
        self.note(key, changed.as_ref().ok().and_then(Option::as_ref));
        changed.map(drop)
    }

    /// Deletes an object. Not there is fine.
    pub(crate) async fn delete<K: Kept>(&self, key: &EnvKey, name: &str, how: &DeleteParams) -> Result<()> {
        let operation = format!("delete {} {name}", kind::<K>());
        self.written.unknown(key);
        let api = self.of::<K>(key);
        answer(&operation, async { if_there(api.delete(name, how).await) }).await.map(drop)
    }
}

/// What a kind of object is called.
pub(crate) fn kind<K: Kept>() -> String {
    K::kind(&()).into_owned()
}

/// The answer to one request, which may take so long and no longer.
pub(crate) async fn answer<T>(operation: &str, asked: impl Future<Output = kube::Result<T>>) -> Result<T> {
    match tokio::time::timeout(ANSWER, asked).await {
        Ok(answered) => answered.map_err(|said| failed(operation, &said)),
        Err(_) => {
            let message = format!("the API server did not answer within {} s", ANSWER.as_secs());
            Err(Error::new(ErrorKind::Unavailable, operation, message))
        }
    }
}

async fn configuration(
    target: &ClusterTarget,
    kubeconfig: Option<&Path>,
    operation: &str,
) -> Result<(Config, Option<String>, Option<String>)> {
    let refused = |said: &dyn std::fmt::Display| {
        Error::new(ErrorKind::Refused, operation, said)
            .hint("`kubectl config get-contexts` names the contexts; KUBECONFIG says where they are")
    };
    let is_in_pod = std::env::var_os("KUBERNETES_SERVICE_HOST").is_some();
    let read = match kubeconfig {
        Some(path) => Kubeconfig::read_from(path),
        None => Kubeconfig::read(),
    };
    let file = match read {
        Err(_) if is_in_pod && kubeconfig.is_none() => {
            let config = Config::incluster().map_err(|said| refused(&said))?;
            let only = target.split(|_| false).1.map(ToOwned::to_owned);
            return Ok((config, None, only));
        }
        read => read.map_err(|said| refused(&said))?,
    };
    let (context, only) = target.split(|name| file.contexts.iter().any(|known| known.name == name));
    let (context, only) = ((!context.is_empty()).then(|| context.to_owned()), only.map(ToOwned::to_owned));
    let options = KubeConfigOptions { context: context.clone(), ..KubeConfigOptions::default() };
    let config = Config::from_custom_kubeconfig(file, &options).await.map_err(|said| refused(&said))?;
    Ok((config, context, only))
}
