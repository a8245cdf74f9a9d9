//! TLS to a database that Daybook runs: what its server is started with, and what those who use it trust.

use daybook_model::DatabaseName;
use daybook_model::database::{DatabaseServer, Engine, ca_path};
use daybook_model::spec::{Container, FileContent, FileMount, SecretRef};

/// The authority's certificate, for tools that run beside the server.
const AUTHORITY: &str = "/run/daybook/authority.pem";
/// The server's key and certificate.
const CERTIFICATE: &str = "/run/daybook/server.pem";
/// Who may connect to a PostgreSQL, and how.
const HBA: &str = "/run/daybook/hba.conf";

/// Starts a PostgreSQL that reads its key: that has to be its own and nobody else's, and whoever mounts it does not know the
/// number of its user. The copy is in memory.
const WITH_KEY: &str = r#"umask 077
rm -rf /dev/shm/daybook && mkdir /dev/shm/daybook && cat /run/daybook/server.pem >/dev/shm/daybook/server.pem || exit 1
[ "$(id -u)" != 0 ] || chown -R postgres /dev/shm/daybook || exit 1
umask 022
exec docker-entrypoint.sh "$@" -c ssl_cert_file=/dev/shm/daybook/server.pem -c ssl_key_file=/dev/shm/daybook/server.pem"#;

/// Has the server prove itself by a certificate of `authority`, and take connections over the network by TLS only.
/// What its settings say otherwise does not count.
pub(super) fn serve(server: &DatabaseServer, authority: &SecretRef, container: &mut Container) {
    // PostgreSQL refuses a key that others may read.
    let mode = if server.engine == Engine::Postgres { 0o600 } else { 0o444 };
    container.files.push(file(AUTHORITY, FileContent::Authority(authority.clone()), 0o444));
    container.files.push(file(CERTIFICATE, FileContent::Certificate(authority.clone()), mode));
    let words: Vec<String> = match server.engine {
        Engine::Postgres => {
            container.files.push(file(HBA, FileContent::Text(hba(&server.version)), 0o444));
            container.entrypoint = Some(["sh", "-c", WITH_KEY, "daybook"].map(str::to_owned).to_vec());
            let settings =
                [("ssl", "on"), ("ssl_cert_file", CERTIFICATE), ("ssl_key_file", CERTIFICATE), ("hba_file", HBA)];
            settings.iter().flat_map(|(key, value)| ["-c".to_owned(), format!("{key}={value}")]).collect()
        }
        Engine::Mysql | Engine::Mariadb => {
            let settings = [
                ("require-secure-transport", "ON"),
                ("tls-version", "TLSv1.2,TLSv1.3"),
                ("ssl-ca", AUTHORITY),
                ("ssl-cert", CERTIFICATE),
                ("ssl-key", CERTIFICATE),
            ];
            settings.iter().map(|(key, value)| format!("--{key}={value}")).collect()
        }
        Engine::Redis | Engine::Valkey => {
            let port = server.engine.port().to_string();
            let settings = [
                ("port", "0"),
                ("tls-port", port.as_str()),
                ("tls-ca-cert-file", AUTHORITY),
                ("tls-cert-file", CERTIFICATE),
                ("tls-key-file", CERTIFICATE),
                ("tls-auth-clients", "no"),
            ];
            settings.iter().flat_map(|(key, value)| [format!("--{key}"), (*value).to_owned()]).collect()
        }
    };
    container.command.get_or_insert_default().extend(words);
}

/// Gives a service the certificate that it knows the server of `database` by.
pub(super) fn trust(container: &mut Container, database: &DatabaseName, authority: &SecretRef) {
    let target = ca_path(database);
    if container.files.iter().all(|known| known.target != target) {
        container.files.push(file(&target, FileContent::Authority(authority.clone()), 0o444));
    }
}

fn file(target: &str, content: FileContent, mode: u32) -> FileMount {
    FileMount { target: target.to_owned(), content, uid: None, gid: None, mode }
}

/// A connection without TLS has no line, so that it is refused. Inside the container nothing is asked, as in the image.
fn hba(version: &str) -> String {
    let major: String = version.chars().take_while(char::is_ascii_digit).collect();
    // Before 14, passwords are kept in a form that only this word takes; it takes the newer form as well.
    let method = if major.parse().is_ok_and(|major: u32| major < 14) { "md5" } else { "scram-sha-256" };
    format!(
        "local all all trust\nhostssl all all all {method}\nhostssl replication all 127.0.0.1/32 {method}\n\
         hostssl replication all ::1/128 {method}\n"
    )
}
