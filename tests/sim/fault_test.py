"""A deliberate fault is noticed, and by the check that it is for: fault_test.py TRIVET_SIM SCENARIO FAULT WORDS...

Some show in more than one way, and which is the first depends on the seed."""

import subprocess
import sys

SEEDS = 300  # one of them shows it

simulator, scenario, fault, *words = sys.argv[1:]
run = subprocess.run(
    [simulator, "--scenario", scenario, "--fault", fault, "--seed", "1", "--seeds", str(SEEDS)], capture_output=True, text=True
)
assert run.returncode == 1, f"nobody notices {fault}: status {run.returncode}, {run.stdout}{run.stderr}"
assert any(each in run.stderr for each in words), f"{fault} is noticed by another check: {run.stderr}"
