#!/usr/bin/env bash
# Asks a broker which requests it takes, as every client does first; one that hangs does not answer.
set -euo pipefail

exec 3<>"/dev/tcp/127.0.0.1/${1:-9092}"
# ApiVersions (key 18), version 0, of the client "up", with 1 to know the answer by.
printf '\x00\x00\x00\x0c\x00\x12\x00\x00\x00\x00\x00\x01\x00\x02up' >&3
# Its length, the 1, and 0 for "no error".
answer=$(head -c 10 <&3 | od -An -tx1 | tr -d ' \n')
[ "${answer:8}" = 000000010000 ]
