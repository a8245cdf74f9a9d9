//! What a replica may take, and how its variables are written.

use daybook_model::policy::{Edit, KeyPath};

use crate::policy::{Found, Mend, Subject};

pub(in crate::policy) fn memory(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated().filter(|service| service.container.resources.memory_bytes.is_none()) {
        let at = |keys: &[&str]| KeyPath::service(&service.name, keys);
        found.at(&service.name, &["mem_limit"], format!("`{}` has no memory limit", service.name)).set(
            vec![at(&["resources", "memory"]), at(&["deploy", "resources", "limits", "memory"]), at(&["mem_limit"])],
            "512m",
        );
    }
}

pub(in crate::policy) fn cpu(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.replicated() {
        let resources = &service.container.resources;
        if resources.cpu_millis.or(resources.reserve_cpu_millis).is_none() {
            let at = |keys: &[&str]| KeyPath::service(&service.name, keys);
            found
                .at(&service.name, &["cpus"], format!("`{}` has no share of the processors", service.name))
                .set(vec![at(&["resources", "cpu"]), at(&["deploy", "resources", "limits", "cpus"]), at(&["cpus"])], 1);
        }
    }
}

pub(in crate::policy) fn pids(subject: &Subject<'_>, found: &mut Found) {
    for service in subject.contained().filter(|service| service.container.resources.pids.is_none()) {
        let at = |keys: &[&str]| KeyPath::service(&service.name, keys);
        found.at(&service.name, &["pids_limit"], format!("`{}` may start any number of processes", service.name)).set(
            vec![at(&["resources", "pids"]), at(&["deploy", "resources", "limits", "pids"]), at(&["pids_limit"])],
            512,
        );
    }
}

pub(in crate::policy) fn duplicate_variable(subject: &Subject<'_>, found: &mut Found) {
    for (service, variable) in &subject.remarks.repeated_variables {
        let path = KeyPath::service(service, &["environment", variable]);
        let finding = found.add(Some(service), path.clone(), format!("`{service}` sets {variable} more than once"));
        finding.fix.push(Edit::KeepLast { path });
    }
}
