"""Run chaos: `python -m tests.chaos --seed 7`; with `--short` the one that `make test` runs."""

import argparse
import logging
import random
import sys
from pathlib import Path

from tests.chaos.conductor import run
from tests.chaos.scale import FULL, SHORT


def main() -> int:
    """Run, print the report, write it as JSON; return 1 where anything is wrong."""
    parser = argparse.ArgumentParser(prog="python -m tests.chaos", description=__doc__)
    parser.add_argument("--seed", type=int, default=None, help="replay the run of a seed; else a new one")
    parser.add_argument("--short", action="store_true", help="the scale of make test")
    parser.add_argument(
        "--seconds", type=float, help="how long the storm lasts, with less or more sent in it"
    )
    parser.add_argument("--folder", type=Path, default=Path("chaos-reports"), help="where report and log go")
    options = parser.parse_args()
    logging.basicConfig(level=logging.INFO, format="%(asctime)s %(message)s", stream=sys.stderr)
    seed = random.randrange(1_000_000) if options.seed is None else options.seed
    scale = SHORT if options.short else FULL
    if options.seconds:
        scale = scale.lasting(options.seconds)
    options.folder.mkdir(parents=True, exist_ok=True)
    print(f"chaos run of seed {seed}", flush=True)
    report = run(seed, scale, options.folder)
    (options.folder / f"chaos-{seed}.json").write_text(report.json())
    print(report.text())
    return 0 if report.holds else 1


if __name__ == "__main__":
    sys.exit(main())
