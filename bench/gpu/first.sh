#!/usr/bin/env bash
# The first command on a GPU: smoke 60 s, figures 265 s, tests 150 s; 500 s with what it installs.
# From the root of a checkout; results go to the folder $OUT. BACKEND=strict is a dry run.
set -uo pipefail
backend=${BACKEND:-cupy}
source bench/gpu/ready.sh || exit
timeout -k 5 15 nvidia-smi > "$OUT/smi.txt" 2>&1
timeout -k 5 90 python3 -m bench.gpu.smoke "$backend" "$OUT/smoke.json" 2>&1 | tee "$OUT/smoke.log"
[ "${PIPESTATUS[0]}" != 6 ] || exit 6  # there is no GPU
timeout -k 5 275 python3 -m bench.gpu.probe --backend "$backend" --section A,F,G,H,I,E --budget 265 --out "$OUT/probe.json" 2>&1 | tee "$OUT/probe.log"
timeout -k 5 170 python3 -m bench.gpu.probe --backend "$backend" --section B --budget 160 --out "$OUT/probe.json" 2>&1 | tee "$OUT/tests.log" | head -5
python3 -m bench.gpu.report "$OUT/smoke.json" "$OUT/probe.json"
