#!/bin/sh
# Makes what is shipped, in dist/: the program, its notices and bill of materials, an archive, a Debian package, checksums.
#
#   sh deploy/dist.sh [BINARY]     takes a binary that is there in place of compiling one
#
# RocksDB, librdkafka, jemalloc and zstd are inside the binary. OpenSSL, zlib, libstdc++ and the C library are the system's, so
# that their security updates reach it; built on Debian 12 it runs on what is as new or newer: glibc 2.36 and OpenSSL 3.
set -eu
cd "$(dirname "$0")/.."

cargo=${CARGO:-cargo}
version=$(sed -n 's/^version = "\(.*\)"/\1/p' Cargo.toml | head -1)
if [ $# -gt 0 ]; then
    binary=$1
else
    COHORTD_REVISION=${COHORTD_REVISION:-$(git rev-parse HEAD 2>/dev/null || echo unknown)}
    export COHORTD_REVISION
    "$cargo" build --profile dist --locked --bin cohortd
    binary=${CARGO_TARGET_DIR:-target}/dist/cohortd
fi
architecture=$(dpkg --print-architecture 2>/dev/null || uname -m)

rm -rf dist
mkdir dist
python3 deploy/sbom.py dist
install -m 755 "$binary" dist/cohortd
# A binary that was given may not be stripped.
strip dist/cohortd

folder=cohortd-$version-linux-$architecture
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
mkdir "$work/$folder"
cp dist/cohortd dist/sbom.cdx.json dist/THIRD-PARTY-NOTICES.txt LICENSE README.md CHANGELOG.md "$work/$folder/"
cp config/cohortd.toml config/rules.toml config/RULES.md deploy/package/cohortd.service "$work/$folder/"
# What the README leads to lies where it says.
cp -r docs schemas config SECURITY.md "$work/$folder/"
# The same input gives the same archive: whoever builds it again can compare.
epoch=${SOURCE_DATE_EPOCH:-$(git log -1 --format=%ct 2>/dev/null || date +%s)}
tar -C "$work" --sort=name --mtime="@$epoch" --owner=0 --group=0 --numeric-owner -c "$folder" | gzip -9n >"dist/$folder.tar.gz"

if command -v dpkg-deb >/dev/null; then
    root=$work/deb doc=$work/deb/usr/share/doc/cohortd
    install -D -m 755 dist/cohortd "$root/usr/bin/cohortd"
    install -D -m 644 deploy/package/cohortd.service "$root/usr/lib/systemd/system/cohortd.service"
    install -D -m 644 -t "$root/etc/cohortd" deploy/package/cohortd.toml config/rules.toml
    install -D -m 644 -t "$doc" config/cohortd.toml config/RULES.md README.md dist/sbom.cdx.json dist/THIRD-PARTY-NOTICES.txt
    cp -r docs schemas config SECURITY.md "$doc/"
    install -m 644 LICENSE "$doc/copyright"
    gzip -9nc CHANGELOG.md >"$doc/changelog.gz"
    mkdir -p "$root/DEBIAN"
    printf '/etc/cohortd/cohortd.toml\n/etc/cohortd/rules.toml\n' >"$root/DEBIAN/conffiles"
    cat >"$root/DEBIAN/control" <<CONTROL
Package: cohortd
Version: $version
Architecture: $architecture
Maintainer: cohortd <cohortd@localhost>
Section: misc
Priority: optional
Installed-Size: $(du -sk "$root" | cut -f1)
Depends: libc6 (>= 2.36), libgcc-s1, libssl3, libstdc++6, zlib1g, ca-certificates
Description: who enters and leaves behavioural cohorts, from Kafka to Kafka
 Reads customer events from Kafka and keeps, on local disk, what its rules need to
 remember about each customer. When a customer enters or leaves a cohort, by an event
 or because nothing happened for long enough, it says so on Kafka, exactly once.
 .
 The service is not started by the installation: name your brokers in
 /etc/cohortd/cohortd.toml first, then systemctl enable --now cohortd.
CONTROL
    cat >"$root/DEBIAN/postinst" <<'POSTINST'
#!/bin/sh
set -e
if [ "$1" = configure ] && [ -d /run/systemd/system ]; then
    systemctl daemon-reload
    # After an upgrade; state and offsets are kept.
    systemctl try-restart cohortd.service
fi
POSTINST
    cat >"$root/DEBIAN/prerm" <<'PRERM'
#!/bin/sh
set -e
if [ "$1" = remove ] && [ -d /run/systemd/system ]; then
    systemctl disable --now cohortd.service
fi
PRERM
    chmod 755 "$root/DEBIAN/postinst" "$root/DEBIAN/prerm"
    find "$root" -newermt "@$epoch" -exec touch -hd "@$epoch" {} +
    SOURCE_DATE_EPOCH=$epoch dpkg-deb --root-owner-group -Zxz --build "$root" "dist/cohortd_${version}_$architecture.deb" >/dev/null
fi

cd dist
for file in *.tar.gz *.deb sbom.cdx.json THIRD-PARTY-NOTICES.txt; do
    [ ! -e "$file" ] || sha256sum "$file"
done >SHA256SUMS
ls -l >&2
