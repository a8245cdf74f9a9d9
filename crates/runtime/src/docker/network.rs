//! Networks of an environment.

use bollard::models::{Ipam, IpamConfig, Network as Found, NetworkCreateRequest, NetworkInspect};
use bollard::query_parameters::ListNetworksOptionsBuilder;
use daybook_model::name::{EnvKey, NetworkName};
use daybook_model::spec::Network;

use super::error::{failed, is_conflict, is_missing};
use super::{DockerRuntime, names};
use crate::identity::{Labels, filter, has_all, of_environment, of_resource};
use crate::{Error, ErrorKind, Result, labels};

impl DockerRuntime {
    pub(super) async fn make_network(&self, key: &EnvKey, name: &NetworkName, network: &Network) -> Result<()> {
        if network.external {
            let outside = network.outside_name.as_deref().unwrap_or(name.as_str());
            return match self.inspect_network(outside).await? {
                Some(_) => Ok(()),
                None => Err(missing_external("network", outside)),
            };
        }
        let called = names::resource(key, name.as_str(), network.outside_name.as_deref());
        let operation = format!("make network {called}");
        if let Some(found) = self.inspect_network(&called).await? {
            return self.ours(&operation, &found.labels.unwrap_or_default(), key, name.as_str());
        }
        match self.engine.docker.create_network(request(key, name, network, &called, &self.owners.labels())).await {
            Ok(_) => Ok(()),
            // Somebody else was faster; it may have been us.
            Err(said) if is_conflict(&said) => match self.inspect_network(&called).await? {
                Some(found) => self.ours(&operation, &found.labels.unwrap_or_default(), key, name.as_str()),
                None => Err(failed(operation, &said)),
            },
            Err(said) => Err(failed(operation, &said)),
        }
    }

    pub(super) async fn drop_network(&self, key: &EnvKey, name: &NetworkName) -> Result<()> {
        for network in self.networks(&of_resource(key, name.as_str(), [])).await? {
            self.owners.refuse(
                &format!("remove network {name}"),
                key,
                network.labels.as_ref().unwrap_or(&Labels::new()),
            )?;
            let id = network.id.unwrap_or_default();
            match self.engine.docker.remove_network(&id).await {
                Ok(()) => {}
                Err(said) if is_missing(&said) => {}
                Err(said) => return Err(in_use(failed(format!("remove network {name} of {key}"), &said))),
            }
        }
        Ok(())
    }

    /// Names of the environment's networks.
    pub(super) async fn network_names(&self, key: &EnvKey) -> Result<Vec<NetworkName>> {
        let found = self.networks(&of_environment(key)).await?;
        for network in &found {
            self.owners.refuse("look at networks", key, network.labels.as_ref().unwrap_or(&Labels::new()))?;
        }
        Ok(found.iter().filter_map(|network| name_label(network.labels.as_ref()?)).collect())
    }

    /// Networks with all of these labels.
    pub(super) async fn networks(&self, wanted: &Labels) -> Result<Vec<Found>> {
        let options = ListNetworksOptionsBuilder::default().filters(&filter(wanted)).build();
        let found = self.engine.docker.list_networks(Some(options)).await.map_err(|e| failed("list networks", &e))?;
        let ours = |network: &Found| network.labels.as_ref().is_some_and(|labels| has_all(labels, wanted));
        Ok(found.into_iter().filter(ours).collect())
    }

    pub(super) async fn inspect_network(&self, called: &str) -> Result<Option<NetworkInspect>> {
        match self.engine.docker.inspect_network(called, None).await {
            Ok(found) => Ok(Some(found)),
            Err(said) if is_missing(&said) => Ok(None),
            Err(said) => Err(failed(format!("look for network {called}"), &said)),
        }
    }

    /// That something of the right name has our labels.
    pub(super) fn ours(&self, operation: &str, found: &Labels, key: &EnvKey, name: &str) -> Result<()> {
        self.owners.refuse(operation, key, found)?;
        if has_all(found, &of_resource(key, name, [])) {
            return Ok(());
        }
        let message = match found.get(labels::APP) {
            Some(app) => format!("it belongs to {app}/{}", found.get(labels::ENV).map_or("", String::as_str)),
            None => "it is there already and is not ours".to_owned(),
        };
        let hint = "mark it `external: true`, or give it another name";
        Err(Error::new(ErrorKind::Conflict, operation, message).hint(hint))
    }
}

fn request(key: &EnvKey, name: &NetworkName, network: &Network, called: &str, owner: &Labels) -> NetworkCreateRequest {
    let subnets = network.subnets.iter().map(|(subnet, gateway)| IpamConfig {
        subnet: Some(subnet.clone()),
        gateway: gateway.clone(),
        ..Default::default()
    });
    let subnets: Vec<_> = subnets.collect();
    NetworkCreateRequest {
        name: called.to_owned(),
        driver: Some(network.driver.clone().unwrap_or_else(|| "bridge".to_owned())),
        internal: Some(network.internal),
        enable_ipv6: Some(network.ipv6),
        options: (!network.driver_opts.is_empty()).then(|| network.driver_opts.clone().into_iter().collect()),
        ipam: (!subnets.is_empty()).then(|| Ipam { config: Some(subnets), ..Default::default() }),
        labels: Some(of_resource(key, name.as_str(), network.labels.clone().into_iter().chain(owner.clone()))),
        ..Default::default()
    }
}

/// The name that a network or volume has in its environment. A malformed label is reported.
pub(super) fn name_label<T: std::str::FromStr>(found: &Labels) -> Option<T>
where
    T::Err: std::fmt::Display,
{
    match found.get(labels::NAME)?.parse() {
        Ok(name) => Some(name),
        Err(error) => {
            tracing::warn!(label = labels::NAME, %error, "a label of ours is malformed; what has it is left alone");
            None
        }
    }
}

pub(super) fn missing_external(what: &str, outside: &str) -> Error {
    Error::new(ErrorKind::NotFound, format!("look for {what} {outside}"), "it is `external` and is not there")
        .hint(format!("`docker {what} create {outside}`, or remove `external`"))
}

/// Daemons answer 403 or 409 for something that is still in use.
pub(super) fn in_use(error: Error) -> Error {
    if error.message.contains("active endpoints") || error.message.contains("in use") {
        return Error { kind: ErrorKind::Conflict, ..error };
    }
    error
}
