"""Figure 5: the effective rank of what SFT changes, by layer and step.

    python examples/effective_rank.py snapshots --save ranks

where `snapshots` was written by the callback

    lm.fit(data, callbacks=[KernelSnapshots("snapshots", every=100)])

or, from checkpoints alone,

    python examples/effective_rank.py 0=base.weights.h5 500=sft.weights.h5

Writes `ranks.json`, `ranks.csv` and `ranks.png`.
"""

import argparse

from keras_grow.analysis import effective_rank_map


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("snapshots", nargs="+", metavar="FOLDER|STEP=FILE")
    parser.add_argument("--over", default="up", help="up, mlp or all")
    parser.add_argument("--measure", default="effective_rank")
    parser.add_argument("--save", default="ranks", metavar="NAME")
    args = parser.parse_args()
    source = args.snapshots[0]
    if "=" in source:
        items = (item.split("=", 1) for item in args.snapshots)
        source = {int(step): path for step, path in items}
    ranks = effective_rank_map(source, over=args.over)
    ranks.save(f"{args.save}.json")
    ranks.save(f"{args.save}.csv")
    ranks.plot(args.measure).figure.savefig(f"{args.save}.png")
    for block, row in enumerate(ranks.grid(args.measure)):
        print(f"block {block:>2}", *(f"{value:8.1f}" for value in row))


if __name__ == "__main__":
    main()
