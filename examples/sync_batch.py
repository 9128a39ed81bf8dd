"""Many prompts, a few at a time, from threads and without asyncio; stops at a price.

python sync_batch.py "a red apple" "a castle" "a green tree"
"""

import sys
from concurrent.futures import ThreadPoolExecutor
from decimal import Decimal
from pathlib import Path

import dreamgrid

MOST_SPARK = Decimal("10")


def main() -> None:
    prompts = sys.argv[1:] or ["a red apple", "a castle", "a green tree"]
    with dreamgrid.Client() as client:
        model = client.projects.wait_for_models()[0].id
        price = client.projects.estimate_cost(model=model, count=len(prompts))
        if price.spark > MOST_SPARK:
            sys.exit(f"{len(prompts)} pictures would cost {price}; the limit is {MOST_SPARK} spark")

        def make(prompt: str) -> Path:
            project = client.projects.create(model=model, prompt=prompt)
            (image,) = project.wait()
            return image.save(Path("batch") / prompt.replace(" ", "-"))

        with ThreadPoolExecutor(4) as threads:  # one client serves all threads
            for path in threads.map(make, prompts):
                print(path)


if __name__ == "__main__":
    main()
