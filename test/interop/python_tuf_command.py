"""python-tuf in the command form of the TUF conformance suite. A refusal is its own message, and status 1."""

import argparse
import pathlib
import sys

from tuf.ngclient import Updater


def main():
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--metadata-dir", required=True)
    parser.add_argument("--metadata-url")
    parser.add_argument("--target-name")
    parser.add_argument("--target-base-url")
    parser.add_argument("--target-dir")
    parser.add_argument("action", choices=["init", "refresh", "download"])
    parser.add_argument("root", nargs="?")
    arguments = parser.parse_args()
    metadata = pathlib.Path(arguments.metadata_dir)
    shipped = metadata / "shipped_root.json"
    if arguments.action == "init":
        shipped.write_bytes(pathlib.Path(arguments.root).read_bytes())
        return
    updater = Updater(
        metadata_dir=str(metadata),
        metadata_base_url=arguments.metadata_url + "/",
        target_dir=arguments.target_dir,
        target_base_url=arguments.target_base_url and arguments.target_base_url + "/",
        bootstrap=shipped.read_bytes(),
    )
    updater.refresh()
    if arguments.action == "download":
        info = updater.get_targetinfo(arguments.target_name)
        if info is None:
            raise LookupError(f"target {arguments.target_name} not found")
        updater.download_target(info)


if __name__ == "__main__":
    try:
        main()
    except Exception as error:
        print(f"{type(error).__name__}: {error}", file=sys.stderr)
        sys.exit(1)
