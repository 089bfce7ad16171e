-- The desktop as it is now (session `current`): what runs, where its window is, and what it wants to find again. A row is
-- written before the change is acknowledged, so that whatever a client was told is here after a crash.
--
-- `sum` is in every row of what was acknowledged: a checksum of the row, so that one that a disk has changed is found.
-- SQLite itself only sees damage to the form of the file.
CREATE TABLE apps (
    id            TEXT PRIMARY KEY NOT NULL,
    manifest_id   TEXT NOT NULL,
    parent_id     TEXT,
    title         TEXT NOT NULL,
    icon          TEXT NOT NULL,
    -- How it is drawn, as JSON. A copy: an app that runs is not changed by a new manifest.
    ui_spec       TEXT NOT NULL,
    -- What its process may do, as a JSON list of `right:pattern`.
    grants        TEXT NOT NULL,
    fullscreen    INTEGER NOT NULL,
    singleton     INTEGER NOT NULL,
    min_width     INTEGER NOT NULL,
    min_height    INTEGER NOT NULL,
    sum           INTEGER NOT NULL
) STRICT;

-- In a table of its own: it changes often, and the rest of an app never does.
CREATE TABLE app_states (
    app_id  TEXT PRIMARY KEY NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    -- JSON.
    state   TEXT NOT NULL,
    -- Counts the accepted states.
    version INTEGER NOT NULL,
    sum     INTEGER NOT NULL
) STRICT;

CREATE TABLE windows (
    app_id         TEXT PRIMARY KEY NOT NULL REFERENCES apps (id) ON DELETE CASCADE,
    window_id      TEXT NOT NULL UNIQUE,
    x              INTEGER NOT NULL,
    y              INTEGER NOT NULL,
    width          INTEGER NOT NULL,
    height         INTEGER NOT NULL,
    state          TEXT NOT NULL,
    restore_state  TEXT NOT NULL,
    restore_x      INTEGER NOT NULL,
    restore_y      INTEGER NOT NULL,
    restore_width  INTEGER NOT NULL,
    restore_height INTEGER NOT NULL,
    snap           TEXT,
    z              INTEGER NOT NULL,
    workspace      INTEGER NOT NULL,
    -- Counts the accepted changes: it tells two tabs on one window apart.
    version        INTEGER NOT NULL,
    sum            INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Apps that were added at run time; built-in ones are in the program.
CREATE TABLE manifests (
    id       TEXT PRIMARY KEY NOT NULL,
    manifest TEXT NOT NULL,
    sum      INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- Desktops that were saved. `automatic` ones are kept by the server itself.
CREATE TABLE sessions (
    id         TEXT PRIMARY KEY NOT NULL,
    name       TEXT NOT NULL UNIQUE,
    automatic  INTEGER NOT NULL,
    created_us INTEGER NOT NULL,
    updated_us INTEGER NOT NULL,
    sum        INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE session_apps (
    session_id TEXT NOT NULL REFERENCES sessions (id) ON DELETE CASCADE,
    position   INTEGER NOT NULL,
    -- One app with its window, as JSON in the form of `GET /apps`, and its grants.
    app        TEXT NOT NULL,
    sum        INTEGER NOT NULL,
    PRIMARY KEY (session_id, position)
) STRICT;

-- Browsers that have logged in. The cookie itself is not here: whoever reads the file learns no secret from it.
CREATE TABLE logins (
    cookie_sha256 BLOB PRIMARY KEY NOT NULL,
    expires_us    INTEGER NOT NULL,
    sum           INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

-- When the file was last opened for writing: written at every start, so that a file that can't be written is found then.
CREATE TABLE opened (
    only_row  INTEGER PRIMARY KEY NOT NULL CHECK (only_row = 1),
    opened_us INTEGER NOT NULL
) STRICT;
