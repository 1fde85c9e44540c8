"""Refreshes with one look-up each, from nothing but the root, with python-tuf. Usage: python_tuf_refresh.py ROOT URL PATH
FOLDER..., where the folders are new. Prints the seconds of each as a JSON list."""

import json
import pathlib
import sys
import time

from tuf.ngclient import Updater

root, url, path, *folders = sys.argv[1:]
bootstrap = pathlib.Path(root).read_bytes()
seconds = []
for folder in folders:
    pathlib.Path(folder).mkdir(parents=True, exist_ok=True)
    updater = Updater(folder, url, folder, url, bootstrap=bootstrap)
    begun = time.perf_counter()
    updater.refresh()
    found = updater.get_targetinfo(path)
    seconds.append(time.perf_counter() - begun)
    if found is None:
        sys.exit(f"{path} is not found")
print(json.dumps(seconds))
