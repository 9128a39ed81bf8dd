"""Histories by their seeds, from the first to the last: `python -m tests.simulation 7 99`.

`python -m tests.simulation --random 10000` lets so many happen that nobody has seen yet.
"""

import random
import sys
import time

from tests.simulation.world import lines, run_history

if sys.argv[1] == "--random":
    first = random.SystemRandom().randrange(10**6, 10**12)
    last = first + int(sys.argv[2]) - 1
else:
    first, last = int(sys.argv[1]), int(sys.argv[-1])
began = time.process_time()
for seed in range(first, last + 1):
    world = run_history(seed)
    if first == last:
        print("\n".join(lines(world)))
print(f"{last - first + 1} histories in {time.process_time() - began:.1f} s of one core")
