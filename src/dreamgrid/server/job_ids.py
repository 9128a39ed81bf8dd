"""Ids of jobs: UUIDs of version 7, which begin with the time.

Jobs of one moment so lie side by side in every index of the store, where random ids would touch a
page each: a fifth less to write for a project. An id is unique but no secret; what it names is
protected by accounts and signatures.
"""

import random


def new_job_id(now_ms: int) -> str:
    """A fresh id, in upper case as all ids are."""
    bits = now_ms << 80 | 0x7 << 76 | random.getrandbits(12) << 64
    bits |= 0b10 << 62 | random.getrandbits(62)
    digits = f"{bits:032X}"
    return f"{digits[:8]}-{digits[8:12]}-{digits[12:16]}-{digits[16:20]}-{digits[20:]}"
