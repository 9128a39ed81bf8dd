"""`python -m tests.soak [cluster] [KILLS [SEED]]`: kills for minutes, then tells what was seen."""

import random
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import Soak

cluster = "cluster" in sys.argv
numbers = [int(one) for one in sys.argv[1:] if one != "cluster"]
kills = numbers[0] if numbers else 100
seed = numbers[1] if len(numbers) > 1 else random.randrange(10**6)
print(f"{kills} kills, seed {seed}; this takes some minutes ...", flush=True)
with tempfile.TemporaryDirectory(prefix="dreamgrid-soak-") as folder:
    if cluster:
        from tests.soak.cluster import ClusterSoak
        from tests.support import postgres

        try:
            soak = ClusterSoak(Path(folder), seed)
            soak.run_strikes(soak.any_strikes(kills))
        finally:
            postgres.stop()
        print("\n".join(soak.report.lines()))
    else:
        print("\n".join(Soak(Path(folder), seed).run(kills).lines()))
