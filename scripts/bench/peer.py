"""The steps of the RSTUF worker for upload events, done with python-tuf: CPU and files only, without its database,
broker and HTTP. Bins, snapshot and timestamp are read from files, changed, signed and written back, as JSON with
indentation, for each publication.

Usage: peer.py FOLDER: FOLDER holds bins, snapshot and timestamp under non-versioned names, and events.json:
{"single": [[bin, path, length, sha256], ...], "batches": [[[bin, path, length, sha256], ...], ...]}.
Prints {"version": V, "single": seconds of each event, "batches": seconds of each batch}.
"""

import json
import sys
import time
from datetime import datetime, timedelta, timezone
from importlib.metadata import version
from pathlib import Path

from securesystemslib.signer import CryptoSigner
from tuf.api.metadata import Metadata, MetaFile, TargetFile
from tuf.api.serialization.json import JSONSerializer

folder = Path(sys.argv[1])
signer = CryptoSigner.generate_ed25519()
serializer = JSONSerializer(compact=False)


def load(role):
    return Metadata.from_file(str(folder / f"{role}.json"))


def persist(role, metadata):
    metadata.signed.version += 1
    metadata.signed.expires = datetime.now(timezone.utc).replace(microsecond=0) + timedelta(days=1)
    metadata.sign(signer)
    metadata.to_file(str(folder / f"{role}.json"), serializer)
    return metadata.signed.version


def publish(events):
    bins = {}
    for name, path, length, sha256 in events:
        bins.setdefault(name, []).append((path, length, sha256))
    versions = {}
    for name, files in bins.items():
        metadata = load(name)
        for path, length, sha256 in files:
            metadata.signed.targets[path] = TargetFile(length, {"sha256": sha256}, path)
        versions[name] = persist(name, metadata)
    snapshot = load("snapshot")
    for name, number in versions.items():
        snapshot.signed.meta[f"{name}.json"] = MetaFile(version=number)
    number = persist("snapshot", snapshot)
    timestamp = load("timestamp")
    timestamp.signed.snapshot_meta = MetaFile(version=number)
    persist("timestamp", timestamp)


def seconds(events):
    begun = time.perf_counter()
    publish(events)
    return time.perf_counter() - begun


for file in folder.glob("*.json"):
    if file.name != "events.json":
        Metadata.from_file(str(file)).to_file(str(file), serializer)
work = json.loads((folder / "events.json").read_text())
print(
    json.dumps(
        {
            "version": version("tuf"),
            "single": [seconds([event]) for event in work["single"]],
            "batches": [seconds(batch) for batch in work["batches"]],
        }
    )
)
