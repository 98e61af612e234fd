#!/bin/sh
# Builds the runtime image from a binary, and holds it to what docs/deploy.md promises: it runs without privileges on a
# read-only file system, answers its health check, stops on SIGTERM, stays under 60 MB, and says what it is made of.
#
#   sh deploy/image-test.sh BINARY
#   IMAGE=cohortd:latest sh deploy/image-test.sh          # of an image that is there, labelled with the revision
#
# Needs podman and buildah. Where they cannot run, or there is no base image, it says SKIPPED and why, and ends with 0; in
# continuous integration (CI=true) that is a failure unless COHORTD_SKIP_IMAGE is set.
set -eu
cd "$(dirname "$0")/.."

binary=${1:-}
image=${IMAGE:-localhost/cohortd:image-test}
revision=image-test
[ -z "${IMAGE:-}" ] || revision=$(git rev-parse HEAD)
base=docker.io/library/debian:bookworm-slim
work=$(mktemp -d)
container=''

clean() {
    [ -z "$container" ] || podman rm -f -t 0 "$container" >/dev/null 2>&1 || true
    [ -n "${IMAGE:-}" ] || podman rmi -f "$image" >/dev/null 2>&1 || true
    rm -rf "$work"
}
trap clean EXIT

skip() {
    echo "SKIPPED: image test: $1" >&2
    if [ "${CI:-}" = true ] && [ -z "${COHORTD_SKIP_IMAGE:-}" ]; then exit 1; fi
    exit 0
}
fail() {
    echo "FAILED: image test: $1" >&2
    exit 1
}
passed=0
pass() {
    passed=$((passed + 1))
    echo "ok: $1" >&2
}

for tool in podman buildah; do
    command -v "$tool" >/dev/null || skip "$tool is not installed"
done
[ "$(uname -s)" = Linux ] || skip 'this is not Linux'

# Where no systemd runs, as inside a container, podman wants to be told so.
if [ ! -d /run/systemd/system ] && [ -z "${CONTAINERS_CONF:-}" ]; then
    cat >"$work/containers.conf" <<'CONF'
[engine]
runtime = "runc"
cgroup_manager = "cgroupfs"
[containers]
default_ulimits = ["nofile=20000:20000", "nproc=4096:4096"]
netns = "host"
CONF
    export CONTAINERS_CONF="$work/containers.conf"
fi

if [ -z "${IMAGE:-}" ]; then
    if ! podman image exists "$base"; then
        podman pull -q "$base" >/dev/null 2>&1 || {
            if [ "$(id -u)" != 0 ] || ! command -v debootstrap >/dev/null; then
                skip "$base cannot be had, nor made by debootstrap as root"
            fi
            echo "Making $base by debootstrap." >&2
            debootstrap --variant=minbase bookworm "$work/base" >"$work/log" 2>&1 || skip 'debootstrap failed'
            tar -C "$work/base" -c . | podman import -q - "$base" >/dev/null
            rm -rf "$work/base"
        }
    fi

    # A context of its own: the checkout's dist/ may hold something else.
    mkdir -p "$work/context/deploy" "$work/context/dist"
    cp -r deploy/package deploy/root.sh deploy/Dockerfile.prebuilt "$work/context/deploy/"
    cp -r config LICENSE "$work/context/"
    install -m 755 "$binary" "$work/context/dist/cohortd"
    strip "$work/context/dist/cohortd"
    python3 deploy/sbom.py "$work/context/dist"
    buildah bud --isolation=chroot --pull=never --format docker --build-arg REVISION=image-test \
        -f "$work/context/deploy/Dockerfile.prebuilt" -t "$image" "$work/context" >"$work/log" 2>&1 || {
        tail -20 "$work/log" >&2
        fail 'the image was not built'
    }
    pass 'the image is built'
fi

bytes=$(podman image inspect "$image" --format '{{.Size}}')
[ "$bytes" -lt 60000000 ] || fail "it has $bytes bytes"
pass "it has $((bytes / 1000000)) MB"
labels=$(podman image inspect "$image" --format '{{.Labels}}')
case $labels in *org.opencontainers.image.revision:$revision*) pass 'it is labelled' ;; *) fail "its labels are $labels" ;; esac

