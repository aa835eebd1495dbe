#!/usr/bin/env bash
# The second command on a GPU: why the block kernel takes its time, races, ceilings, competitors; 220 s.
# From the root of a checkout; results go to the folder $OUT. BACKEND=strict is a dry run.
set -uo pipefail
backend=${BACKEND:-cupy}
source bench/gpu/ready.sh || exit
timeout -k 5 50 ncu --clock-control none -k train -s 1 -c 1 --section SpeedOfLight --section WarpStateStats \
    --section SchedulerStats --section InstructionStats --section MemoryWorkloadAnalysis_Tables --section Occupancy \
    --section LaunchStats python3 -m bench.gpu.one "$backend" 128,32,132 > "$OUT/ncu.txt" 2>&1
for tool in memcheck racecheck; do
    timeout -k 5 35 compute-sanitizer --tool "$tool" --print-limit 20 python3 -m bench.gpu.one "$backend" default \
        > "$OUT/$tool.txt" 2>&1
    tail -2 "$OUT/$tool.txt"
done
timeout -k 5 80 python3 -m bench.gpu.probe --backend "$backend" --section J,C,L --budget 75 --out "$OUT/probe2.json" 2>&1 | tee "$OUT/probe2.log"
grep -E "Duration|Registers|No Eligible|Issued Warp|Stall|bank|Theoretical Occ" "$OUT/ncu.txt" | head -40
