"""`python -m tests.soak [KILLS [SEED]]`: kills for some minutes, then tells what was seen."""

import random
import sys
import tempfile
from pathlib import Path

from tests.soak.soak import Soak

kills = int(sys.argv[1]) if len(sys.argv) > 1 else 100
seed = int(sys.argv[2]) if len(sys.argv) > 2 else random.randrange(10**6)
print(f"{kills} kills, seed {seed}; this takes some minutes ...", flush=True)
with tempfile.TemporaryDirectory(prefix="dreamgrid-soak-") as folder:
    print("\n".join(Soak(Path(folder), seed).run(kills).lines()))
