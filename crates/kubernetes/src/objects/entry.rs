//! What leads requests from somebody else's controller to the edge: an Ingress, or an HTTPRoute of a Gateway.
//!
//! Both stand beside the edge, where the Service is that they lead to. They name hosts only: which path goes where, and
//! to which replica, stays the edge's affair, so that nothing of them changes in a rollout.

use std::collections::BTreeSet;

use daybook_model::EnvKey;
use k8s_openapi::api::networking::v1::{
    HTTPIngressPath, HTTPIngressRuleValue, Ingress, IngressBackend, IngressRule, IngressServiceBackend, IngressSpec,
    IngressTLS, ServiceBackendPort,
};
use kube::core::{ApiResource, DynamicObject, GroupVersionKind};
use serde_json::json;

use super::edge::{BEHIND, NAMESPACE, meta};
use crate::names;

/// The one that every table knows: any host.
const ANY: &str = "*";
/// The port of the Service that they lead to.
const PORT: i32 = 80;

/// The hosts of an environment, and those of them that are served over HTTPS.
#[derive(Debug, Clone, PartialEq, Eq, Default)]
pub struct Hosts {
    /// All.
    pub all: BTreeSet<String>,
    /// Those that have a certificate.
    pub secure: BTreeSet<String>,
}

/// What is made of an environment is called so. No two environments share a name.
pub(crate) fn name(key: &EnvKey) -> String {
    names::resource(&key.to_string())
}

/// The Secret in which the controller finds the certificate of an environment, or makes it.
fn certificate(key: &EnvKey) -> String {
    names::resource(&format!("{}-{}-tls", key.app, key.env))
}

pub(crate) fn ingress(key: &EnvKey, hosts: &Hosts, class: Option<&str>) -> Ingress {
    let path = HTTPIngressPath {
        backend: IngressBackend {
            service: Some(IngressServiceBackend {
                name: BEHIND.to_owned(),
                port: Some(ServiceBackendPort { name: None, number: Some(PORT) }),
            }),
            resource: None,
        },
        path: Some("/".to_owned()),
        path_type: "Prefix".to_owned(),
    };
    let rule = |host: &String| IngressRule {
        host: (host != ANY).then(|| host.clone()),
        http: Some(HTTPIngressRuleValue { paths: vec![path.clone()] }),
    };
    let secure: Vec<_> = hosts.secure.iter().filter(|host| *host != ANY).cloned().collect();
    let tls = IngressTLS { hosts: Some(secure.clone()), secret_name: Some(certificate(key)) };
    Ingress {
        metadata: meta(&name(key)),
        spec: Some(IngressSpec {
            ingress_class_name: class.map(ToOwned::to_owned),
            rules: Some(hosts.all.iter().map(rule).collect()),
            tls: (!secure.is_empty()).then(|| vec![tls]),
            ..IngressSpec::default()
        }),
        status: None,
    }
}

/// A kind of the Gateway API. Its objects are kept as JSON: whether a cluster has it is known only there.
pub(crate) fn gateway_api(kind: &str) -> ApiResource {
    ApiResource::from_gvk(&GroupVersionKind::gvk("gateway.networking.k8s.io", "v1", kind))
}

pub(crate) fn http_route(key: &EnvKey, hosts: &Hosts, gateway: (&str, &str)) -> DynamicObject {
    let mut spec = json!({
        "parentRefs": [{"namespace": gateway.0, "name": gateway.1}],
        "rules": [{"backendRefs": [{"name": BEHIND, "port": PORT}]}],
    });
    // Without any the route takes what the Gateway's listeners do.
    if !hosts.all.contains(ANY) {
        spec["hostnames"] = json!(hosts.all);
    }
    let route = DynamicObject::new(&name(key), &gateway_api("HTTPRoute")).within(NAMESPACE).data(json!({"spec": spec}));
    DynamicObject { metadata: meta(&name(key)), ..route }
}
