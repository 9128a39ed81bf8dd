"""Histories by their seeds, from the first to the last: `python -m tests.simulation 7 99`."""

import sys
import time

from tests.simulation.world import run_history

first = int(sys.argv[1])
last = int(sys.argv[-1])
began = time.process_time()
for seed in range(first, last + 1):
    trace = run_history(seed)
    if first == last:
        print("\n".join(trace))
print(f"{last - first + 1} histories in {time.process_time() - began:.1f} s of one core")
