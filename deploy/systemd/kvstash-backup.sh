#!/bin/sh
# Makes a backup of a running server, copies it to a directory named by the time, and keeps the newest ones.
#
#   kvstash-backup.sh TARGET [KEEP]     REDISCLI_AUTH and KVSTASH_CLI ("redis-cli -p 6379") are read from the environment
set -eu

target=$1
keep=${2:-7}
cli=${KVSTASH_CLI:-redis-cli}

ask() {
    answer=$($cli --no-raw "$@")
    case $answer in
    OK) ;;
    *)
        echo "$*: $answer" >&2
        exit 1
        ;;
    esac
}

state() {
    $cli --raw BACKUP STATUS | sed -n 2p
}

ask BACKUP START
trap '$cli BACKUP ABORT >/dev/null 2>&1 || true' EXIT
while :; do
    case $(state) in
    incrementing) break ;;
    pending | snapshotting) sleep 1 ;;
    *)
        $cli BACKUP STATUS >&2
        exit 1
        ;;
    esac
done
ask BACKUP SEAL
trap - EXIT

# The copy has its name only when it is complete.
name=$(date -u +%Y%m%dT%H%M%SZ)
mkdir -p "$target/.$name"
$cli --raw BACKUP LIST | while IFS= read -r file; do
    cp "$file" "$target/.$name/"
done
sync "$target/.$name"/* "$target/.$name"
mv "$target/.$name" "$target/$name"
ask BACKUP CLEANUP

# Only what it has made itself is removed.
ls -1 "$target" | grep -E '^[0-9]{8}T[0-9]{6}Z$' | sort -r | tail -n +$((keep + 1)) | while IFS= read -r old; do
    rm -r "${target:?}/$old"
done
echo "$target/$name"
