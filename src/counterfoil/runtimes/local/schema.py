"""The tables of ``counterfoil.sqlite``: what a state folder holds beside its snapshots.

Every row that a person or a restart relies on carries a checksum; the blocks' headers are chained besides, so that a
missing, repeated or reordered block is found. A checksum is XXH3-64, stored as a signed integer: it finds damage by
accident, not by an adversary.
"""

from __future__ import annotations

APPLICATION_ID = 0x43465431
"""``CFT1``: ``file counterfoil.sqlite`` and ``open`` tell our database from any other by it."""

FORMAT_VERSION = 2
"""Rises when a table's meaning changes."""

PAGE_SIZE = 32_768
"""Blocks are megabytes: large pages halve the time of writing them against SQLite's 4096."""

CHECKPOINT_PAGES = 2_048
"""Pages of the write-ahead log before they are moved into the database: 64 MiB, so not after every group."""

BLOB_BYTES_MAX = 512 * 1024 * 1024
"""Largest value of the database; SQLite's own limit is just below 1 GB."""

TABLES = """
CREATE TABLE meta (
    name TEXT PRIMARY KEY,
    value TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;

CREATE TABLE sources (
    source INTEGER PRIMARY KEY,
    name TEXT NOT NULL UNIQUE,
    head_length INTEGER NOT NULL,
    head_checksum INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE blocks (
    block INTEGER PRIMARY KEY,
    source INTEGER NOT NULL,
    first_sequence INTEGER NOT NULL,
    events INTEGER NOT NULL,
    first_position INTEGER NOT NULL,
    next_position INTEGER NOT NULL,
    next_record INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    decided INTEGER NOT NULL,
    observed INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    unknown_fields INTEGER NOT NULL,
    decided_at INTEGER NOT NULL,
    journal_checksum INTEGER NOT NULL,
    decisions_checksum INTEGER NOT NULL,
    chain INTEGER NOT NULL
) STRICT;

CREATE TABLE contents (
    block INTEGER PRIMARY KEY,
    journal BLOB NOT NULL,
    decisions BLOB NOT NULL
) STRICT;

CREATE TABLE spans (
    block INTEGER PRIMARY KEY,
    spans BLOB NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE partitions (
    source INTEGER NOT NULL,
    topic TEXT NOT NULL,
    partition INTEGER NOT NULL,
    next_offset INTEGER NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (source, topic, partition)
) STRICT, WITHOUT ROWID;

CREATE TABLE identity_runs (
    run INTEGER PRIMARY KEY,
    level INTEGER NOT NULL,
    entries INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE identities (
    run INTEGER NOT NULL,
    bucket INTEGER NOT NULL,
    entries BLOB NOT NULL,
    checksum INTEGER NOT NULL,
    PRIMARY KEY (run, bucket)
) STRICT;

CREATE TABLE totals (
    one INTEGER PRIMARY KEY CHECK (one = 1),
    blocks INTEGER NOT NULL,
    received INTEGER NOT NULL,
    decided INTEGER NOT NULL,
    observed INTEGER NOT NULL,
    duplicates INTEGER NOT NULL,
    dead INTEGER NOT NULL,
    alerts INTEGER NOT NULL,
    chain INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE alerts (
    alert TEXT PRIMARY KEY,
    position INTEGER NOT NULL,
    block INTEGER NOT NULL,
    content TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
CREATE INDEX alerts_by_block ON alerts (block, position);

CREATE TABLE dead_letters (
    letter INTEGER PRIMARY KEY,
    block INTEGER NOT NULL,
    source INTEGER NOT NULL,
    position INTEGER NOT NULL,
    reason TEXT NOT NULL,
    detail TEXT NOT NULL,
    bytes BLOB NOT NULL,
    sealed INTEGER NOT NULL,
    cut INTEGER NOT NULL,
    retried INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE snapshots (
    blocks INTEGER PRIMARY KEY,
    folder TEXT NOT NULL,
    manifest TEXT NOT NULL,
    checksum INTEGER NOT NULL
) STRICT;

CREATE TABLE outputs (
    path TEXT PRIMARY KEY,
    features INTEGER NOT NULL,
    first_block INTEGER NOT NULL,
    blocks INTEGER NOT NULL,
    bytes INTEGER NOT NULL,
    tail_checksum INTEGER NOT NULL,
    checksum INTEGER NOT NULL
) STRICT, WITHOUT ROWID;
"""
