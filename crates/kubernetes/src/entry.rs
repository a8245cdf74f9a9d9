//! What is before the edge in a cluster: its own load balancer, an Ingress controller, or a Gateway.
//!
//! A route that nobody serves would lose every request, so that a Gateway's word is waited for. Ingress controllers
//! give none.

use daybook_model::EnvKey;
use daybook_model::target::ClusterEntry;
use daybook_runtime::{Entrance, Error, ErrorKind, Result};
use k8s_openapi::api::networking::v1::{Ingress, IngressClass};
use kube::api::{Api, DeleteParams, ListParams, Patch, PatchParams};
use kube::core::DynamicObject;
use serde_json::Value;
use std::time::Duration;

use crate::cluster::{MANAGER, answer};
use crate::edge::ClusterEdge;
use crate::error::if_there;
use crate::keeper::is_marked;
use crate::objects::edge::NAMESPACE;
use crate::objects::entry::{Hosts, gateway_api, http_route, ingress, name};

/// How long a Gateway's controller may take to say what it makes of a route.
const ACCEPTED_WITHIN: Duration = Duration::from_secs(20);
/// A refusal counts when it lasts so long: what was just made may not be seen everywhere yet.
const REFUSED_FOR: Duration = Duration::from_secs(5);
/// Between two looks at it.
const PAUSE: Duration = Duration::from_millis(250);
/// Marks the class of Ingresses that name none.
const DEFAULT_CLASS: &str = "ingressclass.kubernetes.io/is-default-class";

/// What a Gateway says of a route.
#[derive(Debug, Clone, PartialEq, Eq)]
enum Heard {
    /// It serves it.
    Accepted,
    /// It does not, and why.
    Refused(String),
    /// Nothing yet.
    Nothing,
}

