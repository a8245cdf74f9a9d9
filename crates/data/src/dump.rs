//! Dumps: the commands that write and read them beside a database server, so that the tools are of its version, and
//! what a whole dump looks like.
//!
//! A command reads the password of who may do everything as the first line of its input. No password is an argument,
//! which everybody on a machine can see.

use daybook_model::database::Engine;

/// What a dump of one is called in a repository.
pub fn file_name(engine: Engine) -> &'static str {
    match engine {
        Engine::Postgres => "database.dump",
        Engine::Mysql | Engine::Mariadb => "database.sql",
        Engine::Redis | Engine::Valkey => "dump.rdb",
    }
}

/// A database in a server, as a command names it.
#[derive(Debug, Clone, Copy)]
pub struct Of<'a> {
    /// What it is.
    pub engine: Engine,
    /// Who may do everything.
    pub admin: &'a str,
    /// The database.
    pub database: &'a str,
}

impl Of<'_> {
    /// The command that writes a dump to its output. A `snapshot` of PostgreSQL is the state that it is of.
    pub fn dump(self, snapshot: Option<&str>) -> Vec<String> {
        let script = match self.engine {
            Engine::Postgres => POSTGRES_DUMP,
            Engine::Mysql | Engine::Mariadb => MYSQL_DUMP,
            Engine::Redis | Engine::Valkey => REDIS_DUMP,
        };
        self.script(script, snapshot.unwrap_or_default(), "")
    }

    /// The command that writes what tables are, and no row: before rows are in them, or what is added afterwards.
    /// `None`: it has no tables.
    pub fn dump_part(self, part: Part) -> Option<Vec<String>> {
        let (script, words) = match (self.engine, part) {
            (Engine::Postgres, Part::Before) => (POSTGRES_DUMP, "--section=pre-data"),
            (Engine::Postgres, Part::After) => (POSTGRES_DUMP, "--section=post-data"),
            (Engine::Mysql | Engine::Mariadb, Part::Before) => (MYSQL_DUMP, "--no-data --skip-triggers"),
            (Engine::Mysql | Engine::Mariadb, Part::After) => {
                (MYSQL_DUMP, "--no-data --no-create-info --routines --events")
            }
            (Engine::Redis | Engine::Valkey, _) => return None,
        };
        Some(self.script(script, "", words))
    }

    /// The command that reads a dump and fills the database, which is there and empty. Of Redis: whatever is in it.
    pub fn restore(self, owners: Owners) -> Vec<String> {
        let script = match self.engine {
            Engine::Postgres => POSTGRES_RESTORE,
            Engine::Mysql | Engine::Mariadb => MYSQL_RESTORE,
            Engine::Redis | Engine::Valkey => REDIS_RESTORE,
        };
        self.script(script, "", if owners == Owners::Admin { "--no-owner --no-acl" } else { "" })
    }

    /// The command that reads a dump of a PostgreSQL and makes the database that it is of, which is not there: with its owner,
    /// rights and settings, as they were.
    pub fn recreate(self) -> Vec<String> {
        let maintenance = Of { database: "postgres", ..self };
        maintenance.script(POSTGRES_RESTORE, "", "--create")
    }

    fn script(self, script: &str, snapshot: &str, words: &str) -> Vec<String> {
        let script = format!("{PROVEN}{script}");
        ["sh", "-c", &script, "daybook", self.admin, self.database, snapshot, words].map(str::to_owned).to_vec()
    }
}

/// A part of what a database is beside its rows.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Part {
    /// Tables and types, without what would hinder or watch rows that come in.
    Before,
    /// The rest: constraints, indexes, triggers.
    After,
}

/// Whom restored objects belong to.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub enum Owners {
    /// Whom they belonged to, and who had rights has them again.
    AsTheyWere,
    /// Who may do everything.
    Admin,
}

/// Has clients ask for a certificate of the server beside them, if that has one: those of PostgreSQL by variables, the
/// others by words of `$ca` and `$verify`. The name is one of those in the certificate, and is not looked up.
pub(crate) const PROVEN: &str = r#"ca="${DAYBOOK_ROOT-}/run/daybook/authority.pem"; [ -f "$ca" ] || ca=
[ -z "$ca" ] || export PGSSLMODE=verify-full PGSSLROOTCERT="$ca"
verify=--ssl-verify-server-cert; command -v mariadb >/dev/null || verify=--ssl-mode=VERIFY_IDENTITY
export PGHOSTADDR=127.0.0.1
"#;

