# The everyday verbs. Meson does the work; tools/install brings what is missing. ./run and ./test need not even make.
#
#   make run [ARGS=...]     install, build, run in the foreground       make soak      the long runs
#   make test               everything that must pass                   make fuzz      SECONDS=180 a fuzzer, WIRE_SECONDS=600
#   make asan               the tests under ASan and UBSan              make sim       SEED=7, or SEEDS=1000
#   make tsan               the integration tests under TSan, two runs side by side
#   make bench              Trivet against the originals                make fmt lint clean
#   make demo               the email service on Trivet, from request to mail (examples/email)
#   make tools              redis-cli, kcat and zkCli.sh, to try it     make uninstall what tools/install set up, undone
#
# build/ has the server alone, optimised as a whole; build-test/ the unit tests, whose linking would take minutes that way.

PYTHON = .venv/bin/python
SECONDS = 180
SEEDS = 1000
ARGS =

.DEFAULT_GOAL = build
.PHONY: run build unit examples test bench soak fuzz sim asan tsan demo tools uninstall fmt lint clean

# $(call ninja,FOLDER,TARGETS): quiet when there is nothing to do, ninja's own progress otherwise.
ninja = ninja -C $(1) -n $(2) | grep -q 'no work to do' || ninja -C $(1) $(2)

run: build
	@exec build/trivet $(ARGS)

build:
	@tools/install build
	@test -f build/build.ninja || meson setup build --buildtype=release -Db_lto=true -Dtests=false >/dev/null
	@$(call ninja,build,trivet)

unit: build
	@tools/install unit
	@test -f build-test/build.ninja || meson setup build-test --buildtype=debugoptimized >/dev/null
	@$(call ninja,build-test,tests)

# Apart from the build, so that who only runs Trivet needs none of their libraries.
examples: build
	@tools/install examples
	@test -x build/examples/email/email-worker || meson setup --reconfigure build -Dexamples=true >/dev/null
	@$(call ninja,build,)

test: unit examples
	@tools/install test
	@$(PYTHON) tests/run.py --unit build-test

asan:
	@tools/install test
	@test -f build-asan/build.ninja || meson setup build-asan --buildtype=debugoptimized \
		-Db_sanitize=address,undefined -Db_lundef=false -Dexamples=true >/dev/null
	@$(call ninja,build-asan,)
	@$(PYTHON) tests/run.py --build build-asan --unit build-asan --quick

# A race is found where two threads meet; the unit tests have one.
tsan:
	@tools/install test examples
	@test -f build-tsan/build.ninja || meson setup build-tsan --buildtype=debugoptimized \
		-Db_sanitize=thread -Db_lundef=false -Dexamples=true -Dtests=false >/dev/null
	@$(call ninja,build-tsan,)
	@$(PYTHON) tests/run.py --build build-tsan --races

bench: build
	@tools/install bench
	@$(PYTHON) bench/run.py $(ARGS)

soak: unit examples
	@tools/install test
	@$(PYTHON) tests/run.py --unit build-test --soak

# One seed with its whole story, or many seeds in brief.
sim: unit
	@if [ -n "$(SEED)" ]; then build-test/tests/sim/trivet_sim --seed $(SEED) --verbose; \
	else build-test/tests/sim/trivet_sim --seeds $(SEEDS); fi

demo: examples
	@examples/email/demo.sh

fuzz:
	@tools/install fuzz
	@test -f build-fuzz/build.ninja || CC=clang CXX=clang++ meson setup build-fuzz --buildtype=debugoptimized \
		-Dfuzz=true -Dtests=false -Db_sanitize=address,undefined -Db_lundef=false >/dev/null
	@$(call ninja,build-fuzz,fuzzers)
	@tools/fuzz build-fuzz $(SECONDS)

tools:
	@tools/install tools

uninstall:
	@tools/install --undo

fmt:
	@tools/install lint
	@tools/sources c | xargs -r clang-format -i

lint: build unit
	@tools/install lint
	@tools/lint

clean:
	@rm -rf build build-test build-asan build-tsan build-fuzz
