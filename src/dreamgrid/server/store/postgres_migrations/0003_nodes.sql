-- What the nodes of a grid tell each other: who coordinates, and secrets that all of them share.
CREATE TABLE dreamgrid_coordinator (
    reign BIGINT PRIMARY KEY,
    node TEXT NOT NULL,
    beats BIGINT NOT NULL
);
CREATE TABLE dreamgrid_secret (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL
);
