"""`python -m tests.soak [cluster] [KILLS [SEED]]`: kills for minutes, then tells what was seen.

`cluster short SEED`: a few strikes in a fixed order.
"""

import random
import shutil
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import Soak
from tests.support import networks

cluster, short = "cluster" in sys.argv, "short" in sys.argv
numbers = [int(one) for one in sys.argv[1:] if one not in ("cluster", "short")]
kills = numbers.pop(0) if numbers and not short else 100
seed = numbers[0] if numbers else random.randrange(10**6)
if cluster:
    networks.enter()
if not short:
    print(f"{kills} kills, seed {seed}; this takes some minutes ...", flush=True)
folder = Path(tempfile.mkdtemp(prefix="dreamgrid-soak-"))  # stays where something went wrong
print(f"what the processes say: {folder}/errors.txt", flush=True)
if cluster:
    from tests.soak.cluster import FEW, ClusterSoak
    from tests.support import postgres

    if not networks.inside():
        print("no node is cut off: that takes root, iproute2 and iptables", flush=True)
    try:
        soak = ClusterSoak(folder, seed)
        soak.run_strikes(FEW if short else soak.any_strikes(kills))
    finally:
        postgres.stop()
    print("\n".join(soak.report.lines()))
else:
    print("\n".join(Soak(folder, seed).run(kills).lines()))
shutil.rmtree(folder)
