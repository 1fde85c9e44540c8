"""RSTUF's way to sign what exists already: its command line imports a list into the database, its worker publishes what the
database holds. The same statements and steps, done with SQLAlchemy and python-tuf, without its HTTP, broker and Redis.

Usage: peer.py FOLDER DATABASE LIST BINS: FOLDER is new, DATABASE is an URL of SQLAlchemy whose database is empty, LIST has
lines "path;length;sha256;hash". Prints {"version": V, "importSeconds": S, "publishSeconds": S, "files": N}.
"""

import json
import sys
import time
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from math import log2
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from sqlalchemy import JSON, Boolean, Column, DateTime, ForeignKey, Integer, MetaData, String, Table
from sqlalchemy import create_engine, select, update
from tuf.api.metadata import Metadata, MetaFile, Snapshot, SuccinctRoles, TargetFile, Targets, Timestamp
from tuf.api.serialization.json import JSONSerializer

folder, database, listed, bins = Path(sys.argv[1]), sys.argv[2], sys.argv[3], int(sys.argv[4])
folder.mkdir(parents=True)
signer = CryptoSigner.generate_ed25519()
succinct = SuccinctRoles([], 1, int(log2(bins)), "bins")
engine = create_engine(database)
tables = MetaData()
roles = Table(
    "rstuf_target_roles",
    tables,
    Column("id", Integer, primary_key=True),
    Column("rolename", String, nullable=False, unique=True, index=True),
    Column("version", Integer, nullable=False),
)
files = Table(
    "rstuf_target_files",
    tables,
    Column("id", Integer, primary_key=True),
    Column("path", String, nullable=False, unique=True, index=True),
    Column("info", JSON, nullable=False),
    Column("published", Boolean, nullable=False),
    Column("action", String, nullable=False),
    Column("last_update", DateTime),
    Column("targets_role", Integer, ForeignKey("rstuf_target_roles.id")),
)


def now():
    return datetime.now(timezone.utc).replace(microsecond=0)


def persist(name, metadata):
    metadata.signed.version += 1
    metadata.signed.expires = now() + timedelta(days=1)
    metadata.sign(signer)
    prefix = "" if name == "timestamp" else f"{metadata.signed.version}."
    (folder / f"{prefix}{name}.json").write_bytes(metadata.to_bytes(JSONSerializer()))


def bootstrap():
    tables.create_all(engine)
    names = list(succinct.get_roles())
    with engine.begin() as connection:
        connection.execute(roles.insert(), [{"rolename": name, "version": 1} for name in names])
    for name in names:
        empty = Metadata(Targets(1, expires=now()))
        empty.sign(signer)
        (folder / f"1.{name}.json").write_bytes(empty.to_bytes(JSONSerializer()))
    return names


def import_list():
    """As `rstuf admin import-artifacts`: the role of each line is asked of the database, the rows go in together."""
    with engine.connect() as connection:
        rows = []
        for line in Path(listed).read_text().splitlines():
            path, length, algorithm, digest = line.split(";")
            wanted = select(roles).where(roles.c.rolename == succinct.get_role_for_target(path))
            rows.append(
                {
                    "path": path,
                    "info": {"length": int(length), "hashes": {algorithm: digest}},
                    "published": False,
                    "action": "ADD",
                    "targets_role": connection.execute(wanted).one()[0],
                    "last_update": datetime.now(timezone.utc),
                }
            )
        connection.execute(files.insert(), rows)
        connection.commit()
    return len(rows)


def publish(names):
    """As the worker: every role with unpublished files, then snapshot and timestamp."""
    snapshot = Metadata(Snapshot(1, expires=now()))
    snapshot.signed.meta = {f"{name}.json": MetaFile(1) for name in names}
    with engine.connect() as connection:
        waiting = select(roles).join(files).where(files.c.published.is_(False)).distinct()
        for role in connection.execute(waiting).all():
            metadata = Metadata.from_file(str(folder / f"{role.version}.{role.rolename}.json"))
            found = connection.execute(select(files).where(files.c.targets_role == role.id)).all()
            metadata.signed.targets = {
                file.path: TargetFile.from_dict(file.info, file.path) for file in found if file.action == "ADD"
            }
            marked = update(files).where(
                files.c.published.is_(False), files.c.path.in_([file.path for file in found])
            )
            connection.execute(marked.values(published=True, last_update=datetime.now(timezone.utc)))
            connection.commit()
            persist(role.rolename, metadata)
            snapshot.signed.meta[f"{role.rolename}.json"] = MetaFile(metadata.signed.version)
        connection.execute(update(roles).values(version=2))
        connection.commit()
    persist("snapshot", snapshot)
    timestamp = Metadata(Timestamp(1, expires=now()))
    timestamp.signed.snapshot_meta = MetaFile(snapshot.signed.version)
    persist("timestamp", timestamp)


role_names = bootstrap()
begun = time.perf_counter()
count = import_list()
imported = time.perf_counter()
publish(role_names)
ended = time.perf_counter()
print(
    json.dumps(
        {
            "version": version("tuf"),
            "files": count,
            "importSeconds": imported - begun,
            "publishSeconds": ended - imported,
        }
    )
)
