# The everyday verbs. Meson does the work; tools/install brings what is missing.
#
#   make run [ARGS=...]     install, build, run in the foreground       make soak      the long runs
#   make test               everything that must pass                   make fuzz      SECONDS=180 a fuzzer, WIRE_SECONDS=600
#   make asan               the tests under ASan and UBSan              make sim       SEED=7, or SEEDS=1000
#   make bench              Trivet against the originals                make fmt lint clean
#   make demo               the email service on Trivet, from request to mail (examples/email)

PYTHON = .venv/bin/python
SECONDS = 180
SEEDS = 1000
ARGS =

.DEFAULT_GOAL = build
.PHONY: run build examples test bench soak fuzz sim asan demo fmt lint clean

run: build
	@exec build/trivet $(ARGS)

build:
	@tools/install build
	@test -f build/build.ninja || meson setup build --buildtype=release -Db_lto=true
	@ninja -C build -n | grep -q 'no work to do' || ninja -C build --quiet

# Apart from the build, so that who only runs Trivet needs none of their libraries.
examples: build
	@tools/install examples
	@test -x build/examples/email/email-worker || meson setup --reconfigure build -Dexamples=true >/dev/null
	@ninja -C build --quiet

test: examples
	@tools/install test
	@$(PYTHON) tests/run.py

asan:
	@tools/install build test
	@test -f build-asan/build.ninja || \
		meson setup build-asan --buildtype=debugoptimized -Db_sanitize=address,undefined -Db_lundef=false
	@test -x build-asan/examples/email/email-worker || meson setup --reconfigure build-asan -Dexamples=true >/dev/null
	@ninja -C build-asan --quiet
	@$(PYTHON) tests/run.py --build build-asan --quick

bench: build
	@tools/install bench
	@$(PYTHON) bench/run.py $(ARGS)

soak: examples
	@tools/install test
	@$(PYTHON) tests/run.py --soak

# One seed with its whole story, or many seeds in brief.
sim: build
	@if [ -n "$(SEED)" ]; then build/tests/sim/trivet_sim --seed $(SEED) --verbose; \
	else build/tests/sim/trivet_sim --seeds $(SEEDS); fi

demo: examples
	@examples/email/demo.sh

fuzz:
	@tools/install build fuzz
	@test -f build-fuzz/build.ninja || CC=clang CXX=clang++ meson setup build-fuzz --buildtype=debugoptimized \
		-Dfuzz=true -Db_sanitize=address,undefined -Db_lundef=false
	@ninja -C build-fuzz --quiet fuzzers
	@tools/fuzz build-fuzz $(SECONDS)

fmt:
	@tools/install lint
	@tools/sources c | xargs -r clang-format -i

lint: build
	@tools/install lint
	@tools/lint

clean:
	@rm -rf build build-asan build-fuzz
