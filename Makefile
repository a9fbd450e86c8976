# The commands of this tree; `make help` lists them. Meson and Ninja do the work, in build/.

PREFIX       ?= /usr/local
BUILD        ?= build
FUZZ_SECONDS ?= $(if $(MINUTES),$(shell expr $(MINUTES) \* 60),30)
# Warnings end a build where nobody reads them.
WERROR       ?= $(if $(CI),true,false)

ASAN     := $(BUILD)/asan
FUZZ     := $(BUILD)/fuzz
COVERAGE := $(BUILD)/coverage
INJECT   := $(BUILD)/inject

.PHONY: help build demo check interop fuzz coverage proofs inject reproducible timing install clean format tidy build-deps \
	test-deps coverage-deps interop-deps peers
.DEFAULT_GOAL := build

help:
	@echo 'make            build roam into $(BUILD)/'
	@echo 'make demo       watch a connection survive a change of address'
	@echo 'make check      build, and run every test, plainly and under the address and undefined-behaviour sanitizers'
	@echo 'make interop    run the QUIC interop runner'"'"'s cases with every peer, and write the matrix into docs/interop.md'
	@echo 'make fuzz       run each fuzz target for $(FUZZ_SECONDS) s (FUZZ_SECONDS=n or MINUTES=n)'
	@echo 'make coverage   measure which lines and branches of the library the tests go through'
	@echo 'make proofs     have CBMC prove what tests/proofs asserts'
	@echo 'make inject     fail each allocation and system call of the tests and the command (MINUTES=n: as many as that allows)'
	@echo 'make reproducible  build twice in different places, and compare'
	@echo 'make timing     look for secrets in the time that packets take (bench/constant-time)'
	@echo 'make install    install below PREFIX ($(PREFIX)), staged into DESTDIR where that is set'
	@echo 'make format     run clang-format over src, include, tests, examples, bench'
	@echo 'make tidy       run clang-tidy over src'
	@echo 'make clean      remove $(BUILD)/'

build-deps:
	@tools/install-deps build

test-deps:
	@tools/install-deps test

coverage-deps:
	@tools/install-deps coverage

interop-deps:
	@tools/install-deps interop

# Peers from the npm registry. Without the network everything else can still be tested, and the interop tests say
# themselves what they miss.
peers: test-deps
	@[ ! -x tests/interop/install ] || ROAM_INTEROP_DIR=$(abspath $(BUILD))/interop tests/interop/install || \
		echo 'the peers from the npm registry could not be installed' >&2

# Four ways of building the same sources. A build directory is configured once; Ninja looks after later changes.

$(BUILD)/build.ninja: | build-deps
	meson setup $(BUILD) --buildtype=debugoptimized --prefix=$(PREFIX) -Dwerror=$(WERROR)

# What was built before the test packages were there has to look for them once more.
$(BUILD)/.tested: | test-deps $(BUILD)/build.ninja
	meson setup --reconfigure $(BUILD) -Dtests=enabled -Dwerror=$(WERROR)
	@touch $@

# The other compiler, so that both read every line.
$(ASAN)/build.ninja: | test-deps
	CC=clang meson setup $(ASAN) --buildtype=debugoptimized -Db_sanitize=address,undefined -Dtests=enabled \
		-Dwerror=true

$(FUZZ)/build.ninja: | test-deps
	CC=clang meson setup $(FUZZ) --buildtype=debugoptimized -Db_sanitize=address,undefined -Dfuzz=true

# Not optimized: a counter for each line that was written.
$(COVERAGE)/build.ninja: | coverage-deps
	meson setup $(COVERAGE) --buildtype=plain -Db_coverage=true -Dc_args='-O0 -g1' -Dtests=enabled

build: $(BUILD)/build.ninja
	@ninja -C $(BUILD)

demo: $(BUILD)/build.ninja
	@ninja -C $(BUILD) roam
	@$(BUILD)/roam demo

# Both runs happen, whatever the first one says.
check: peers $(BUILD)/.tested $(ASAN)/build.ninja
	ninja -C $(BUILD)
	ninja -C $(ASAN)
	@status=0; export ROAM_INTEROP_DIR=$(abspath $(BUILD))/interop; \
	meson test -C $(BUILD) --no-rebuild --print-errorlogs || status=1; \
	meson test -C $(ASAN) --no-rebuild --print-errorlogs || status=1; \
	exit $$status

# As a client and as a server, with every peer: some twenty minutes on two processors.
interop: interop-deps $(BUILD)/build.ninja
	@ninja -C $(BUILD) roam
	ROAM=$(abspath $(BUILD))/roam ROAM_INTEROP_DIR=$(abspath $(BUILD))/interop \
		tests/interop/matrix --write docs/interop.md

fuzz: $(FUZZ)/build.ninja
	@ninja -C $(FUZZ)
	@tools/run-fuzzers $(FUZZ) $(FUZZ_SECONDS)

reproducible: | build-deps
	tools/check-reproducible

timing: $(BUILD)/build.ninja
	@ninja -C $(BUILD) bench/constant-time
	@$(BUILD)/bench/constant-time

# Counters add up from run to run: these begin at none.
coverage: $(COVERAGE)/build.ninja
	@ninja -C $(COVERAGE)
	@find $(COVERAGE) -name '*.gcda' -delete
	meson test -C $(COVERAGE) --no-rebuild --print-errorlogs --timeout-multiplier 3 \
		--suite unit --suite fuzz --suite proofs --suite sim
	@tools/coverage $(COVERAGE)

proofs:
	@tools/run-proofs

# As a compiler whose sanitizer is a library of its own has it, so that the failing calls stand in front of that.
$(INJECT)/build.ninja: | test-deps
	CC=gcc meson setup $(INJECT) --buildtype=debugoptimized -Db_sanitize=address,undefined -Dtests=enabled

inject: $(INJECT)/build.ninja
	@ninja -C $(INJECT)
	CC=gcc ROAM_BUILD=$(abspath $(INJECT)) tests/inject/run $(if $(MINUTES),--seconds $(shell expr $(MINUTES) \* 60))

install: $(BUILD)/build.ninja
	@meson configure $(BUILD) -Dprefix=$(PREFIX)
	@ninja -C $(BUILD)
	meson install -C $(BUILD) --no-rebuild
	@[ -n "$(DESTDIR)" ] || ldconfig 2>/dev/null || true

clean:
	rm -rf $(BUILD)

format:
	@command -v clang-format >/dev/null || { echo 'clang-format is missing: apt-get install clang-format'; exit 1; }
	@find src include tests examples bench \( -name '*.c' -o -name '*.h' \) -print0 | xargs -0 clang-format -i

tidy: $(BUILD)/build.ninja
	@command -v clang-tidy >/dev/null || { echo 'clang-tidy is missing: apt-get install clang-tidy'; exit 1; }
	@find src -name '*.c' -print0 | xargs -0 -n 1 -P 2 clang-tidy --quiet -p $(BUILD)
