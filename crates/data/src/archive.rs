//! Commands by which a PostgreSQL is brought back to any moment: what it has laid down of what it wrote, a base backup of
//! its files, and a second set of files that is brought to a moment. They run beside a server.
//!
//! Where a server is a plain process its paths are beneath `DAYBOOK_ROOT`. Commands that need a password read it as the
//! first line of their input.

use daybook_model::database::RECOVERED;

use crate::dump::PROVEN;

/// The variables that a command knows its place by.
const PLACE: &str = r#"data="${DAYBOOK_ROOT-}${PGDATA:?}"; spool="$data/pg_wal/daybook"
"#;

/// A line for each thing: the cluster's identifier, the size of its segments, files that are laid down and files that are
/// still to be, with sizes and seconds.
const LIST: &str = r#"LC_ALL=C pg_controldata -D "$data" | sed -n -e 's/^Database system identifier: */system /p' \
    -e 's/^Bytes per WAL segment: */segment /p' || exit 1
cd "$spool" 2>/dev/null && for file in *; do
    [ -f "$file" ] && stat -c 'file %n %s %Y' "$file"
done
cd "$data/pg_wal/archive_status" && for file in *.ready; do
    [ -f "$file" ] && stat -c 'ready %n %s %Y' "$file"
done
exit 0"#;

/// What the cluster is, and what of what it wrote is laid down.
#[derive(Debug, Clone, Default, PartialEq, Eq)]
pub struct Spool {
    /// The cluster's identifier.
    pub system: u64,
    /// How large each segment is.
    pub segment_bytes: u64,
    /// What is laid down, in the order of names.
    pub files: Vec<Laid>,
    /// What is to be laid down, in the order of names.
    pub ready: Vec<Laid>,
}

/// A file.
#[derive(Debug, Clone, PartialEq, Eq)]
pub struct Laid {
    /// Its name.
    pub name: String,
    /// Bytes.
    pub bytes: u64,
    /// When it was written last: seconds since 1970.
    pub written_s: i64,
}

fn script(script: &str, arguments: &[&str]) -> Vec<String> {
    let script = format!("{PLACE}{script}");
    let begin = ["sh", "-c", &script, "daybook"];
    begin.iter().chain(arguments).map(ToString::to_string).collect()
}

/// The command that lists what is laid down.
pub fn list() -> Vec<String> {
    script(LIST, &[])
}

/// What that command said. An error says what is missing.
pub fn listed(said: &str) -> Result<Spool, String> {
    let mut spool = Spool::default();
    for line in said.lines() {
        let mut words = line.split(' ');
        let (kind, rest): (_, Vec<_>) = (words.next().unwrap_or(""), words.collect());
        let laid = || {
            let [name, bytes, written] = rest[..] else { return None };
            Some(Laid { name: name.to_owned(), bytes: bytes.parse().ok()?, written_s: written.parse().ok()? })
        };
        match kind {
            "system" => spool.system = rest.first().and_then(|word| word.parse().ok()).unwrap_or(0),
            "segment" => spool.segment_bytes = rest.first().and_then(|word| word.parse().ok()).unwrap_or(0),
            "file" => spool.files.extend(laid()),
            "ready" => spool.ready.extend(laid()),
            _ => {}
        }
    }
    if spool.system == 0 || spool.segment_bytes == 0 {
        return Err("pg_controldata does not say what it is".to_owned());
    }
    spool.files.sort_by(|one, other| one.name.cmp(&other.name));
    spool.ready.sort_by(|one, other| one.name.cmp(&other.name));
    Ok(spool)
}