# What every container here runs with. Podman would add folders in memory that may be written to.
run='--read-only --read-only-tmpfs=false --cap-drop=ALL --security-opt=no-new-privileges --memory=512m'

# shellcheck disable=SC2086 # options are words
podman run --rm $run "$image" demo --seconds 3 --customers 200 >"$work/demo" 2>"$work/log" || {
    tail -n 20 "$work/demo" "$work/log" >&2
    fail 'the demo failed'
}
grep -q 'new_signups' "$work/demo" || fail 'the demo shows no cohorts'
pass 'the demo runs, with nothing else'

# shellcheck disable=SC2086
limit=$(podman run --rm $run "$image" dump-config --config /etc/cohortd/cohortd.toml 2>/dev/null | grep -A1 '^\[memory\]' | tail -1)
case $limit in *'here 409 MiB'*) pass 'memory.limit is 80 % of the limit of the container' ;; *) fail "memory.limit is: $limit" ;; esac

# No Kafka is there, which it waits for.
port=$((20000 + $$ % 10000))
# shellcheck disable=SC2086
container=$(podman run -d $run -e COHORTD_KAFKA__BOOTSTRAP_SERVERS=127.0.0.1:1 -e COHORTD_METRICS__LISTEN=127.0.0.1:$port \
    -e COHORTD_ADMIN__LISTEN=127.0.0.1:0 "$image" 2>"$work/log") || { cat "$work/log" >&2; fail 'it does not start'; }
tries=0
until podman exec "$container" /usr/bin/cohortd health --config /etc/cohortd/cohortd.toml >"$work/live" 2>&1; do
    tries=$((tries + 1))
    [ $tries -lt 120 ] || { podman logs "$container" >&2; cat "$work/live" >&2; fail 'it never came alive'; }
    sleep 0.5
done
pass 'its health check says that it is alive'
if podman exec "$container" /usr/bin/cohortd health ready >"$work/ready" 2>&1; then
    fail "it is ready without Kafka: $(cat "$work/ready")"
fi
pass 'it is not ready without Kafka'
check=$(podman image inspect "$image" --format '{{.HealthCheck}}')
case $check in *'/usr/bin/cohortd health'*) pass 'the image has that health check' ;; *) fail "its health check is $check" ;; esac

root=$(podman inspect "$container" --format '{{.State.Pid}}')
grep -q '^Uid:[[:space:]]*65532' "/proc/$root/status" || fail 'it does not run as 65532'
grep -q '^CapEff:[[:space:]]*0000000000000000' "/proc/$root/status" || fail 'it has capabilities'
grep -q '^NSpid:.*[[:space:]]1$' "/proc/$root/status" || fail 'it is not process 1'
pass 'it runs as 65532, as process 1, without capabilities'
written=$(podman diff "$container" | grep -v -e '/var/lib/cohortd' -e ' /etc$' -e ' /run' -e ' /dev' -e ' /proc' -e ' /sys' || true)
[ -z "$written" ] || fail "it wrote outside of state.dir: $written"
pass 'it writes nothing outside of state.dir'

podman stop -t 20 "$container" >/dev/null 2>&1
code=$(podman inspect "$container" --format '{{.State.ExitCode}}')
[ "$code" = 0 ] || { podman logs "$container" >&2; fail "it ended with $code on SIGTERM"; }
pass 'it ends with 0 on SIGTERM'

podman create --name "cohortd-image-test-$$" "$image" >/dev/null 2>&1
podman export "cohortd-image-test-$$" | tar -t >"$work/files"
podman rm -f "cohortd-image-test-$$" >/dev/null 2>&1
for file in usr/share/doc/cohortd/sbom.cdx.json usr/share/doc/cohortd/THIRD-PARTY-NOTICES.txt usr/share/doc/libssl3/copyright \
    etc/ssl/certs/ca-certificates.crt var/lib/dpkg/status.d/libssl3; do
    grep -qx "$file" "$work/files" || fail "$file is not in it"
done
if grep -q -e '^bin/sh$' -e '^usr/bin/sh$' -e 'bin/apt' "$work/files"; then fail 'there is a shell or a package manager in it'; fi
pass 'notices, bill of materials and certificates are in it, and no shell'

echo "$passed passed, 0 failed" >&2
