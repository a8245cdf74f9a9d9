//! The client of a database, beside its server.

use daybook_model::DatabaseName;

use crate::commands::exec::Exec;
use crate::context::Ctx;
use crate::error::Result;

/// Becomes the client of whichever server runs beside it, as who may do everything there. The variables are those of
/// official images; `PORT` says where a server listens that is a plain process, which may want to be spoken to by TLS. What a person wrote comes as `$@`, which
/// the shell does not read.
const CLIENT: &str = r#"
ca="${DAYBOOK_ROOT-}/run/daybook/authority.pem"; [ -n "$PORT" ] && [ -f "$ca" ] || ca=
if [ -n "$POSTGRES_PASSWORD" ]; then
    export PGPASSWORD="$POSTGRES_PASSWORD"
    [ -z "$PORT" ] || export PGHOSTADDR=127.0.0.1
    [ -z "$ca" ] || export PGSSLMODE=verify-full PGSSLROOTCERT="$ca"
    exec psql ${PORT:+-h localhost -p "$PORT"} -U postgres -d "$POSTGRES_DB" "$@"
elif [ -n "$MARIADB_ROOT_PASSWORD$MYSQL_ROOT_PASSWORD" ]; then
    export MYSQL_PWD="$MARIADB_ROOT_PASSWORD$MYSQL_ROOT_PASSWORD"
    client=mariadb verify=--ssl-verify-server-cert
    command -v mariadb >/dev/null || { client=mysql verify=--ssl-mode=VERIFY_IDENTITY; }
    exec $client ${ca:+"--ssl-ca=$ca" $verify} ${PORT:+-h 127.0.0.1 -P "$PORT"} -u root \
        "$MARIADB_DATABASE$MYSQL_DATABASE" "$@"
fi
echo "no client of it is known" >&2
exit 1"#;

/// Runs the client in the replica of the database, and ends with its code.
pub(super) async fn run(ctx: &Ctx, name: &DatabaseName, arguments: Vec<String>) -> Result<u8> {
    let script = ["sh", "-c", CLIENT, "client"].map(str::to_owned);
    Exec::of(name.as_str(), script.into_iter().chain(arguments).collect()).run(ctx).await
}
