#!/usr/bin/env python3
"""Writes what the program is made of: a bill of materials (CycloneDX 1.5) and the notices of third parties.

    python3 deploy/sbom.py DIRECTORY

Both come from Cargo.lock, by `cargo metadata`: the crates that the program is linked with on this machine, and the C and C++
libraries that some of them bring along. What only builds or tests the program is left out.
"""

import argparse
import hashlib
import json
import re
import subprocess
import sys
import tomllib
from pathlib import Path

ROOT = Path(__file__).resolve().parent.parent

# Libraries in other languages that crates compile in: crate, name, folder inside the crate, licence, and where the version
# stands: a file and a pattern, or the crate's own version after its `+`.
BUNDLED = [
    ("librocksdb-sys", "rocksdb", "rocksdb", "Apache-2.0", None),
    ("rdkafka-sys", "librdkafka", "librdkafka", "BSD-2-Clause", None),
    ("curl-sys", "curl", "curl", "curl", None),
    ("tikv-jemalloc-sys", "jemalloc", "jemalloc", "BSD-2-Clause", None),
    ("zstd-sys", "zstd", "zstd", "BSD-3-Clause", None),
    ("lz4-sys", "lz4", "liblz4", "BSD-2-Clause", ("liblz4/lib/lz4.h", r"#define LZ4_VERSION_(?:MAJOR|MINOR|RELEASE)\s+(\d+)")),
]

LICENCE_FILE = re.compile(r"^(licen[cs]e|copying|notice|copyright|unlicense)", re.IGNORECASE)
# Licences of parts that are not compiled, such as tests, tools and other languages.
LEFT_OUT = {"test", "tests", "examples", "docs", "java", "tools", "benchmark", "benches", "contrib", "packaging"}


def metadata(target):
    command = ["cargo", "metadata", "--format-version", "1", "--locked", "--filter-platform", target]
    return json.loads(subprocess.run(command, cwd=ROOT, check=True, capture_output=True).stdout)


def host():
    said = subprocess.run(["rustc", "-vV"], check=True, capture_output=True, text=True).stdout
    return re.search(r"^host: (.+)$", said, re.MULTILINE).group(1)


def linked(graph, root):
    """Ids of the packages that are linked with the root, and which of them each one needs."""
    nodes = {node["id"]: node for node in graph["resolve"]["nodes"]}
    packages = {package["id"]: package for package in graph["packages"]}
    is_macro = lambda package: any("proc-macro" in target["kind"] for target in packages[package]["targets"])
    found, waiting = {}, [root]
    while waiting:
        package = waiting.pop()
        if package in found:
            continue
        normal = lambda dep: any(kind["kind"] is None for kind in dep["dep_kinds"])
        needs = [dep["pkg"] for dep in nodes[package]["deps"] if normal(dep) and not is_macro(dep["pkg"])]
        found[package] = needs
        waiting += needs
    return found


def checksums():
    lock = tomllib.loads((ROOT / "Cargo.lock").read_text())
    return {(package["name"], package["version"]): package.get("checksum") for package in lock["package"]}


def licence_texts(folder):
    """Texts of licences in a folder and the folders in it."""
    for path in sorted(folder.rglob("*")):
        inside = path.relative_to(folder).parts[:-1]
        if path.is_file() and LICENCE_FILE.match(path.name) and not LEFT_OUT.intersection(part.lower() for part in inside):
            if path.suffix.lower() not in {".rs", ".h", ".c", ".cc", ".py", ".html", ".yml", ".toml", ".sh", ".in"}:
                text = path.read_text(errors="replace").strip()
                # RocksDB, parts of it, and zstd may be had under the GPL or the licence of BUNDLED; the latter is taken.
                if not re.match(r"\s*GNU (AFFERO )?GENERAL PUBLIC LICENSE", text):
                    yield text


def expression(package):
    """The licence in the form of SPDX."""
    return (package["license"] or "").replace("/", " OR ")


def purl(package):
    return f"pkg:cargo/{package['name']}@{package['version']}"


def bundled_version(package, where):
    if where is None:
        return re.search(r"\d+(\.\d+)+", package["version"].partition("+")[2] or package["version"]).group()
    file, pattern = where
    folder = Path(package["manifest_path"]).parent
    return ".".join(re.findall(pattern, (folder / file).read_text(errors="replace")))


