"""What python-tuf, the reference client, makes of a repository that countersign publishes.

check: one update from nothing, then look-ups and downloads.
watch: updates without a pause while the repository changes, until standard input ends.
The result is one JSON document on standard output; a traceback and status 1 mean failure.
"""

import argparse
import hashlib
import json
import pathlib
import queue
import sys
import threading
import time

from tuf.ngclient import Updater


def make_updater(arguments):
    """An updater as an installer would make it: it trusts the root it was shipped with."""
    state = pathlib.Path(arguments.state)
    (state / "metadata").mkdir(parents=True, exist_ok=True)
    (state / "targets").mkdir(exist_ok=True)
    return Updater(
        metadata_dir=str(state / "metadata"),
        metadata_base_url=arguments.url + "/metadata/",
        target_dir=str(state / "targets"),
        target_base_url=arguments.url + "/targets/",
        bootstrap=pathlib.Path(arguments.root).read_bytes(),
    )


def expect_target(updater, target):
    info = updater.get_targetinfo(target["path"])
    assert info is not None, f"{target['path']} is not found"
    assert info.hashes == {"sha256": target["sha256"]}, f"{target['path']} has {info.hashes}"
    assert info.length == target["length"], f"{target['path']} has length {info.length}"
    return info


def check(arguments):
    targets = json.loads(pathlib.Path(arguments.targets).read_text())
    updater = make_updater(arguments)
    started = time.monotonic()
    updater.refresh()
    refresh_seconds = time.monotonic() - started
    started = time.monotonic()
    for number, target in enumerate(targets):
        info = expect_target(updater, target)
        if number < arguments.downloads:
            content = pathlib.Path(updater.download_target(info)).read_bytes()
            assert hashlib.sha256(content).hexdigest() == target["sha256"]
    for absent in ("packages/00/absent-1.0.tar.gz", "absent"):
        assert updater.get_targetinfo(absent) is None, f"{absent} is found"
    return {
        "refreshSeconds": round(refresh_seconds, 3),
        "found": len(targets),
        "downloaded": min(arguments.downloads, len(targets)),
        "lookupSeconds": round(time.monotonic() - started, 3),
    }


def versions_on_disk(state):
    """The versions that the last update trusted, read back from what python-tuf keeps."""
    metadata = pathlib.Path(state) / "metadata"
    timestamp = json.loads((metadata / "timestamp.json").read_text())["signed"]
    snapshot = json.loads((metadata / "snapshot.json").read_text())["signed"]
    versions = {name: entry["version"] for name, entry in snapshot["meta"].items()}
    return {**versions, "timestamp.json": timestamp["version"], "snapshot.json": snapshot["version"]}


def watch(arguments):
    arrived = queue.SimpleQueue()
    ended = threading.Event()

    def read_published():
        for line in sys.stdin:
            arrived.put(json.loads(line))
        ended.set()

    threading.Thread(target=read_published, daemon=True).start()
    known, before, refreshes, changed = [], {}, 0, set()
    while True:
        last = ended.is_set()
        while not arrived.empty():
            known.append(arrived.get())
        updater = make_updater(arguments)
        updater.refresh()
        refreshes += 1
        now = versions_on_disk(arguments.state)
        for name, version in before.items():
            assert now.get(name, 0) >= version, f"{name} went from {version} to {now.get(name)}"
            if now[name] > version:
                changed.add(name)
        before = now
        # The newest ones, and another few of the older ones each time: none may vanish.
        offset = refreshes % max(1, len(known))
        for target in known[-3:] + known[offset : offset + 3]:
            expect_target(updater, target)
        if last:
            break
    updater = make_updater(arguments)
    for target in known:
        expect_target(updater, target)
    return {
        "refreshes": refreshes,
        "snapshot": before["snapshot.json"],
        "published": len(known),
        "binsChanged": len([name for name in changed if name.startswith("bin-")]),
    }


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("mode", choices=["check", "watch"])
    parser.add_argument("--url", required=True)
    parser.add_argument("--root", required=True)
    parser.add_argument("--state", required=True)
    parser.add_argument("--targets")
    parser.add_argument("--downloads", type=int, default=20)
    arguments = parser.parse_args()
    result = check(arguments) if arguments.mode == "check" else watch(arguments)
    print(json.dumps(result))


if __name__ == "__main__":
    main()
