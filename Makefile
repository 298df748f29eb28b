# For POSIX make and any C compiler. `make run` and `make test` need nothing else; tests/tools/install installs what
# `make check` needs.
.POSIX:
CC = cc
CFLAGS = -O1 -g
ST_CFLAGS = -O2 -g
LDFLAGS =
PREFIX = /usr/local
LIBDIR = $(PREFIX)/lib
DESTDIR =
JOBS = 2
FUZZ_SECONDS = 20
URL =
HOMEPAGE =
MAINTAINER =
LOGS = build/check
ONLY =
FULL =
RENEW =

# shell patterns; override them to run a subset: make asan TESTS=tests/json.c HARNESSES= TOOL=
TESTS = tests/*.c tests/faults/*.c
HARNESSES = fuzz/fuzz_*.c
TOOL = tests/tool*.sh
# `make check` runs less of these than `make nightly`: no tool scripts where starting a process is slow, and one of THIN
# random rounds under emulators
SLOW_TOOL = $(TOOL)
THIN = 1
MACHINES = armhf arm64 riscv64 ppc64 ppc s390x mips m68k
PROGRAMS = JOBS=$(JOBS) sh tests/tools/programs.sh

ST_SOURCES = examples/st/main.c examples/st/ls.c examples/st/check.c examples/st/cat.c examples/st/show.c \
	examples/st/diff.c examples/st/copy.c examples/st/merge.c examples/st/shard.c examples/st/convert.c \
	examples/st/meta.c examples/st/pack.c examples/st/put.c examples/st/repair.c examples/st/lenient.c examples/st/lenient_json.c \
	examples/st/damaged.c examples/st/transfer.c examples/st/choose.c examples/st/rename.c examples/st/pairs.c examples/st/losses.c \
	examples/st/scales.c examples/st/values.c examples/st/numpy.c examples/st/stats.c examples/st/save.c examples/st/progress.c \
	examples/st/report.c examples/st/open.c examples/st/virtual.c examples/st/join.c examples/st/pieces.c \
	examples/st/text.c examples/common/text.c examples/st/bytes.c examples/st/sys.c examples/common/lib.c examples/st/hash.c examples/st/verify.c \
	examples/st/sha256.c examples/st/edit.c examples/st/tree.c examples/st/help.c examples/common/json.c examples/st/input.c \
	examples/st/lora.c examples/st/lora_names.c examples/st/lora_base.c examples/st/lora_ldm.c examples/st/lora_config.c \
	examples/st/index.c

# targets of `check`: fuzz, which runs alone, then the slowest first
CHECKS = fuzz examples wine asan msan i686 emulated-quick matrix warnings cover wasm-quick faults test interop callsites cases \
	foreign chips kernels mounts hostile bench-count symbols tsan arm builtins rooms format
# additional targets of `nightly`: slow or rarely different environments, all of F32, static analysis, proofs
NIGHTLY = valgrind emulated wine32 msvc wasm compilers musl tcc exhaustive analyze proofs proofs-planted

SANITIZE = -g -O1 -fno-omit-frame-pointer -fno-sanitize-recover=all \
	-fsanitize=address,undefined,unsigned-integer-overflow,implicit-conversion

help:
	@echo 'make run        build the tool build/st, make a small model, list it'
	@echo 'make test       build and run all tests; needs a C compiler and make'
	@echo 'make check      the checks below but those of nightly, two at a time; tests/tools/install installs the tools.'
	@echo '                Shorter runs under emulators than `make nightly`:'
	@echo '  fuzz          each fuzzer for FUZZ_SECONDS=20 under ASan and UBSan'
	@echo '  asan msan valgrind   the tests under clang ASan + UBSan, clang MSan, valgrind'
	@echo '  faults        makes every system call of saving fail, or kills the program there; needs strace'
	@echo '  tsan          several threads on one writer and one model, and in st_load, under the thread sanitizer'
	@echo '  cover         the tests under gcov: all lines and branches of rooms 6 to 12 must be executed'
	@echo '  proofs        Frama-C proves contracts of arithmetic, UTF-8 and JSON; needs frama-c, why3, z3, cvc4'
	@echo '  proofs-planted   plants bugs, each of which must leave a goal without a proof'
	@echo '  i686 s390x arm64   the tests on a 32-bit, on a big-endian and on a 64-bit ARM machine'
	@echo '  emulated      the tests on $(MACHINES)'
	@echo '  emulated-quick   some of them on s390x, mips and m68k'
	@echo '  wine wine32   the tests on 64-bit and on 32-bit Windows: mingw-w64 and Wine'
	@echo '  foreign       macOS, FreeBSD, NetBSD, OpenBSD: compiled by zig cc, not run; FULL=1: all dialects and machines'
	@echo '  msvc          the tests with clang in MSVC mode: its dialect and its ABI, under Wine'
	@echo '  wasm wasm-quick   the tests, some of them, as WebAssembly in node: Emscripten, WASI; a module without any library'
	@echo '  tcc musl      the tests with another compiler, with another C library'
	@echo '  kernels mounts   without system calls that kernels, containers and mounts may lack; on odd file systems'
	@echo '  chips         a program on Cortex-M0, M4, M33, RV32 and AVR (QEMU, simavr); its code and stack'
	@echo '  compilers     the tests with more compilers, dialects and flags, and as C++'
	@echo '  warnings      every dialect of every compiler, without warnings'
	@echo '  matrix        every config macro alone, with ST_STATIC, and all together'
	@echo '  hostile       among hostile system headers, twice, in two files, as C++'
	@echo '  arm symbols   size and stack on a Cortex-M4; exported and imported symbols'
	@echo '  builtins      which runtime functions Cortex-M, RV32 and wasm32 need: those of the manual'
	@echo '  rooms format  the structure of the header; clang-format'
	@echo '  interop callsites cases examples   the reference package; tests/callsites; tests/cases; examples/'
	@echo 'make nightly    all of these in full, with long fuzzing; writes tests/NIGHTLY.md. Only nightly:'
	@echo '                $(NIGHTLY)'
	@echo 'make bench      compares the speed with other libraries; ONLY="open find" measures only these workloads'
	@echo 'make bench-embed    compares examples/embed with candle; needs cargo and minutes'
	@echo 'make bench-table    prints the table of the README from the last results'
	@echo 'make size       prints lines, code size, stack depth'
	@echo 'make inspector  build/inspector.html: a page that looks into files, in any browser'
	@echo 'make install    header, st, its manual, pkg-config file, CMake package under PREFIX=$(PREFIX) (DESTDIR too)'
	@echo 'make lib        a shared library in build/lib; `make install-lib` installs it beside the rest'
	@echo 'make uninstall  removes what install and install-lib installed'
	@echo 'make docs       the documentation as one page: build/docs/index.html; needs python3'
	@echo 'make release    compares all version numbers; header, SHA-256, source archive in build/release'
	@echo 'make debian     builds Debian packages in build/debian and tests them; needs debhelper, lintian'
	@echo 'make clean      remove build/'

# ---- the tool -------------------------------------------------------------------------------------------------

run: build/st build/demo.safetensors
	build/st ls build/demo.safetensors

build/st: safetensors.h examples/threads.h examples/st/st.h examples/st/lenient.h examples/st/lenient_json.h \
		examples/st/sha256.h examples/common/json.h examples/common/text.h examples/st/lora.h $(ST_SOURCES)
	@mkdir -p build
	$(CC) $(ST_CFLAGS) -I. -pthread $(ST_SOURCES) $(LDFLAGS) -o $@

# eight bytes of length (\350 is 232), as many bytes of header, then the tensors' bytes
DEMO = {"__metadata__":{"made by":"make run"},"embed.weight":{"dtype":"BF16","shape":[4,2],"data_offsets":[0,16]}, \
	"norm.bias":{"dtype":"F32","shape":[2],"data_offsets":[16,24]},"ids":{"dtype":"U8","shape":[2,3],"data_offsets":[24,30]}}

build/demo.safetensors:
	@mkdir -p build
	@printf '\350\0\0\0\0\0\0\0%-232s' '$(DEMO)' >$@
	@printf '\200\77\0\100\100\100\200\100\240\100\300\100\340\100\0\101\0\0\0\77\0\0\0\277\1\2\3\4\5\6' >>$@

# ---- example programs: make build/examples/NAME --------------------------------------------------------------

include examples/programs.mk

# the page that looks into files; needs clang-19 and lld-19
inspector build/inspector.html: safetensors.h
	@sh examples/inspector/build.sh
	@echo "build/inspector.html: open it in a browser"

# ---- tests ----------------------------------------------------------------------------------------------------

test:
	@CC="$(CC)" CFLAGS="$(CFLAGS)" LDFLAGS="$(LDFLAGS)" $(PROGRAMS) test $(TESTS) $(HARNESSES) $(TOOL)

check:
	@MAKE="$(MAKE) THIN=9 SLOW_TOOL=tests/tool.sh" EXAMPLE_FUZZ_SECONDS=2 COUNT_ONLY="parse open" JOBS=$(JOBS) \
	    sh tests/tools/steps.sh $(LOGS) $(CHECKS)

# ONLY="parse open": only these workloads; the others keep their results
bench:
	@command -v python3 >/dev/null || { echo "bench: needs python3"; exit 1; }
	@CC="$(CC)" PYTHONDONTWRITEBYTECODE=1 python3 tests/bench/bench.py $(ONLY)

# prints the README's table from the last results of `make bench`
bench-table:
	@PYTHONDONTWRITEBYTECODE=1 python3 tests/bench/bench.py --table

# RENEW=1: rewrites the file of expected counts
bench-count:
	@RENEW=$(RENEW) sh tests/bench/count

nightly:
	@MAKE="$(MAKE)" JOBS=$(JOBS) sh tests/tools/nightly.sh $(CHECKS) $(NIGHTLY)

asan:
	@CC=clang-14 CFLAGS="$(SANITIZE)" WHOLE_CFLAGS=-O0 \
	    ASAN_OPTIONS=detect_stack_use_after_return=1:strict_string_checks=1 \
	    $(PROGRAMS) asan $(TESTS) $(HARNESSES) $(SLOW_TOOL)

# clang 14's runtime does not intercept fstat64, and reports its results as uninitialized
msan:
	@CC=clang-19 CFLAGS="-g -O1 -fsanitize=memory -fno-sanitize-recover=all" WHOLE_CFLAGS=-O0 \
	    $(PROGRAMS) msan $(TESTS) $(HARNESSES)

tsan:
	@CC=clang-14 CFLAGS="-g -O1 -fsanitize=thread -fno-sanitize-recover=all" $(PROGRAMS) tsan tests/threads.c \
	    tests/load_threads.c

# runs another program; tests/faults/*.c do the same in one process
faults:
	@CC="$(CC)" sh tests/faults/system.sh

valgrind:
	@CC=gcc CFLAGS="-g -O1" RUN="valgrind -q --error-exitcode=9 --leak-check=full --show-leak-kinds=all" LIMIT=3600 \
	    $(PROGRAMS) valgrind $(TESTS) $(HARNESSES)

wine:
	@JOBS=$(JOBS) ST_THIN=$(THIN) sh tests/tools/wine.sh $(TESTS) $(HARNESSES) $(SLOW_TOOL)

wine32:
	@BITS=32 JOBS=$(JOBS) ST_THIN=$(THIN) sh tests/tools/wine.sh $(TESTS) $(HARNESSES) $(SLOW_TOOL)

msvc:
	@JOBS=$(JOBS) ST_THIN=$(THIN) sh tests/platforms/msvc.sh $(TESTS)

# MACHINES="mips m68k": only these
emulated:
	@JOBS=$(JOBS) ST_THIN=$(THIN) sh tests/platforms/emulated.sh "$(MACHINES)" $(TESTS) $(HARNESSES) $(SLOW_TOOL)

# for `make check`: the tests to which byte order, alignment and the size of a pointer matter, without the slow ones
emulated-quick:
	@JOBS=$(JOBS) ST_THIN=9 sh tests/platforms/emulated.sh "s390x mips m68k" tests/conformance.c tests/numbers.c tests/kernels.c \
	    tests/json.c tests/edit.c tests/model.c tests/stream.c tests/sharded.c tests/huge.c tests/dtypes.c tests/access.c

s390x arm64 i686:
	@JOBS=$(JOBS) ST_THIN=$(THIN) sh tests/platforms/emulated.sh $@ $(TESTS) $(HARNESSES) $(SLOW_TOOL)

# tests every possible value; takes minutes
exhaustive:
	@CC="$(CC)" CFLAGS="-O2 -g" LIMIT=7200 $(PROGRAMS) exhaustive tests/exhaustive/*.c

tcc:
	@CC=tcc CFLAGS=-g $(PROGRAMS) tcc $(TESTS) $(HARNESSES) $(TOOL)

musl:
	@CC="musl-gcc -static" CFLAGS="-O1 -g" $(PROGRAMS) musl $(TESTS) $(HARNESSES) $(TOOL)

# system calls that fail as on old kernels and in containers; file systems that are full, odd or read-only
kernels mounts:
	@CC="$(CC)" sh tests/platforms/$@.sh

# proofs by Frama-C; tests/proofs
proofs:
	@sh tests/proofs/run.sh

proofs-planted:
	@sh tests/proofs/run.sh planted

# FULL=1: every dialect on every system, and the tool linked
foreign:
	@FULL=$(FULL) sh tests/platforms/foreign.sh

# a program for microcontrollers; its output, and limits of code and stack
chips:
	@sh tests/platforms/chips.sh

wasm:
	@JOBS=$(JOBS) ST_THIN=$(THIN) sh tests/platforms/wasm.sh $(TESTS)

# for `make check`: the tests of files
wasm-quick:
	@JOBS=$(JOBS) ST_THIN=9 sh tests/platforms/wasm.sh tests/conformance.c tests/model.c tests/stream.c tests/edit.c \
	    tests/overwrite.c tests/sharded.c tests/directory.c tests/hub.c tests/load.c

# ONLY="lto fast": only these runs
compilers:
	@JOBS=$(JOBS) ONLY="$(ONLY)" sh tests/platforms/compilers.sh

cover:
	@TESTS="$(TESTS)" JOBS=$(JOBS) sh tests/tools/cover.sh

fuzz:
	@CFLAGS="$(SANITIZE)" FUZZ_SECONDS=$(FUZZ_SECONDS) JOBS=$(JOBS) sh tests/tools/fuzz.sh

# not among the harnesses, which every platform builds: pt2st needs POSIX and zlib
fuzz-pt2st:
	@FUZZ_SECONDS=$(FUZZ_SECONDS) sh fuzz/pt2st/run.sh

interop: build/st
	@sh tests/tools/interop.sh

callsites:
	@sh tests/tools/callsites.sh

cases: build/st
	@command -v python3 >/dev/null || { echo "skipped cases: no python3 here"; echo "cases: 0 passed, 0 failed, 1 skipped"; exit; }; \
	    CC="$(CC)" PYTHONDONTWRITEBYTECODE=1 python3 tests/cases/run

# sentences a second of examples/embed and of candle, on one core; builds candle with cargo, which takes minutes
bench-embed: build/examples/embed
	@PYTHONDONTWRITEBYTECODE=1 python3 tests/bench/embed/bench.py

# ONLY="vad mpi": only the tests of these programs
examples: build/st
	@tests/tools/install examples || echo "examples: going on without what could not be installed"
	@MAKE="$(MAKE)" JOBS=$(JOBS) ONLY="$(ONLY)" sh tests/tools/examples.sh

# ---- the header itself ----------------------------------------------------------------------------------------

warnings matrix hostile arm symbols builtins analyze:
	@sh tests/compile/$@.sh

rooms format size:
	@sh tests/tools/$@.sh

# ---- install --------------------------------------------------------------------------------------------------

PACKAGE = PREFIX="$(PREFIX)" LIBDIR="$(LIBDIR)" DESTDIR="$(DESTDIR)" CC="$(CC)" CFLAGS="$(ST_CFLAGS)" \
	LDFLAGS="$(LDFLAGS)" sh tests/tools/package.sh

install: build/st
	$(PACKAGE) install

lib:
	$(PACKAGE) lib

install-lib: lib
	$(PACKAGE) install-lib

uninstall:
	$(PACKAGE) uninstall

docs:
	@mkdir -p build/docs
	@PYTHONDONTWRITEBYTECODE=1 python3 tests/tools/docs.py build/docs/index.html
	@echo build/docs/index.html

# URL=, HOMEPAGE=, MAINTAINER=: also fills in the recipes of examples/integration
release: build/st
	@MAKE="$(MAKE)" CC="$(CC)" URL="$(URL)" HOMEPAGE="$(HOMEPAGE)" MAINTAINER="$(MAINTAINER)" sh tests/tools/release.sh

# builds the Debian packages, examines them with lintian and tests them when they are installed; minutes, as root
debian: build/st
	@MAKE="$(MAKE)" sh tests/tools/debian.sh

clean:
	rm -rf build

.PHONY: help run inspector test check bench bench-table bench-count bench-embed nightly asan msan tsan faults valgrind \
	wine wine32 msvc emulated emulated-quick s390x i686 arm64 exhaustive tcc musl compilers wasm wasm-quick chips foreign proofs \
	proofs-planted kernels mounts cover fuzz fuzz-pt2st interop callsites cases examples warnings matrix hostile arm symbols \
	builtins analyze rooms format size install lib install-lib uninstall docs release debian clean
