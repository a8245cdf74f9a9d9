//! The namespace of an environment.

use daybook_model::name::EnvKey;
use k8s_openapi::api::core::v1::Namespace;
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::security::{ENFORCE, Level, WARN};
use super::{Surroundings, environment_annotations, some};

/// The namespace of an environment, in which pods keep to `level`.
pub(crate) fn namespace(key: &EnvKey, level: Level, around: &Surroundings) -> Namespace {
    let mut labels = around.of_environment(key);
    labels.insert(ENFORCE.to_owned(), level.as_str().to_owned());
    labels.insert(WARN.to_owned(), Level::Restricted.as_str().to_owned());
    Namespace {
        metadata: ObjectMeta {
            name: Some(around.namespace.clone()),
            labels: Some(labels),
            annotations: some(environment_annotations(key, around)),
            ..ObjectMeta::default()
        },
        ..Namespace::default()
    }
}