/// The command that writes a file that is laid down to its output.
pub fn read(file: &str) -> Vec<String> {
    script(r#"exec cat -- "$spool/$1" </dev/null"#, &[file])
}

/// The command that takes away files that are laid down.
pub fn remove(files: &[String]) -> Vec<String> {
    let names: Vec<_> = files.iter().map(String::as_str).collect();
    script(r#"cd "$spool" && exec rm -f -- "$@""#, &names)
}

/// The command that writes a base backup to its output: an archive in the format of tar. It tells on its standard error
/// which segments it needs, as the server has it written down.
pub fn base(admin: &str, label: &str) -> Vec<String> {
    base_with(admin, label, "none")
}

/// The same with those segments, which the server has to keep meanwhile: see [`crate::files::Held`].
pub fn whole_base(admin: &str, label: &str) -> Vec<String> {
    base_with(admin, label, "fetch")
}

fn base_with(admin: &str, label: &str, segments: &str) -> Vec<String> {
    let text = r#"IFS= read -r PGPASSWORD; export PGPASSWORD
LC_ALL=C pg_basebackup --pgdata=- --format=tar --wal-method="$3" --checkpoint=fast --label="$2" \
    --no-password --host=localhost --port="${PORT:-5432}" --username="$1" </dev/null || exit $?
for file in "$data"/pg_wal/*.backup; do
    grep -qxs "LABEL: $2" "$file" && cat "$file" >&2
done
exit 0"#;
    script(&format!("{PROVEN}{text}"), &[admin, label, segments])
}

/// The names of the first and the last segment that a base backup needs to be whole, from what its command told.
pub fn needs(told: &str) -> Option<(String, String)> {
    let file = |words: &str| {
        let line = told.lines().find_map(|line| line.strip_prefix(words))?;
        Some(line.split_once("(file ")?.1.trim_end_matches(')').to_owned())
    };
    Some((file("START WAL LOCATION: ")?, file("STOP WAL LOCATION: ")?))
}

/// Where the files are that are brought to a moment, as `PGDATA` names it, beside those of the server.
pub fn recovered(pgdata: &str) -> String {
    beside(pgdata, RECOVERED)
}

/// A directory beside that of a server, as `PGDATA` names it.
pub fn beside(pgdata: &str, directory: &str) -> String {
    let (parent, _) = pgdata.rsplit_once('/').unwrap_or(("", pgdata));
    format!("{parent}/{directory}")
}

/// The files that are taken in, in the directory of this name beside those of the server. Who the server's programs are run
/// as: they refuse to be run by root.
const FRESH: &str = r#"fresh="$(dirname "$data")/${1:?}"; laid="$fresh.wal"; as=; shift
if [ "$(id -u)" = 0 ]; then as="$(command -v gosu || command -v su-exec || echo 'setpriv --reuid postgres --regid postgres --init-groups') postgres"
    case "$as" in setpriv*) as="${as% postgres}" ;; esac
fi
"#;

/// The command that takes in a base backup, into the directory of this name beside the server's.
pub fn take_base(directory: &str) -> Vec<String> {
    let text = format!(
        r#"{FRESH}IFS= read -r nothing
rm -rf "$fresh" "$laid" && mkdir -m 700 "$fresh" "$laid" || exit 1
[ -z "$as" ] || chown postgres "$fresh" "$laid" || exit 1
cd "$fresh" && $as tar -xf - || exit $?
had="$(cat PG_VERSION)"; has="$(cat "$data/PG_VERSION")"
[ "$had" = "$has" ] || {{ echo "the base backup is of PostgreSQL $had, and the server is PostgreSQL $has: no moment before an upgrade can be reached" >&2; exit 1; }}"#
    );
    script(&text, &[directory])
}

/// The command that takes in what was written since.
pub fn take_segments() -> Vec<String> {
    script(&format!("{FRESH}IFS= read -r nothing\ncd \"$laid\" && exec $as tar -xf -"), &[RECOVERED])
}

/// Starts a server on the files that were taken in, which nobody else reaches, and waits until all that was written since is
/// in them: up to `$target`, or to the end of all. `$1` is who may do everything.
const START: &str = r#"server=; run=$(mktemp -d /tmp/daybook.XXXXXX) || exit 1
trap '[ -z "$server" ] || { kill -QUIT $server; wait $server; } 2>/dev/null; rm -rf "$run"' EXIT
echo 'local all all trust' >"$run/hba" && : >"$fresh/recovery.signal" || exit 1
rm -f "$fresh/standby.signal" "$fresh/postmaster.pid"
[ -z "$as" ] || chown -R postgres "$run" "$fresh/recovery.signal" || exit 1
ask() { $as psql -h "$run" -p 5432 -U "$1" -d postgres -XAtq -v ON_ERROR_STOP=1 -v "keep=$2"; }
while :; do
    $as postgres -D "$fresh" -p 5432 -c listen_addresses= -c "unix_socket_directories=$run" -c "hba_file=$run/hba" \
        -c hot_standby=off -c archive_mode=off -c ssl=off -c logging_collector=off -c lc_messages=C \
        -c shared_preload_libraries= -c "restore_command=cp ../${laid##*/}/%f %p" \
        -c "recovery_target_time=$target" -c recovery_target_action=promote >"$run/log" 2>&1 </dev/null &
    server=$!
    until echo 'select 1' | ask "$1" >/dev/null 2>&1; do
        if ! kill -0 $server 2>/dev/null; then
            if [ -n "$target" ] && grep -q 'recovery ended before configured recovery target was reached' "$run/log"; then
                target=; continue 2
            fi
            grep -E 'FATAL|PANIC|ERROR' "$run/log" >&2 || tail -n 5 "$run/log" >&2
            exit 1
        fi
        sleep 0.2
    done
    break
done
text=$(printf %s "$password" | sed "s/'/''/g; s/\\\\/\\\\\\\\/g")
"#;

/// Ends it again.
const STOP: &str = r#"
kill -INT $server && wait $server
server=; rm -rf "$laid"
exit 0"#;

/// The command that brings the files to a moment, gives who may do everything the password that it reads, and ends the server
/// again. Where nothing was written after the moment, it is brought to the end of all. It tells where it came to.
pub fn recover(admin: &str, target: Option<&str>) -> Vec<String> {
    let text = r#"
printf "alter role \"%s\" password E'%s';\nselect 'at ' || pg_current_wal_lsn();\n" "$1" "$text" | ask "$1" || exit 1
sed -n 's/^.*last completed transaction was at log time /last /p' "$run/log""#;
    script(
        &format!("{FRESH}IFS= read -r password\ntarget=$2\n{START}{text}{STOP}"),
        &[RECOVERED, admin, target.unwrap_or("")],
    )
}

/// The command that makes the files in the directory of this name beside the server's those of a server of its own: with the
/// settings of the one that runs, the password that it reads for who may do everything, none for anybody else, and no other
/// database than this.
pub fn adopt(directory: &str, admin: &str, database: &str) -> Vec<String> {
    let text = format!(
        r#"{FRESH}IFS= read -r password
target=
rm -f "$fresh/backup_manifest"
for file in postgresql.conf postgresql.auto.conf pg_hba.conf pg_ident.conf; do
    $as cp "$data/$file" "$fresh/$file" || exit 1
done
{START}
{{
    printf "alter role \"%s\" password E'%s';\n" "$1" "$text"
    cat <<'END'
select format('alter role %I password null', rolname) from pg_authid
where rolpassword is not null and rolname <> current_user \gexec
select format('drop database %I', datname) from pg_database
where not datistemplate and datname not in ('postgres', :'keep') \gexec
END
}} | ask "$1" "$2" || exit 1{STOP}"#
    );
    script(&text, &[directory, admin, database])
}

/// Where files came to, from what the command told: the place, and when the last transaction in it was.
pub fn came_to(told: &str) -> (Option<String>, Option<String>) {
    let find = |word: &str| told.lines().find_map(|line| line.strip_prefix(word)).map(|rest| rest.trim().to_owned());
    (find("at "), find("last "))
}

/// Lets the server begin a new segment: what was written is laid down.
pub async fn switch(url: &str) -> crate::migrations::server::Result<String> {
    use sqlx::{Connection as _, Row as _};
    let mut server = crate::migrations::postgres::open(url).await?;
    let row = sqlx::query("select pg_walfile_name(pg_switch_wal())").fetch_one(&mut server).await?;
    let name = row.try_get(0)?;
    server.close().await?;
    Ok(name)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn what_is_laid_down_is_read_from_the_list() {
        let said = "system 7391\nsegment 16777216\nfile 000000010000000000000002 16777216 1700000000\n\
                    file 000000010000000000000001 16777216 1690000000\nready 000000010000000000000003.ready 0 1700000001\n";
        let spool = listed(said).unwrap();
        assert_eq!((spool.system, spool.segment_bytes), (7391, 16 << 20));
        assert_eq!(spool.files[0].written_s, 1_690_000_000);
        assert_eq!(spool.ready[0].name, "000000010000000000000003.ready");
        assert!(listed("file a 1 2\n").is_err());
    }

    #[test]
    fn a_base_backup_tells_what_it_needs() {
        let told = "WARNING: something\nSTART WAL LOCATION: 0/2000028 (file 000000010000000000000002)\n\
                    STOP WAL LOCATION: 0/3000100 (file 000000010000000000000003)\nBACKUP METHOD: streamed\n";
        let (first, last) = ("000000010000000000000002".to_owned(), "000000010000000000000003".to_owned());
        assert_eq!(needs(told), Some((first, last)));
        assert_eq!(needs("pg_basebackup: error: nothing"), None);
    }

    #[test]
    fn files_that_are_recovered_are_beside_those_of_the_server() {
        assert_eq!(recovered("/var/lib/postgresql/data/16"), "/var/lib/postgresql/data/recovered");
    }

    #[test]
    fn no_command_has_a_password_in_its_arguments() {
        let taking = [take_base(RECOVERED), take_segments(), adopt("15", "postgres", "db")];
        let all = [base("postgres", "one"), whole_base("postgres", "one"), recover("postgres", None)];
        for command in all.into_iter().chain(taking) {
            assert_eq!(command[..2], ["sh", "-c"]);
            assert!(command[2].contains("IFS= read -r "), "it reads the password: {}", command[2]);
        }
    }
}
