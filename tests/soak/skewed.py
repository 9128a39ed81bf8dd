"""`dreamgrid` with a clock that is wrong: `skewed SECONDS ARGUMENTS`."""

import runpy
import sys
import time

_true_s, _ahead_s = time.time, float(sys.argv[1])


def _wrong_s() -> float:
    return _true_s() + _ahead_s


time.time = _wrong_s  # before anybody takes it
sys.argv = ["dreamgrid", *sys.argv[2:]]
runpy.run_module("dreamgrid", run_name="__main__")
