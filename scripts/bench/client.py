"""A refresh and one look-up with python-tuf. Usage: client.py FOLDER URL PATH: FOLDER is new and holds root.json.
Prints the seconds of both together."""

import sys
import time

from tuf.ngclient import Updater

folder, url, path = sys.argv[1:]
updater = Updater(folder, url, folder, url)
begun = time.perf_counter()
updater.refresh()
found = updater.get_targetinfo(path)
seconds = time.perf_counter() - begun
if found is None:
    sys.exit(f"{path} is not found")
print(seconds)