impl ClusterEdge<'_> {
    /// Leads the requests for some hosts to the edge. Returns when whoever does that has said so, where it says
    /// anything. [`ErrorKind::Refused`] when there is no such controller, or it refuses.
    pub async fn open(&self, key: &EnvKey, hosts: &Hosts) -> Result<()> {
        let params = PatchParams::apply(MANAGER);
        match self.entry {
            ClusterEntry::Balancer => Ok(()),
            ClusterEntry::Ingress(class) => {
                self.ingress_class(class.as_deref()).await?;
                let operation = format!("lead requests for {key} through an Ingress");
                let wanted = ingress(key, hosts, class.as_deref());
                answer(&operation, self.of::<Ingress>().patch(&name(key), &params, &Patch::Apply(&wanted))).await?;
                Ok(())
            }
            ClusterEntry::Gateway { namespace, name: gateway } => {
                self.gateway().await?;
                let operation = format!("lead requests for {key} through the Gateway {namespace}/{gateway}");
                let (routes, wanted) = (self.http_routes(), http_route(key, hosts, (namespace, gateway)));
                let before = answer(&operation, routes.get_opt(&name(key))).await?;
                answer(&operation, routes.patch(&name(key), &params, &Patch::Apply(&wanted))).await?;
                let accepted = self.until_accepted(key, &operation).await;
                if accepted.is_err() && before.is_none() {
                    // Nobody came in by it yet.
                    self.close(key).await?;
                }
                accepted
            }
        }
    }

    /// Leads no more requests for an environment to the edge.
    pub async fn close(&self, key: &EnvKey) -> Result<()> {
        let (operation, how) = (format!("lead no more requests for {key}"), DeleteParams::default());
        let deleted = async {
            match self.entry {
                ClusterEntry::Balancer => Ok(()),
                ClusterEntry::Ingress(_) => if_there(self.of::<Ingress>().delete(&name(key), &how).await).map(drop),
                ClusterEntry::Gateway { .. } => if_there(self.http_routes().delete(&name(key), &how).await).map(drop),
            }
        };
        answer(&operation, deleted).await
    }

    /// Where users come in, when that is not the edge's own load balancer.
    pub(crate) async fn entrance_before(&self, key: &EnvKey) -> Result<Entrance> {
        match self.entry {
            ClusterEntry::Balancer => Ok(Entrance::default()),
            ClusterEntry::Ingress(_) => {
                let found = answer("look for the Ingress", self.of::<Ingress>().get_opt(&name(key))).await?;
                let balancer = found.and_then(|found| found.status?.load_balancer?.ingress).unwrap_or_default();
                let addresses = balancer.into_iter().filter_map(|at| at.hostname.or(at.ip)).collect();
                Ok(Entrance { http: Some(80), https: Some(443), addresses })
            }
            ClusterEntry::Gateway { .. } => Ok(entrance_of(&self.gateway().await?.data)),
        }
    }

    /// Whether what is before the edge is there: what it is, in words.
    pub(crate) async fn before(&self) -> Result<String> {
        match self.entry {
            ClusterEntry::Balancer => Ok("a load balancer".to_owned()),
            ClusterEntry::Ingress(class) => {
                Ok(format!("Ingresses of class {}", self.ingress_class(class.as_deref()).await?))
            }
            ClusterEntry::Gateway { namespace, name } => {
                self.gateway().await?;
                Ok(format!("the Gateway {namespace}/{name}"))
            }
        }
    }

    fn http_routes(&self) -> Api<DynamicObject> {
        Api::namespaced_with(self.cluster.client.clone(), NAMESPACE, &gateway_api("HTTPRoute"))
    }

    /// The class that Ingresses get.
    async fn ingress_class(&self, wanted: Option<&str>) -> Result<String> {
        let operation = "look for the Ingress controller";
        let api: Api<IngressClass> = Api::all(self.cluster.client.clone());
        let all = answer(operation, api.list(&ListParams::default())).await?.items;
        let name = |class: &IngressClass| class.metadata.name.clone().unwrap_or_default();
        let found = match wanted {
            Some(wanted) => all.iter().find(|class| name(class) == wanted),
            None => all.iter().find(|class| is_marked(&class.metadata, DEFAULT_CLASS)),
        };
        found.map(name).ok_or_else(|| {
            let missing = wanted.map_or("no IngressClass is the default".to_owned(), |wanted| {
                format!("there is no IngressClass `{wanted}`")
            });
            let hint = match all.is_empty() {
                true => "install an Ingress controller, or leave `entry=` away: the edge then has a load balancer of its own"
                    .to_owned(),
                false => format!("there are: {}", all.iter().map(name).collect::<Vec<_>>().join(", ")),
            };
            Error::new(ErrorKind::Refused, operation, missing).hint(hint)
        })
    }

    /// The Gateway that the target names.
    async fn gateway(&self) -> Result<DynamicObject> {
        let ClusterEntry::Gateway { namespace, name } = self.entry else {
            return Err(Error::new(ErrorKind::Internal, "look for the Gateway", "the target names none"));
        };
        let operation = format!("look for the Gateway {namespace}/{name}");
        let kind = gateway_api("Gateway");
        let within: Api<DynamicObject> = Api::namespaced_with(self.cluster.client.clone(), namespace, &kind);
        if let Some(found) = answer(&operation, within.get_opt(name)).await? {
            return Ok(found);
        }
        let everywhere: Api<DynamicObject> = Api::all_with(self.cluster.client.clone(), &kind);
        let all = async { if_there(everywhere.list(&ListParams::default()).await) };
        let (message, hint) = match answer(&operation, all).await?.map(|found| found.items) {
            None => (
                "the cluster does not have the Gateway API".to_owned(),
                "install a controller of Gateways, or leave `entry=` away: the edge then has a load balancer of its own"
                    .to_owned(),
            ),
            Some(all) if all.is_empty() => {
                ("there is no Gateway in the cluster".to_owned(), format!("make one: `{name}` in `{namespace}`"))
            }
            Some(all) => {
                let full = |found: &DynamicObject| {
                    let meta = &found.metadata;
                    let part = |part: &Option<String>| part.clone().unwrap_or_default();
                    format!("{}/{}", part(&meta.namespace), part(&meta.name))
                };
                let there: Vec<_> = all.iter().map(full).collect();
                ("it is not there".to_owned(), format!("there are: {}", there.join(", ")))
            }
        };
        Err(Error::new(ErrorKind::Refused, operation, message).hint(hint))
    }

    async fn until_accepted(&self, key: &EnvKey, operation: &str) -> Result<()> {
        let begun = tokio::time::Instant::now();
        loop {
            let route = answer(operation, self.http_routes().get(&name(key))).await?;
            let (error, bound) = match heard(&route) {
                Heard::Accepted => return Ok(()),
                Heard::Refused(why) => {
                    let hint = "the listeners of the Gateway say whose routes they take (`allowedRoutes`): those of \
                                the namespace daybook-system must be among them";
                    (Error::new(ErrorKind::Refused, operation, why).hint(hint), REFUSED_FOR)
                }
                Heard::Nothing => {
                    let why = "its controller has not said what it makes of the HTTPRoute";
                    let hint = format!("`kubectl -n {NAMESPACE} describe httproute {}` shows its state", name(key));
                    (Error::new(ErrorKind::Unavailable, operation, why).hint(hint), ACCEPTED_WITHIN)
                }
            };
            if begun.elapsed() > bound {
                return Err(error);
            }
            tokio::time::sleep(PAUSE).await;
        }
    }
}