def bundled(packages):
    for crate, name, folder, licence, where in BUNDLED:
        for package in packages:
            if package["name"] == crate:
                path = Path(package["manifest_path"]).parent / folder
                yield package, name, bundled_version(package, where), licence, path


def component(package, checksum):
    described = {
        "type": "library",
        "bom-ref": purl(package),
        "name": package["name"],
        "version": package["version"],
        "purl": purl(package),
        "scope": "required",
    }
    if package["license"]:
        described["licenses"] = [{"expression": expression(package)}]
    if checksum:
        described["hashes"] = [{"alg": "SHA-256", "content": checksum}]
    if package["repository"]:
        described["externalReferences"] = [{"type": "vcs", "url": package["repository"]}]
    return described


def bill(packages, crates, found, program):
    known = checksums()
    components = [component(package, known.get((package["name"], package["version"]))) for package in crates]
    needs = {purl(packages[id]): sorted(purl(packages[dep]) for dep in deps) for id, deps in found.items()}
    for package, name, version, licence, _ in bundled(crates):
        ref = f"pkg:generic/{name}@{version}"
        components.append({
            "type": "library", "bom-ref": ref, "name": name, "version": version, "purl": ref, "scope": "required",
            "licenses": [{"expression": licence}],
        })
        needs[purl(package)].append(ref)
        needs[ref] = []
    # The number of the document follows from what it lists, so that the same sources give the same bytes.
    digest = hashlib.sha256(json.dumps([components, needs], sort_keys=True).encode()).hexdigest()
    serial = f"{digest[:8]}-{digest[8:12]}-5{digest[13:16]}-8{digest[17:20]}-{digest[20:32]}"
    return {
        "bomFormat": "CycloneDX",
        "specVersion": "1.5",
        "serialNumber": f"urn:uuid:{serial}",
        "version": 1,
        "metadata": {
            "component": {
                "type": "application",
                "bom-ref": purl(program),
                "name": program["name"],
                "version": program["version"],
                "licenses": [{"expression": expression(program)}],
            }
        },
        "components": components,
        "dependencies": [{"ref": ref, "dependsOn": sorted(on)} for ref, on in sorted(needs.items())],
    }


def notices(crates):
    """One entry a text, with all that it goes for: most crates share a few."""
    texts, without = {}, []
    parts = [(f"{p['name']} {p['version']} ({expression(p)})", Path(p["manifest_path"]).parent, False) for p in crates]
    parts += [(f"{name} {version} ({licence})", path, True) for _, name, version, licence, path in bundled(crates)]
    for name, folder, is_whole in parts:
        own = list(licence_texts(folder)) if is_whole else [
            path.read_text(errors="replace").strip()
            for path in sorted(folder.iterdir())
            if path.is_file() and LICENCE_FILE.match(path.name)
        ]
        for text in own:
            texts.setdefault(text, []).append(name)
        if not own:
            without.append(name)
    lines = ["cohortd contains the work of others, under these licences.", ""]
    if without:
        lines += ["Without a text of their own in what they publish; the licence is the one named:", ""]
        lines += [f"  {name}" for name in without] + [""]
    for text, names in texts.items():
        lines += ["=" * 80, ""] + [f"  {name}" for name in names] + ["", text, ""]
    return "\n".join(lines)


def main():
    arguments = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    arguments.add_argument("directory", type=Path)
    asked = arguments.parse_args()
    graph = metadata(host())
    root = graph["resolve"]["root"]
    found = linked(graph, root)
    asked.directory.mkdir(parents=True, exist_ok=True)
    packages = {package["id"]: package for package in graph["packages"]}
    crates = sorted((packages[id] for id in found if id != root), key=lambda package: (package["name"], package["version"]))
    sbom = bill(packages, crates, found, packages[root])
    (asked.directory / "sbom.cdx.json").write_text(json.dumps(sbom, indent=1) + "\n")
    (asked.directory / "THIRD-PARTY-NOTICES.txt").write_text(notices(crates))
    print(f"{asked.directory}: {len(sbom['components'])} components.", file=sys.stderr)


if __name__ == "__main__":
    main()
