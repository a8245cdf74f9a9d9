//! What the pods of an environment may have together.

use daybook_model::name::EnvKey;
use daybook_model::quantity;
use daybook_model::spec::Quota;
use k8s_openapi::api::core::v1::{ResourceQuota, ResourceQuotaSpec};
use k8s_openapi::apimachinery::pkg::api::resource::Quantity;

use super::{Surroundings, environment_annotations, meta};

/// What it is called.
pub(crate) const NAME: &str = "daybook";
const CPU: &str = "limits.cpu";
const MEMORY: &str = "limits.memory";

/// The quota of an environment: of all limits, so that a pod without one is refused.
pub(crate) fn quota(key: &EnvKey, quota: &Quota, around: &Surroundings) -> ResourceQuota {
    let cpu = quota.cpu_millis.map(|millis| (CPU.to_owned(), Quantity(format!("{millis}m"))));
    let memory = quota.memory_bytes.map(|bytes| (MEMORY.to_owned(), Quantity(bytes.to_string())));
    ResourceQuota {
        metadata: meta(around, NAME, around.of_environment(key), environment_annotations(key, around)),
        spec: Some(ResourceQuotaSpec { hard: Some(cpu.into_iter().chain(memory).collect()), ..Default::default() }),
        status: None,
    }
}

/// What a quota in the cluster says.
pub(crate) fn read(found: &ResourceQuota) -> Quota {
    let hard = found.spec.as_ref().and_then(|spec| spec.hard.as_ref());
    let of = |name: &str| hard.and_then(|hard| hard.get(name));
    Quota {
        cpu_millis: of(CPU).and_then(|amount| quantity::cpu_millis(&amount.0)),
        memory_bytes: of(MEMORY).and_then(|amount| quantity::bytes(&amount.0)),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_quota_is_read_as_it_is_written() {
        let key: EnvKey = "shop/production".parse().unwrap();
        for bounds in [
            Quota { cpu_millis: Some(1_500), memory_bytes: Some(8 << 30) },
            Quota { cpu_millis: None, memory_bytes: Some(1) },
        ] {
            assert_eq!(read(&quota(&key, &bounds, &Surroundings::default())), bounds);
        }
    }
}
