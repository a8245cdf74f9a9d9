//! Values and files that are kept apart from the pod: secrets in a Secret, texts of the manifest in a ConfigMap.

use std::collections::BTreeMap;

use daybook_model::Launch;
use daybook_model::launch::LaunchFile;
use daybook_model::spec::FileContent;
use k8s_openapi::ByteString;
use k8s_openapi::api::core::v1::{ConfigMap, Secret};
use k8s_openapi::apimachinery::pkg::apis::meta::v1::ObjectMeta;

use super::container::{is_plain, secret_key};
use super::{Surroundings, Tended, annotations, meta};

/// Whether the manifest itself holds a file's text.
pub(super) fn is_text(launch: &Launch, file: &LaunchFile) -> bool {
    let written = launch.container.files.iter().find(|written| written.target == file.target);
    written.is_some_and(|written| matches!(written.content, FileContent::Text(_)))
}

/// Under which key of the Secret or ConfigMap a file is.
pub(crate) fn file_key(index: usize) -> String {
    format!("file-{index}")
}

/// The Secret of a replica. `None`: it has no secrets.
pub(crate) fn secret(launch: &Launch, around: &Surroundings) -> Option<Secret> {
    let variables = launch.environment.iter().enumerate().filter(|(_, (name, _))| !is_plain(launch, name));
    let variables =
        variables.map(|(index, (name, value))| (secret_key(index, name), ByteString(value.clone().into_bytes())));
    let files = launch.files.iter().enumerate().filter(|(_, file)| !is_text(launch, file));
    let files = files.map(|(index, file)| (file_key(index), ByteString(file.content.clone())));
    let data: BTreeMap<_, _> = variables.chain(files).collect();
    (!data.is_empty()).then(|| Secret {
        metadata: metadata(launch, around),
        data: Some(data),
        immutable: Some(true),
        type_: Some("Opaque".to_owned()),
        ..Secret::default()
    })
}

/// The ConfigMap of a replica. `None`: it has no texts.
pub(crate) fn config_map(launch: &Launch, around: &Surroundings) -> Option<ConfigMap> {
    let files = launch.files.iter().enumerate().filter(|(_, file)| is_text(launch, file));
    // Another configuration is another replica here; what others keep has to take another text.
    let immutable = (around.tended == Tended::ByUs).then_some(true);
    let mut map = ConfigMap { immutable, ..ConfigMap::default() };
    for (index, file) in files {
        match String::from_utf8(file.content.clone()) {
            Ok(text) => map.data.get_or_insert_default().insert(file_key(index), text).map(drop),
            Err(error) => {
                let bytes = ByteString(error.into_bytes());
                map.binary_data.get_or_insert_default().insert(file_key(index), bytes).map(drop)
            }
        };
    }
    (map.data.is_some() || map.binary_data.is_some()).then(|| {
        map.metadata = metadata(launch, around);
        map
    })
}

fn metadata(launch: &Launch, around: &Surroundings) -> ObjectMeta {
    meta(around, &around.beside(launch), around.of_replica(launch), annotations(launch, around))
}
