#!/bin/sh
# Lays out the image's file system: the program, the libraries that it is linked with, certificates, settings, notices.
# Nothing else: no shell, no package manager.
#
#   sh deploy/root.sh BINARY NOTICES ROOT    in a Debian with the packages named in the Dockerfiles
set -eu

binary=$1 notices=$2 root=$3

mkdir -p "$root/usr/bin" "$root/etc/cohortd" "$root/etc/ssl" "$root/usr/lib/ssl" "$root/usr/share/doc/cohortd" \
    "$root/var/lib/cohortd" "$root/var/lib/dpkg/status.d" "$root/tmp"
install -m 755 "$binary" "$root/usr/bin/cohortd"

# Libraries lie where the loader looks for them without a cache.
ldd "$binary" | sed -n 's/.*=> \(\/[^ ]*\) .*/\1/p; s/^[[:space:]]*\(\/[^ ]*\) (.*/\1/p' | while read -r library; do
    mkdir -p "$root$(dirname "$library")"
    cp -L "$library" "$root$library"
done

# What Debian packages these come from, for scanners of images, and their licences.
for package in libc6 libgcc-s1 libstdc++6 libssl3 zlib1g ca-certificates; do
    dpkg-query -s "$package" >"$root/var/lib/dpkg/status.d/$package"
    install -D -m 644 "/usr/share/doc/$package/copyright" "$root/usr/share/doc/$package/copyright"
done

mkdir -p "$root/etc/ssl/certs"
cp -L /etc/ssl/certs/ca-certificates.crt "$root/etc/ssl/certs/ca-certificates.crt"
cp -L /etc/ssl/openssl.cnf "$root/etc/ssl/openssl.cnf"
ln -s /etc/ssl/openssl.cnf "$root/usr/lib/ssl/openssl.cnf"
ln -s /etc/ssl/certs "$root/usr/lib/ssl/certs"

echo 'hosts: files dns' >"$root/etc/nsswitch.conf"
echo 'cohortd:x:65532:65532:cohortd:/var/lib/cohortd:/sbin/nologin' >"$root/etc/passwd"
echo 'cohortd:x:65532:' >"$root/etc/group"

install -m 644 deploy/package/cohortd.toml config/rules.toml "$root/etc/cohortd/"
install -m 644 LICENSE config/cohortd.toml "$notices/THIRD-PARTY-NOTICES.txt" "$notices/sbom.cdx.json" \
    "$root/usr/share/doc/cohortd/"
chown 65532:65532 "$root/var/lib/cohortd"
chmod 750 "$root/var/lib/cohortd"
chmod 1777 "$root/tmp"