// A replica that is a plain process has its port in PORT, and what is at an absolute path beneath DAYBOOK_ROOT. Not
// compressed: the repository does that, and finds what it has already only in what is not.
const POSTGRES_DUMP: &str = r#"IFS= read -r PGPASSWORD; export PGPASSWORD
exec pg_dump --format=custom --compress=0 --no-password --lock-wait-timeout=60000 --no-sync ${3:+"--snapshot=$3"} $4 \
    --host=localhost --port="${PORT:-5432}" --username="$1" --dbname="$2" </dev/null"#;

const POSTGRES_RESTORE: &str = r#"IFS= read -r PGPASSWORD; export PGPASSWORD
exec pg_restore --exit-on-error --no-password $4 \
    --host=localhost --port="${PORT:-5432}" --username="$1" --dbname="$2""#;

const MYSQL_DUMP: &str = r#"IFS= read -r MYSQL_PWD; export MYSQL_PWD
client=$(command -v mariadb-dump || command -v mysqldump) || { echo "there is no mysqldump here" >&2; exit 127; }
exec "$client" --no-defaults ${ca:+"--ssl-ca=$ca" $verify} --host=127.0.0.1 --port="${PORT:-3306}" --user="$1" \
    --single-transaction --quick ${4:---routines --triggers --events} --hex-blob --no-tablespaces \
    --default-character-set=utf8mb4 "$2" </dev/null"#;

const MYSQL_RESTORE: &str = r#"IFS= read -r MYSQL_PWD; export MYSQL_PWD
client=$(command -v mariadb || command -v mysql) || { echo "there is no mysql here" >&2; exit 127; }
exec "$client" --no-defaults ${ca:+"--ssl-ca=$ca" $verify} --host=127.0.0.1 --port="${PORT:-3306}" --user="$1" \
    --default-character-set=utf8mb4 "$2""#;

const REDIS_DUMP: &str = r#"IFS= read -r REDISCLI_AUTH; export REDISCLI_AUTH
client=$(command -v valkey-cli || command -v redis-cli) || { echo "there is no redis-cli here" >&2; exit 127; }
exec "$client" ${ca:+--tls --cacert "$ca"} -h 127.0.0.1 -p "${PORT:-6379}" --rdb - </dev/null"#;

// A second server reads the file, and the first becomes its replica for a moment: what it has is replaced at once and
// as a whole, or not at all.
const REDIS_RESTORE: &str = r#"IFS= read -r REDISCLI_AUTH
client=$(command -v valkey-cli || command -v redis-cli) || { echo "there is no redis-cli here" >&2; exit 127; }
server=$(command -v valkey-server || command -v redis-server) || { echo "there is no redis-server here" >&2; exit 127; }
ours() { REDISCLI_AUTH="$REDISCLI_AUTH" "$client" ${ca:+--tls --cacert "$ca"} -h 127.0.0.1 -p "${PORT:-6379}" "$@"; }
port=$((20000 + $$ % 20000))
other() { "$client" -h 127.0.0.1 -p $port "$@"; }
dir=$(mktemp -d) || exit 1
trap 'other shutdown nosave >/dev/null 2>&1; rm -rf "$dir"' EXIT
cat >"$dir/dump.rdb" || exit 1
"$server" --port $port --bind 127.0.0.1 --dir "$dir" --dbfilename dump.rdb --save '' --appendonly no >"$dir/log" 2>&1 &
pid=$!
until other ping 2>/dev/null | grep -q PONG; do
    kill -0 $pid 2>/dev/null || { cat "$dir/log" >&2; exit 1; }
    sleep 0.2
done
ours replicaof 127.0.0.1 $port | grep -q OK || { echo "the server does not take the dump" >&2; exit 1; }
n=0
until ours info replication | grep -q '^master_link_status:up'; do
    n=$((n + 1)); [ $n -lt 3000 ] || { ours replicaof no one; echo "the server did not take the dump in time" >&2; exit 1; }
    sleep 0.2
done
ours replicaof no one | grep -q OK"#;

/// Where the mark of the end of Redis is, from behind.
const REDIS_ENDS: [usize; 2] = [8, 48];

/// Bytes of the end that are kept to be looked at.
const TAIL: usize = 512;

/// Looks at a dump as it passes: whether it begins and ends as a whole one does.
///
/// A tool that wrote half of one and said that all was well is found here, as far as that can be told without reading
/// it: the drill tells the rest.
#[derive(Debug)]
pub struct Look {
    /// `None`: it is an archive of files.
    engine: Option<Engine>,
    head: Vec<u8>,
    tail: Vec<u8>,
    /// Bytes that have passed.
    pub bytes: u64,
}

impl Look {
    /// At a dump of this kind of server.
    pub fn new(engine: Engine) -> Self {
        Self { engine: Some(engine), ..Self::of_files() }
    }

    /// At an archive of files, in the format of tar.
    pub fn of_files() -> Self {
        Self { engine: None, head: Vec::new(), tail: Vec::new(), bytes: 0 }
    }

