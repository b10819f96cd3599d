#!/usr/bin/env bash
# tshark reads the ASCII traffic: what pyiso8583 sent and received, tshark decodes from the wire.
#
#   tests/drills/tshark_decode.sh [BINARY]
#
# Every message that the client noted must be in the capture with the same message type and the same
# data elements 3, 4, 11 and 39. ASCII only: tshark's binary mode has a fault with DE 35. Needs
# tshark and the privilege to capture on loopback. Exit code 0 passed, 1 failed, 77 skipped.
set -euo pipefail
cd "$(dirname "$0")/../.."

skip() {
    echo "SKIPPED: $*"
    exit 77
}

command -v tshark >/dev/null || skip "tshark is not installed (Debian package tshark)"
work=$(mktemp -d)
capturing=
clean_up() {
    [[ -z $capturing ]] || kill "$capturing" 2>/dev/null || true
    rm -rf "$work"
}
trap clean_up EXIT

port=$(python3 -c 'import socket; s = socket.socket(); s.bind(("127.0.0.1", 0)); print(s.getsockname()[1])')
tshark -q -i lo -f "tcp port $port" -w "$work/lo.pcapng" 2>"$work/tshark.err" &
capturing=$!
# It has opened the device once the file has its header.
for _ in $(seq 300); do
    [[ -s $work/lo.pcapng ]] && break
    kill -0 "$capturing" 2>/dev/null || break
    sleep 0.1
done
if [[ ! -s $work/lo.pcapng ]]; then
    cat "$work/tshark.err"
    capturing=
    skip "tshark cannot capture on loopback"
fi

status=0
python3 tests/drills/pyiso8583_client.py "$@" --ascii-port "$port" --record "$work/said.jsonl" \
    >"$work/client.out" || status=$?
tail -1 "$work/client.out"
((status != 77)) || skip "the client could not run"
((status == 0)) || { grep FAIL "$work/client.out" || true; exit 1; }

# What the kernel still holds is written in a moment; then the last packet is the close.
for _ in $(seq 100); do
    closed=$(tshark -r "$work/lo.pcapng" -Y 'tcp.flags.fin == 1' 2>/dev/null | wc -l)
    ((closed >= 2)) && break
    sleep 0.1
done
kill -INT "$capturing"
wait "$capturing" || true
capturing=

tshark -r "$work/lo.pcapng" -d "tcp.port==$port,iso8583" \
    -o 'iso8583.len_endian:Big endian' \
    -o 'iso8583.charset:Digits represented as ASCII Characters' \
    -o 'iso8583.binencode:Bin data represented as Hex Ascii characters' \
    -Y iso8583.mti -T fields -E separator=/t \
    -e iso8583.mti -e iso8583.bit3 -e iso8583.bit4 -e iso8583.bit11 -e iso8583.bit39 \
    >"$work/decoded.tsv" 2>"$work/decode.err"

python3 - "$work/said.jsonl" "$work/decoded.tsv" <<'EOF'
import collections
import json
import sys

names = ["mti", "3", "4", "11", "39"]
said = collections.Counter()
for line in open(sys.argv[1], encoding="utf-8"):
    message = json.loads(line)
    said[tuple(message.get(name, "") for name in names)] += 1
decoded = collections.Counter()
for line in open(sys.argv[2], encoding="utf-8"):
    decoded[tuple(line.rstrip("\n").split("\t"))] += 1
missing = said - decoded
for message, count in list(missing.items())[:10]:
    print("FAIL  not decoded by tshark:", dict(zip(names, message)), f"({count} times)")
total = sum(said.values())
print(f"{total - sum(missing.values())} of {total} messages read by tshark as they were said, "
      f"of {len({key[0] for key in said})} message types")
sys.exit(1 if missing or total < 50 else 0)
EOF
