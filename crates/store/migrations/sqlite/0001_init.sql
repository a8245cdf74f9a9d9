-- The journal: append-only; each hash covers its row and the hash before.
CREATE TABLE journal (
    seq      INTEGER PRIMARY KEY,
    at       TEXT NOT NULL,
    key      TEXT,
    run      TEXT,
    actor    TEXT NOT NULL,
    origin   TEXT NOT NULL,
    event    TEXT NOT NULL,
    previous BLOB NOT NULL,
    hash     BLOB NOT NULL
) STRICT;
CREATE INDEX journal_by_key ON journal (key, seq);
CREATE INDEX journal_by_run ON journal (run, seq) WHERE run IS NOT NULL;

CREATE TRIGGER journal_is_not_updated BEFORE UPDATE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;
CREATE TRIGGER journal_is_not_deleted BEFORE DELETE ON journal
BEGIN SELECT RAISE(ABORT, 'the journal is append-only'); END;

-- Its end, so that a lost tail is seen.
CREATE TABLE journal_head (
    one  INTEGER PRIMARY KEY CHECK (one = 1),
    seq  INTEGER NOT NULL,
    hash BLOB NOT NULL
) STRICT;

-- What follows is kept from events, in the transaction that writes each.
CREATE TABLE environments (
    key             TEXT PRIMARY KEY,
    created_at      TEXT NOT NULL,
    latest_seq      INTEGER NOT NULL,
    highest_release INTEGER NOT NULL DEFAULT 0,
    adopted         INTEGER NOT NULL DEFAULT 0,
    retired         INTEGER NOT NULL DEFAULT 0
) STRICT, WITHOUT ROWID;

CREATE TABLE runs (
    run          TEXT PRIMARY KEY,
    key          TEXT NOT NULL,
    started_seq  INTEGER NOT NULL REFERENCES journal (seq),
    finished_seq INTEGER REFERENCES journal (seq)
) STRICT, WITHOUT ROWID;
CREATE UNIQUE INDEX one_open_run ON runs (key) WHERE finished_seq IS NULL;
CREATE INDEX runs_by_key ON runs (key, started_seq);

CREATE TABLE ordinals (
    key     TEXT NOT NULL,
    service TEXT NOT NULL,
    highest INTEGER NOT NULL,
    PRIMARY KEY (key, service)
) STRICT, WITHOUT ROWID;

-- Of each job: the latest time that was settled, the run that has not ended, and the last that did.
CREATE TABLE jobs (
    key          TEXT NOT NULL,
    service      TEXT NOT NULL,
    due          TEXT NOT NULL,
    running      TEXT,
    running_due  TEXT,
    last_due     TEXT,
    last_code    INTEGER,
    last_skipped TEXT,
    PRIMARY KEY (key, service)
) STRICT, WITHOUT ROWID;

-- Entries of the journal that tell of backups, drills and clones.
CREATE TABLE backup_entries (
    key TEXT NOT NULL,
    seq INTEGER NOT NULL REFERENCES journal (seq),
    PRIMARY KEY (key, seq)
) STRICT, WITHOUT ROWID;

CREATE TABLE releases (
    key    TEXT NOT NULL,
    number INTEGER NOT NULL,
    body   TEXT NOT NULL,
    digest BLOB NOT NULL,
    PRIMARY KEY (key, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE current_releases (
    key    TEXT PRIMARY KEY,
    number INTEGER NOT NULL,
    FOREIGN KEY (key, number) REFERENCES releases (key, number)
) STRICT, WITHOUT ROWID;

CREATE TABLE targets (
    name   TEXT PRIMARY KEY,
    target TEXT NOT NULL
) STRICT, WITHOUT ROWID;

-- How what a server tends stands: what is to be told, how far others were sent something. Its rows are large, and replaced.
CREATE TABLE standings (
    what  TEXT NOT NULL,
    place TEXT NOT NULL,
    body  TEXT NOT NULL,
    PRIMARY KEY (what, place)
) STRICT;

-- A removed secret keeps its row, so that its version numbers are not used again.
CREATE TABLE secrets (
    key     TEXT NOT NULL,
    name    TEXT NOT NULL,
    version INTEGER NOT NULL,
    set_at  TEXT NOT NULL,
    sealed  BLOB,
    PRIMARY KEY (key, name, version)
) STRICT, WITHOUT ROWID;