    /// A piece passes.
    pub fn see(&mut self, piece: &[u8]) {
        self.bytes += piece.len() as u64;
        if self.head.len() < TAIL {
            self.head.extend(&piece[..piece.len().min(TAIL - self.head.len())]);
        }
        self.tail.extend(&piece[piece.len().saturating_sub(TAIL)..]);
        self.tail.drain(..self.tail.len().saturating_sub(TAIL));
    }

    /// Whether a dump has come so far that it holds the state that it is of: its first table is there.
    pub fn has_begun(&self) -> bool {
        contains(&self.head, b"-- Table structure") || contains(&self.tail, b"-- Table structure")
    }

    /// What is missing at the end of it, in words.
    pub fn lacks(&self) -> Option<&'static str> {
        let ends = |end: &[u8]| contains(&self.tail, end);
        match self.engine {
            _ if self.bytes == 0 => Some("the dump is empty"),
            None if self.tail.len() < TAIL || self.tail.iter().any(|byte| *byte != 0) => Some("the archive has no end"),
            Some(Engine::Postgres) if !self.head.starts_with(b"PGDMP") => Some("it is no dump of PostgreSQL"),
            Some(Engine::Mysql | Engine::Mariadb) if !ends(b"-- Dump completed") => Some("the dump has no end"),
            Some(Engine::Redis | Engine::Valkey) if !self.head.starts_with(b"REDIS") => Some("it is no dump of Redis"),
            // The mark of the end, then a checksum of eight bytes; then the forty that a server marks the end with where
            // it sends what it has not written to a file.
            Some(Engine::Redis | Engine::Valkey)
                if !REDIS_ENDS.iter().any(|at| self.tail.iter().rev().nth(*at) == Some(&0xff)) =>
            {
                Some("the dump has no end")
            }
            _ => None,
        }
    }
}

fn contains(text: &[u8], wanted: &[u8]) -> bool {
    text.windows(wanted.len()).any(|window| window == wanted)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lacks(engine: Engine, pieces: &[&[u8]]) -> Option<&'static str> {
        let mut look = Look::new(engine);
        pieces.iter().for_each(|piece| look.see(piece));
        look.lacks()
    }

    #[test]
    fn r20_half_a_dump_is_told_by_its_end() {
        let long = vec![b'x'; 10_000];
        assert_eq!(lacks(Engine::Postgres, &[]), Some("the dump is empty"));
        assert_eq!(lacks(Engine::Postgres, &[b"pg_dump: usage"]), Some("it is no dump of PostgreSQL"));
        assert_eq!(lacks(Engine::Postgres, &[b"PG", b"DMP", &long]), None);
        assert_eq!(lacks(Engine::Mariadb, &[b"-- MariaDB dump", &long]), Some("the dump has no end"));
        assert_eq!(lacks(Engine::Mariadb, &[&long, b"-- Dump compl", b"eted on 2026-01-01\n"]), None);
        assert_eq!(lacks(Engine::Redis, &[b"REDIS0011", &long]), Some("the dump has no end"));
        assert_eq!(lacks(Engine::Valkey, &[b"REDIS0011", &long, &[0xff], &[1; 8]]), None);
    }

    #[test]
    fn an_archive_of_files_ends_with_nothing() {
        let lacks = |pieces: &[&[u8]]| {
            let mut look = Look::of_files();
            pieces.iter().for_each(|piece| look.see(piece));
            look.lacks()
        };
        assert_eq!(lacks(&[b"PG_VERSION", &[0; 400], &[0; 624]]), None);
        assert_eq!(lacks(&[b"PG_VERSION", &[0; 400], b"15"]), Some("the archive has no end"));
        assert_eq!(lacks(&[]), Some("the dump is empty"));
    }

    #[test]
    fn the_beginning_of_a_dump_is_seen_in_its_pieces() {
        let mut look = Look::new(Engine::Mariadb);
        look.see(&[b'-'; 500]);
        look.see(b"-- Table str");
        assert!(!look.has_begun());
        look.see(b"ucture for table `a`");
        assert!(look.has_begun());
        look.see(&[b'x'; 5_000]);
        assert!(!look.has_begun(), "what has passed is not looked for again");
    }

    #[test]
    fn no_command_has_a_password_in_its_arguments() {
        for engine in Engine::ALL {
            let of = Of { engine, admin: "root", database: "shop" };
            for command in [of.dump(None), of.restore(Owners::Admin), of.restore(Owners::AsTheyWere)] {
                assert_eq!(command[..2], ["sh", "-c"]);
                assert!(command[2].contains("IFS= read -r "), "it reads the password: {}", command[2]);
            }
        }
    }
}
