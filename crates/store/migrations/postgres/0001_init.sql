-- The tables of SQLite, in PostgreSQL. Text sorts by its bytes in both.

-- The journal: append-only; each hash covers its row and the hash before.
CREATE TABLE journal (
    seq      BIGINT PRIMARY KEY,
    at       TEXT COLLATE "C" NOT NULL,
    key      TEXT COLLATE "C",
    run      TEXT COLLATE "C",
    actor    TEXT COLLATE "C" NOT NULL,
    origin   TEXT COLLATE "C" NOT NULL,
    event    TEXT COLLATE "C" NOT NULL,
    previous BYTEA NOT NULL,
    hash     BYTEA NOT NULL
);
CREATE INDEX journal_by_key ON journal (key, seq);
CREATE INDEX journal_by_run ON journal (run, seq) WHERE run IS NOT NULL;

CREATE FUNCTION refuse_change() RETURNS trigger LANGUAGE plpgsql AS $$
BEGIN RAISE EXCEPTION 'the journal is append-only'; END $$;
CREATE TRIGGER journal_is_not_changed BEFORE UPDATE OR DELETE ON journal
FOR EACH ROW EXECUTE FUNCTION refuse_change();
CREATE TRIGGER journal_is_not_truncated BEFORE TRUNCATE ON journal
FOR EACH STATEMENT EXECUTE FUNCTION refuse_change();

-- Its end, so that a lost tail is seen.
CREATE TABLE journal_head (
    one  BIGINT PRIMARY KEY CHECK (one = 1),
    seq  BIGINT NOT NULL,
    hash BYTEA NOT NULL
);

-- What follows is kept from events, in the transaction that writes each.
CREATE TABLE environments (
    key             TEXT COLLATE "C" PRIMARY KEY,
    created_at      TEXT COLLATE "C" NOT NULL,
    latest_seq      BIGINT NOT NULL,
    highest_release BIGINT NOT NULL DEFAULT 0,
    adopted         BIGINT NOT NULL DEFAULT 0,
    retired         BIGINT NOT NULL DEFAULT 0
);

CREATE TABLE runs (
    run          TEXT COLLATE "C" PRIMARY KEY,
    key          TEXT COLLATE "C" NOT NULL,
    started_seq  BIGINT NOT NULL REFERENCES journal (seq),
    finished_seq BIGINT REFERENCES journal (seq)
);
CREATE UNIQUE INDEX one_open_run ON runs (key) WHERE finished_seq IS NULL;
CREATE INDEX runs_by_key ON runs (key, started_seq);

CREATE TABLE ordinals (
    key     TEXT COLLATE "C" NOT NULL,
    service TEXT COLLATE "C" NOT NULL,
    highest BIGINT NOT NULL,
    PRIMARY KEY (key, service)
);

-- Of each job: the latest time that was settled, the run that has not ended, and the last that did.
CREATE TABLE jobs (
    key          TEXT COLLATE "C" NOT NULL,
    service      TEXT COLLATE "C" NOT NULL,
    due          TEXT COLLATE "C" NOT NULL,
    running      TEXT COLLATE "C",
    running_due  TEXT COLLATE "C",
    last_due     TEXT COLLATE "C",
    last_code    INTEGER,
    last_skipped TEXT COLLATE "C",
    PRIMARY KEY (key, service)
);

-- Entries of the journal that tell of backups, drills and clones.
CREATE TABLE backup_entries (
    key TEXT COLLATE "C" NOT NULL,
    seq BIGINT NOT NULL REFERENCES journal (seq),
    PRIMARY KEY (key, seq)
);

CREATE TABLE releases (
    key    TEXT COLLATE "C" NOT NULL,
    number BIGINT NOT NULL,
    body   TEXT COLLATE "C" NOT NULL,
    digest BYTEA NOT NULL,
    PRIMARY KEY (key, number)
);

CREATE TABLE current_releases (
    key    TEXT COLLATE "C" PRIMARY KEY,
    number BIGINT NOT NULL,
    FOREIGN KEY (key, number) REFERENCES releases (key, number)
);

CREATE TABLE targets (
    name   TEXT COLLATE "C" PRIMARY KEY,
    target TEXT COLLATE "C" NOT NULL
);

-- How what a server tends stands: what is to be told, how far others were sent something. Its rows are large, and replaced.
CREATE TABLE standings (
    what  TEXT COLLATE "C" NOT NULL,
    place TEXT COLLATE "C" NOT NULL,
    body  TEXT COLLATE "C" NOT NULL,
    PRIMARY KEY (what, place)
);

-- A removed secret keeps its row, so that its version numbers are not used again.
CREATE TABLE secrets (
    key     TEXT COLLATE "C" NOT NULL,
    name    TEXT COLLATE "C" NOT NULL,
    version BIGINT NOT NULL,
    set_at  TEXT COLLATE "C" NOT NULL,
    sealed  BYTEA,
    PRIMARY KEY (key, name, version)
);

-- Who may write. Each term of a leader has an epoch of its own; every write locks this row, which puts writers
-- in order, and is refused when the epoch is no longer the writer's.
CREATE TABLE leadership (
    one    BIGINT PRIMARY KEY CHECK (one = 1),
    epoch  BIGINT NOT NULL,
    holder TEXT COLLATE "C" NOT NULL,
    since  TEXT COLLATE "C" NOT NULL
);
INSERT INTO leadership (one, epoch, holder, since) VALUES (1, 0, '', '');

-- Who is to lead, where servers elect one by the database itself: see decide::elect.
CREATE TABLE ballot (
    one     BIGINT PRIMARY KEY CHECK (one = 1),
    version BIGINT NOT NULL,
    holder  TEXT COLLATE "C"
);
INSERT INTO ballot (one, version, holder) VALUES (1, 0, NULL);

-- Whose the things are that are made: of whoever uses this database, whichever server it is.
CREATE TABLE identity (
    one BIGINT PRIMARY KEY CHECK (one = 1),
    id  TEXT COLLATE "C" NOT NULL
);

-- Which master key seals the secrets: servers with different keys could not read each other's.
CREATE TABLE master_key (
    one         BIGINT PRIMARY KEY CHECK (one = 1),
    fingerprint BYTEA NOT NULL
);
