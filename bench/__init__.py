"""Measurements: each module runs alone (`python -m bench.steps`), `python -m bench` runs all.

They print ratios of one run on one machine and assert nothing. With `--keep` the figures are also
added to `bench/out/history.jsonl`.
"""