/// What the one Gateway of a route says of the route as it is now. `Accepted` and `ResolvedRefs` are conditions of the
/// Gateway API (`RouteParentStatus`).
fn heard(route: &DynamicObject) -> Heard {
    let parents = route.data.pointer("/status/parents").and_then(Value::as_array);
    let conditions = parents.into_iter().flatten().filter_map(|parent| parent.get("conditions")?.as_array()).flatten();
    let text = |condition: &Value, field: &str| condition[field].as_str().unwrap_or_default().to_owned();
    let is_current = |condition: &&Value| match (condition["observedGeneration"].as_i64(), route.metadata.generation) {
        (Some(observed), Some(now)) => observed >= now,
        _ => true,
    };
    let current: Vec<_> = conditions.filter(is_current).collect();
    let of = |kind: &str| current.iter().find(|condition| condition["type"] == kind);
    for kind in ["Accepted", "ResolvedRefs"] {
        match of(kind) {
            Some(condition) if condition["status"] == "True" => {}
            Some(condition) => {
                let (reason, message) = (text(condition, "reason"), text(condition, "message"));
                return Heard::Refused(if message.is_empty() { reason } else { format!("{reason}: {message}") });
            }
            None => return Heard::Nothing,
        }
    }
    Heard::Accepted
}

/// Where a Gateway listens.
fn entrance_of(gateway: &Value) -> Entrance {
    let listeners = || gateway.pointer("/spec/listeners").and_then(Value::as_array).into_iter().flatten();
    let port = |protocol: &str| {
        let listener = listeners().find(|listener| listener["protocol"] == protocol)?;
        u16::try_from(listener["port"].as_u64()?).ok()
    };
    let addresses = gateway.pointer("/status/addresses").and_then(Value::as_array).into_iter().flatten();
    let addresses = addresses.filter_map(|address| address["value"].as_str().map(ToOwned::to_owned)).collect();
    Entrance { http: port("HTTP"), https: port("HTTPS"), addresses }
}

#[cfg(test)]
mod tests {
    use serde_json::json;

    use super::*;

    fn route(generation: i64, conditions: &Value) -> DynamicObject {
        let mut route = DynamicObject::new("shop", &gateway_api("HTTPRoute"));
        route.metadata.generation = Some(generation);
        route.data(json!({"status": {"parents": [{"conditions": conditions}]}}))
    }

    fn condition(kind: &str, status: &str, generation: i64) -> Value {
        json!({"type": kind, "status": status, "reason": "NotAllowedByListeners", "message": "", "observedGeneration": generation})
    }

    #[test]
    fn a_gateway_is_heard_when_it_speaks_of_the_route_as_it_is() {
        let both = |generation| {
            json!([condition("Accepted", "True", generation), condition("ResolvedRefs", "True", generation)])
        };
        assert_eq!(heard(&route(2, &both(2))), Heard::Accepted);
        assert_eq!(heard(&route(2, &both(1))), Heard::Nothing, "it speaks of the route as it was");
        assert_eq!(heard(&route(1, &json!([condition("Accepted", "True", 1)]))), Heard::Nothing);
        let refused = json!([condition("Accepted", "False", 1), condition("ResolvedRefs", "True", 1)]);
        assert_eq!(heard(&route(1, &refused)), Heard::Refused("NotAllowedByListeners".to_owned()));
        assert_eq!(heard(&DynamicObject::new("shop", &gateway_api("HTTPRoute"))), Heard::Nothing);
    }

    #[test]
    fn a_gateway_tells_where_it_listens() {
        let gateway = json!({
            "spec": {"listeners": [{"protocol": "HTTPS", "port": 8443}, {"protocol": "HTTP", "port": 8080}]},
            "status": {"addresses": [{"type": "IPAddress", "value": "192.0.2.7"}]},
        });
        let entrance = entrance_of(&gateway);
        assert_eq!((entrance.http, entrance.https), (Some(8080), Some(8443)));
        assert_eq!(entrance.addresses, ["192.0.2.7"]);
        assert_eq!(entrance_of(&json!({})), Entrance::default());
    }
}
