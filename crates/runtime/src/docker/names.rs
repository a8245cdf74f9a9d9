//! What things of ours are called in the daemon. Labels decide what is ours; names only help people,
//! and make two starts of one replica collide.

use daybook_model::ReplicaId;
use daybook_model::launch::Role;
use daybook_model::name::EnvKey;

/// `shop-production-web-3`, with the role at its end where it is not a main replica.
pub(super) fn container(key: &EnvKey, id: &ReplicaId, role: Role) -> String {
    let suffix = match role {
        Role::Main => "",
        Role::Hook => "-hook",
        Role::Job => "-job",
        Role::OneOff => "-run",
    };
    format!("{}-{}-{}-{}{suffix}", key.app, key.env, id.service, id.ordinal)
}

/// `shop_production_data`: a volume or a network, unless the manifest names it.
pub(super) fn resource(key: &EnvKey, name: &str, outside: Option<&str>) -> String {
    outside.map_or_else(|| format!("{}_{}_{name}", key.app, key.env), ToOwned::to_owned)
}

/// `daybook/shop-production`: the repository that images built for an environment are tagged in.
/// Repositories allow less than our names do: the label tells exactly what an image is.
pub(super) fn repository(key: &EnvKey) -> String {
    let wanted = format!("{}-{}", key.app, key.env).to_lowercase();
    let parts: Vec<&str> = wanted.split(|c: char| !c.is_ascii_alphanumeric()).filter(|part| !part.is_empty()).collect();
    format!("daybook/{}", parts.join("-"))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn key() -> EnvKey {
        "Shop.x/production".parse().unwrap()
    }

    #[test]
    fn names_say_where_a_thing_belongs() {
        let id: ReplicaId = "web.3".parse().unwrap();
        assert_eq!(container(&key(), &id, Role::Main), "Shop.x-production-web-3");
        assert_eq!(container(&key(), &id, Role::Hook), "Shop.x-production-web-3-hook");
        assert_eq!(resource(&key(), "data", None), "Shop.x_production_data");
        assert_eq!(resource(&key(), "data", Some("old-data")), "old-data");
    }

    #[test]
    fn repositories_hold_only_what_docker_allows() {
        assert_eq!(repository(&key()), "daybook/shop-x-production");
        assert_eq!(repository(&"a--b._c/Prod_".parse().unwrap()), "daybook/a-b-c-prod");
    }
}
