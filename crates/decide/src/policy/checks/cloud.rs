//! What configurations ask of clusters and clouds.

use daybook_model::policy::KeyPath;
use daybook_model::spec::{EnvValue, FileContent, MountSource};

use crate::policy::secrets::texts;
use crate::policy::{Found, Mend, Subject};

/// Where a cluster's credentials lie.
const CREDENTIALS: [&str; 4] =
    ["/.kube", "/etc/kubernetes", "/var/run/secrets/kubernetes.io", "/run/secrets/kubernetes.io"];

pub(in crate::policy) fn cluster_token(subject: &Subject<'_>, found: &mut Found) {
    let is_token = |path: &str| CREDENTIALS.iter().any(|part| path.contains(part)) || path.ends_with("kubeconfig");
    for service in subject.contained() {
        for mount in &service.container.mounts {
            let MountSource::Bind { path, .. } = &mount.source else { continue };
            if is_token(path) {
                let at = KeyPath::service(&service.name, &["volumes"]).holding(path);
                let message = format!("`{}` has a cluster's credentials: {path}", service.name);
                found.add(Some(&service.name), at.clone(), message).remove(at);
            }
        }
        for file in &service.container.files {
            if matches!(&file.content, FileContent::Text(text) if text.contains("kind: Config") && text.contains("client-key-data"))
            {
                let message = format!("`{}` has a cluster's credentials: {}", service.name, file.target);
                found.at(&service.name, &["configs"], message);
            }
        }
    }
}

/// Reports each text of which `is_bad` holds.
fn report(subject: &Subject<'_>, found: &mut Found, what: &str, is_bad: fn(&str) -> bool) {
    for text in texts(subject).iter().filter(|text| is_bad(&text.text)) {
        found.add(Some(text.service), text.path.clone(), format!("{} of `{}` {what}", text.what, text.service));
    }
}

pub(in crate::policy) fn cluster_admin(subject: &Subject<'_>, found: &mut Found) {
    report(subject, found, "gives rights over the whole cluster", |text| {
        let words = words(text);
        let binds = words.contains("clusterrolebinding") && words.contains("cluster-admin");
        binds || words.contains("clusterrole: cluster-admin") || words.contains("clusteradmin: true")
    });
}

pub(in crate::policy) fn public_bucket(subject: &Subject<'_>, found: &mut Found) {
    report(subject, found, "opens a bucket to everybody", |text| {
        let words = words(text);
        let acl = words.contains("public-read") || words.contains("allusers") || words.contains("anonymous set public");
        let anyone = words.contains("principal: *") || words.contains("principal: { aws: *");
        acl || words.contains("anonymous set download") || (anyone && words.contains("s3:"))
    });
    for service in subject.replicated() {
        if let Some(EnvValue::Text(value)) = service.container.environment.get("MINIO_DEFAULT_BUCKETS")
            && value.contains(":public")
        {
            let message = format!("`{}` makes a bucket that everybody may use", service.name);
            found.at(&service.name, &["environment", "MINIO_DEFAULT_BUCKETS"], message);
        }
    }
}

pub(in crate::policy) fn wildcard_iam(subject: &Subject<'_>, found: &mut Found) {
    report(subject, found, "allows everything with everything", |text| {
        let words = words(text);
        let all =
            |key: &str| ["*", "[ * ]", "[*]", "- *", "*:*"].iter().any(|any| words.contains(&format!("{key}: {any}")));
        words.contains("allow") && (all("action") || all("actions")) && (all("resource") || all("resources"))
    });
}

/// A text without quotes and with single spaces, in lower case: JSON, YAML and HCL alike.
fn words(text: &str) -> String {
    let plain: String = text
        .chars()
        .map(|c| if c == '=' { ':' } else { c.to_ascii_lowercase() })
        .filter(|c| !matches!(c, '"' | '\''))
        .collect();
    let spaced = plain.replace(" :", ":").replace(':', ": ").replace('[', "[ ").replace(']', " ]").replace('{', "{ ");
    let joined = spaced.split_whitespace().collect::<Vec<_>>().join(" ");
    joined.replace("s3: ", "s3:").replace("iam: ", "iam:").replace("*: *", "*:*")
}
