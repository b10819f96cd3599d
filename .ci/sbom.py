#!/usr/bin/env python3
"""What the binary is made of, as CycloneDX 1.5 in JSON: every crate with version, hash and licence.

  .ci/sbom.py [-o FILE] [--with-tests]       standard output without -o

Reads `cargo metadata` and Cargo.lock, changes nothing, and asks no network when the crates are
there. Crates that only tests and benches need are left out unless told otherwise. The same tree gives
the same document, byte for byte: no time and no random number stands in it.
"""

import argparse
import hashlib
import json
import subprocess
import sys
import tomllib
import uuid
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent
REGISTRY = "registry+https://github.com/rust-lang/crates.io-index"
SPDX_OPERATORS = (" OR ", " AND ", " WITH ")


def metadata():
    command = ["cargo", "metadata", "--format-version", "1", "--locked"]
    return json.loads(subprocess.check_output(command, cwd=ROOT))


def checksums():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(row["name"], row["version"]): row.get("checksum") for row in lock["package"]}


def reached(nodes, root, with_tests):
    """The crates that `root` is built of."""
    wanted = {None, "build", "dev"} if with_tests else {None, "build"}
    found, open_nodes = set(), [root]
    while open_nodes:
        node = open_nodes.pop()
        if node in found:
            continue
        found.add(node)
        for dependency in nodes[node]["deps"]:
            kinds = {kind["kind"] for kind in dependency["dep_kinds"]}
            # What tests of a dependency need nobody builds here.
            allowed = wanted if node == root else {None, "build"}
            if kinds & allowed:
                open_nodes.append(dependency["pkg"])
    return found


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def licence(package):
    expression = (package["license"] or "").replace("/", " OR ").replace("  ", " ")
    if not expression:
        return [{"license": {"name": f"file {package['license_file']}"}}]
    if any(operator in expression for operator in SPDX_OPERATORS):
        return [{"expression": expression}]
    return [{"license": {"id": expression}}]


def component(package, kind, checksum):
    row = {
        "type": kind,
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
        "licenses": licence(package),
    }
    if package["description"]:
        row["description"] = " ".join(package["description"].split())
    if checksum:
        row["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        row["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return row


def bill(told, sums, with_tests):
    packages = {package["id"]: package for package in told["packages"]}
    nodes = {node["id"]: node for node in told["resolve"]["nodes"]}
    root = told["resolve"]["root"]
    ids = sorted(reached(nodes, root, with_tests), key=lambda id: purl(packages[id]))
    components, dependencies = [], []
    for id in ids:
        package = packages[id]
        inner = {row["pkg"] for row in nodes[id]["deps"]} & set(ids)
        names = sorted(purl(packages[other]) for other in inner)
        dependencies.append({"ref": purl(package), "dependsOn": names})
        if id == root:
            continue
        checksum = sums[package["name"], package["version"]]
        if package["source"] != REGISTRY or not checksum:
            raise SystemExit(f"sbom: {purl(package)} is not from crates.io with a hash")
        components.append(component(package, "library", checksum))
    document = {
        "$schema": "http://cyclonedx.org/schema/bom-1.5.schema.json",
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "version": 1,
        "metadata": {"component": component(packages[root], "application", None)},
        "components": components,
        "dependencies": dependencies,
    }
    digest = hashlib.sha256(json.dumps(document, sort_keys=True).encode()).digest()
    return document | {"serialNumber": f"urn:uuid:{uuid.UUID(bytes=digest[:16], version=4)}"}


def main():
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("-o", "--output", type=Path)
    parser.add_argument("--with-tests", action="store_true")
    arguments = parser.parse_args()
    document = bill(metadata(), checksums(), arguments.with_tests)
    text = json.dumps(document, indent=1) + "\n"
    if arguments.output is None:
        sys.stdout.write(text)
        return
    arguments.output.parent.mkdir(parents=True, exist_ok=True)
    arguments.output.write_text(text)
    print(f"{arguments.output}: {len(document['components'])} crates")


if __name__ == "__main__":
    main()
