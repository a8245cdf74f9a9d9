//! What an image's name says.

use std::fmt;

use daybook_model::policy::KeyPath;
use daybook_model::spec::{Artifact, Service};

use super::{Found, Subject};

/// A well-known data store.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) struct Database {
    name: &'static str,
    /// It is there to keep data, not only to hold it for a while.
    pub(super) keeps: bool,
}

impl fmt::Display for Database {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.name)
    }
}

const fn keeps(name: &'static str) -> Database {
    Database { name, keeps: true }
}

const fn holds(name: &'static str) -> Database {
    Database { name, keeps: false }
}

/// The last part of an image's name, and what it is.
const DATABASES: [(&str, Database); 26] = [
    ("postgres", keeps("PostgreSQL")),
    ("postgresql", keeps("PostgreSQL")),
    ("postgis", keeps("PostgreSQL")),
    ("timescaledb", keeps("TimescaleDB")),
    ("pgvector", keeps("PostgreSQL")),
    ("mysql", keeps("MySQL")),
    ("mysql-server", keeps("MySQL")),
    ("mariadb", keeps("MariaDB")),
    ("percona", keeps("Percona Server")),
    ("mongo", keeps("MongoDB")),
    ("mongodb", keeps("MongoDB")),
    ("redis", holds("Redis")),
    ("valkey", holds("Valkey")),
    ("memcached", holds("memcached")),
    ("elasticsearch", keeps("Elasticsearch")),
    ("opensearch", keeps("OpenSearch")),
    ("cassandra", keeps("Cassandra")),
    ("cockroach", keeps("CockroachDB")),
    ("clickhouse-server", keeps("ClickHouse")),
    ("influxdb", keeps("InfluxDB")),
    ("couchdb", keeps("CouchDB")),
    ("neo4j", keeps("Neo4j")),
    ("server", keeps("SQL Server")),
    ("rabbitmq", holds("RabbitMQ")),
    ("etcd", keeps("etcd")),
    ("scylla", keeps("ScyllaDB")),
];

/// The data store that a service is, if its image is a well-known one.
pub(super) fn database(service: &Service) -> Option<Database> {
    let Artifact::Image { reference, .. } = &service.artifact else { return None };
    let name = repository(reference);
    let last = name.rsplit('/').next().unwrap_or(name);
    // `server` alone may be anything.
    if last == "server" && !name.ends_with("mssql/server") {
        return None;
    }
    DATABASES.iter().find(|(known, _)| *known == last).map(|(_, database)| *database)
}

/// An image's name without tag and digest.
pub(super) fn repository(reference: &str) -> &str {
    let name = reference.split('@').next().unwrap_or(reference);
    match name.rsplit_once(':') {
        Some((head, tag)) if !tag.contains('/') => head,
        _ => name,
    }
}

fn tag(reference: &str) -> Option<&str> {
    let name = reference.split('@').next().unwrap_or(reference);
    name.get(repository(reference).len() + 1..)
}

fn named<'a>(subject: &Subject<'a>) -> impl Iterator<Item = (&'a Service, &'a str)> {
    subject.spec.services.values().filter_map(|service| match &service.artifact {
        Artifact::Image { reference, .. } if !reference.is_empty() => Some((service.as_ref(), reference.as_str())),
        _ => None,
    })
}

pub(super) fn latest_tag(subject: &Subject<'_>, found: &mut Found) {
    for (service, reference) in named(subject).filter(|(_, reference)| !reference.contains('@')) {
        let message = match tag(reference) {
            None | Some("") => format!("the image {reference} of `{}` has no version", service.name),
            Some("latest") => format!("the image {reference} of `{}` is whatever was pushed last", service.name),
            Some(_) => continue,
        };
        found.at(&service.name, &["image"], message);
    }
}

pub(super) fn unpinned(subject: &Subject<'_>, found: &mut Found) {
    for (service, reference) in named(subject).filter(|(_, reference)| !reference.contains("@sha256:")) {
        let message = format!("the image {reference} of `{}` is named by a tag", service.name);
        let path = KeyPath::service(&service.name, &["image"]);
        let finding = found.add(Some(&service.name), path.clone(), message);
        if let Some(digest) = service.artifact.digest() {
            finding
                .fix
                .push(daybook_model::policy::Edit::Set { paths: vec![path], value: format!("{reference}@{digest}") });
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_of_images_are_taken_apart() {
        for (reference, name, version) in [
            ("nginx", "nginx", None),
            ("nginx:1.27", "nginx", Some("1.27")),
            ("registry:5000/team/app", "registry:5000/team/app", None),
            ("registry:5000/team/app:2", "registry:5000/team/app", Some("2")),
            ("postgres:16@sha256:51c0", "postgres", Some("16")),
            ("postgres@sha256:51c0", "postgres", None),
        ] {
            assert_eq!((repository(reference), tag(reference)), (name, version), "{reference}");
        }
    }
}
