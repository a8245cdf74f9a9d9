//! What things of ours are called in a cluster. Annotations decide what is ours; names help people, and
//! make two starts of one replica collide.

use daybook_model::launch::Role;
use daybook_model::name::EnvKey;
use daybook_model::{Digest, ReplicaId};

/// The longest name of a workload: what Kubernetes appends for pods and revisions must fit into a label.
const WORKLOAD: usize = 52;
/// The longest DNS label, and the longest value of a label.
const LABEL: usize = 63;

/// The namespace of an environment, unless its target names one: `shop-production`.
pub fn namespace(key: &EnvKey) -> String {
    dns_label(&format!("{}-{}", key.app, key.env), LABEL)
}

/// `web-3`, with the role at its end where it is not a main replica.
pub(crate) fn workload(id: &ReplicaId, role: Role) -> String {
    let suffix = match role {
        Role::Main => "",
        Role::Hook => "-hook",
        Role::Job => "-job",
        Role::OneOff => "-run",
    };
    dns_label(&format!("{}-{}{suffix}", id.service, id.ordinal), WORKLOAD)
}

/// What the names of all workloads of a service begin with, of a long or a strange name only a part of it.
pub(crate) fn beginning(service: &str) -> &str {
    const SURELY: usize = 32;
    let fits = |byte: &u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || *byte == b'-';
    let begins = service.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    let count = if begins { service.bytes().take(SURELY).take_while(fits).count() } else { 0 };
    &service[..count]
}

/// `web`, or `web-SUFFIX`: the workload of a whole service.
pub(crate) fn of_service(service: &str, suffix: &str) -> String {
    dns_label(&format!("{service}{suffix}"), WORKLOAD)
}

/// The name of a Service, a PersistentVolumeClaim or a NetworkPolicy.
pub(crate) fn resource(name: &str) -> String {
    dns_label(name, LABEL)
}

/// `text` as the value of a label.
pub(crate) fn label_value(text: &str) -> String {
    let fits = |byte: u8| byte.is_ascii_alphanumeric() || matches!(byte, b'-' | b'_' | b'.');
    let ends = |byte: Option<u8>| byte.is_some_and(|byte| byte.is_ascii_alphanumeric());
    let is_valid =
        text.len() <= LABEL && text.bytes().all(fits) && ends(text.bytes().next()) && ends(text.bytes().last());
    if is_valid { text.to_owned() } else { dns_label(text, LABEL) }
}

/// `text` as a DNS label: lower-case letters, digits and hyphens, beginning with a letter. A text that had
/// to be changed gets a hash at its end, so that two texts never become one name.
fn dns_label(text: &str, longest: usize) -> String {
    let fits = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || byte == b'-';
    let begins = text.bytes().next().is_some_and(|byte| byte.is_ascii_lowercase());
    if begins && text.len() <= longest && text.bytes().all(fits) && !text.ends_with('-') {
        return text.to_owned();
    }
    let mut name: String =
        text.to_lowercase().chars().map(|c| if c.is_ascii_alphanumeric() { c } else { '-' }).collect();
    if !name.starts_with(|c: char| c.is_ascii_lowercase()) {
        name.insert(0, 'x');
    }
    let hash = Digest::of(text.as_bytes()).short();
    name.truncate(longest - 9);
    format!("{}-{}", name.trim_end_matches('-'), &hash[..8])
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_names_of_a_services_workloads_begin_alike() {
        let long = "a".repeat(60);
        for service in ["web", "my_web", "w-1", long.as_str()] {
            let id: ReplicaId = format!("{service}.12").parse().unwrap();
            for role in [Role::Main, Role::Hook, Role::Job, Role::OneOff] {
                let name = workload(&id, role);
                assert!(name.starts_with(beginning(service)), "{name}: {service}");
            }
        }
        assert_eq!(beginning("web"), "web");
        assert_eq!(beginning("my_web"), "my");
    }

    #[test]
    fn usual_names_stay_as_they_are() {
        assert_eq!(namespace(&"shop/production".parse().unwrap()), "shop-production");
        let id: ReplicaId = "web.3".parse().unwrap();
        assert_eq!(workload(&id, Role::Main), "web-3");
        assert_eq!(workload(&id, Role::OneOff), "web-3-run");
        assert_eq!(label_value("Shop.x_1"), "Shop.x_1");
    }

    #[test]
    fn names_that_kubernetes_refuses_are_changed_and_stay_apart() {
        let texts = ["My_App", "my_app", "my.app", "3tier", "ends-", "", &"long".repeat(30), &"long".repeat(31)];
        let names: std::collections::BTreeSet<String> = texts.iter().map(|text| dns_label(text, WORKLOAD)).collect();
        assert_eq!(names.len(), texts.len());
        for name in &names {
            assert!(name.len() <= WORKLOAD && name.starts_with(|c: char| c.is_ascii_lowercase()), "{name}");
            assert!(name.bytes().all(|b| b.is_ascii_lowercase() || b.is_ascii_digit() || b == b'-'), "{name}");
        }
        assert!(label_value("ends_").len() <= LABEL && !label_value("ends_").ends_with('_'));
    }
}
