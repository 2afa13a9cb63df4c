"""A deliberate fault is noticed, and by the check that it is for: fault_test.py TRIVET_SIM SCENARIO FAULT WORDS"""

import subprocess
import sys

SEEDS = 300  # one of them shows it

simulator, scenario, fault, words = sys.argv[1:]
run = subprocess.run(
    [simulator, "--scenario", scenario, "--fault", fault, "--seed", "1", "--seeds", str(SEEDS)], capture_output=True, text=True
)
assert run.returncode == 1, f"nobody notices {fault}: status {run.returncode}, {run.stdout}{run.stderr}"
assert words in run.stderr, f"{fault} is noticed by another check: {run.stderr}"
