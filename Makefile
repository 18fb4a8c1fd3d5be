# SPDX-License-Identifier: Apache-2.0
# dsvl: read documents with DeepSeek-VL models on CPUs.   make | check | eval | demo | bench | lint | asan | fuzz | install
.DEFAULT_GOAL := all
.DELETE_ON_ERROR:
MAKEFLAGS += --no-builtin-rules

PREFIX ?= /usr/local
BINDIR ?= $(PREFIX)/bin
LIBDIR ?= $(PREFIX)/lib
INCLUDEDIR ?= $(PREFIX)/include
DATADIR ?= $(PREFIX)/share/dsvl
MANDIR ?= $(PREFIX)/share/man
VERSION := $(shell sed -n 's/^\#define DSVL_VERSION "\(.*\)"/\1/p' lib/dsvl.h)

CC ?= cc
ifeq ($(origin CC),default)
CC := cc
endif
CFLAGS ?= -O2 -g
WARN := -Wall -Wextra -Wcast-qual -Wcast-align -Wshadow -Wstrict-aliasing=1 -Wswitch-enum -Wstrict-prototypes \
	-Wundef -Wpointer-arith -Wformat=2 -Wvla -Wredundant-decls -Wmissing-prototypes $(if $(CI),-Werror)
PKGS := jansson libpcre2-8
PKGS_FILTERS := cairo fontconfig libtiff-4 libjpeg libseccomp
PKGS_PDF := poppler-glib gio-2.0 cairo
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -pthread -I. -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -MMD -MP $(WARN) $(CFLAGS) $(SAN)
B ?= build
BIN ?= bin
LIBOUT ?= lib

LIB_O := $(patsubst %.c,$(B)/%.o,$(wildcard lib/*.c))
FILTER_O := $(patsubst %.c,$(B)/%.o,$(filter-out filters/source_pdf.c,$(wildcard filters/*.c)))
KERN_O := $(patsubst %.c,$(B)/%.o,$(wildcard kernels/*.c))
CLI_O := $(patsubst %.c,$(B)/%.o,$(wildcard cmd/cli*.c))
CLI = $(B)/libcli.a
RUN_O := $(patsubst %.c,$(B)/%.o,$(wildcard cmd/run*.c))
PROGRAMS := $(patsubst cmd/%.c,$(BIN)/%,$(wildcard cmd/dsvl*.c))
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c tests/kernels/test_*.c tests/filters/test_*.c))
BENCHES := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/bench/bench_*.c))
KERN_SO := $(LIBOUT)/libdsvl-kernels.so
LIBS_BASE = $(shell pkg-config --libs $(PKGS)) -lm
LIBS_FILTERS = $(shell pkg-config --libs $(PKGS_FILTERS))
# Programs find the shared kernels at ../lib both in the build tree and under a prefix.
RPATH := -Wl,--as-needed,-rpath,'$$ORIGIN/../lib'

.PHONY: all check eval demo bench lint asan check-asan fuzz install clean
all: $(PROGRAMS) $(LIBOUT)/libdsvl.so

ISA_AVX2 := -mavx2 -mfma -mf16c
ISA_AVX512 := -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c
ISA_OF = $(if $(filter %_avx2.c,$<),$(ISA_AVX2))$(if $(filter %_avx512.c,$<),$(ISA_AVX512)) \
	$(if $(filter %/int8_avx512.c,$<),-mavx512vnni)
$(B)/filters/%.o: PKGC = $(shell pkg-config --cflags $(PKGS_FILTERS))
$(B)/cmd/rasterize_jail.o: PKGC = $(addprefix -DPOPPLER_DATADIR=,$(patsubst %,'"%"',$(shell pkg-config --variable=poppler_datadir poppler-data 2>/dev/null)))
$(B)/filters/source_pdf.o: PKGC = $(shell pkg-config --cflags $(PKGS_PDF))
$(B)/%.o: %.c
	@mkdir -p $(@D)
	@echo 'CC   $<'
	@$(CC) $(ALL_CFLAGS) $(ISA_OF) $(PKGC) -c $< -o $@

$(KERN_SO): $(KERN_O)
	@mkdir -p $(@D)
	@echo 'LINK $@'
	@$(CC) -shared -pthread $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,-soname,libdsvl-kernels.so -o $@ $^ -ldnnl -lgomp -lm
$(B)/libdsvl.a: $(LIB_O)
	@rm -f $@ && $(AR) rcs $@ $^
$(B)/libcli.a: $(CLI_O)
	@rm -f $@ && $(AR) rcs $@ $^
$(B)/libfilters.a: $(FILTER_O)
	@rm -f $@ && $(AR) rcs $@ $^
$(LIBOUT)/libdsvl.so: $(LIB_O) $(KERN_SO)
	@echo 'LINK $@'
	@$(CC) -shared $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,-soname,libdsvl.so -Wl,--as-needed,-rpath,'$$ORIGIN' -o $@ $(LIB_O) $(KERN_SO) $(LIBS_BASE)

LINK = $(CC) $(CFLAGS) $(SAN) $(LDFLAGS) $(RPATH) -o $@
# Symbols are looked up in the order of the libraries: first those that define most of them, for a shorter start.
FIRST_LIBS = $(if $(SAN),,-Wl,--no-as-needed -lpoppler -l:libstdc++.so.6 -lc -Wl,--as-needed)
$(BIN)/dsvl-rasterize: $(B)/cmd/dsvl-rasterize.o $(patsubst %.c,$(B)/%.o,$(wildcard cmd/rasterize*.c)) $(B)/filters/source_pdf.o $(CLI) $(B)/libfilters.a $(B)/libdsvl.a $(KERN_SO)
	@mkdir -p $(@D)
	@echo 'LINK $@'
	@$(LINK) $(FIRST_LIBS) $(filter %.o %.a,$^) $(KERN_SO) $(shell pkg-config --libs $(PKGS_PDF)) $(LIBS_FILTERS) $(LIBS_BASE)
$(BIN)/dsvl: $(RUN_O)
$(BIN)/%: $(B)/cmd/%.o $(CLI) $(B)/libfilters.a $(B)/libdsvl.a $(KERN_SO)
	@mkdir -p $(@D)
	@echo 'LINK $@'
	@$(LINK) $(filter %.o,$^) $(filter %.a,$^) $(KERN_SO) $(LIBS_FILTERS) $(LIBS_BASE)
$(B)/tests/bench/%.o: PKGC = -fopenmp
$(B)/tests/%: $(B)/tests/%.o $(B)/libfilters.a $(B)/libdsvl.a $(KERN_SO)
	@mkdir -p $(@D)
	@echo 'LINK $@'
	@$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,--as-needed,-rpath,'$(CURDIR)/$(LIBOUT)' -o $@ $(filter %.o %.a,$^) $(KERN_SO) $(LIBS_FILTERS) $(LIBS_BASE) -fopenmp -ldnnl

# What a user types first; it installs what is missing, builds, and reads the table of a shipped report.
DEMO = dsvl-rasterize --dpi 216 --pages 1 tests/data/report.pdf | dsvl-regions | dsvl-tile | dsvl-encode \
	| dsvl-answer --grounded --text -p 'Extract the table as CSV.'
demo: ; @.ci/setup build
	@$(MAKE) --no-print-directory all
	@printf '%s\n' "$$ $(DEMO)"
	@PATH=$(CURDIR)/$(BIN):$$PATH; $(DEMO)

check:
	@.ci/setup check
	@$(MAKE) --no-print-directory all $(TESTS)
	tests/run.sh $(TESTS)

# The whole suite again under the address and undefined-behaviour sanitizers, in a tree of its own. What is out of memory
# gets NULL, as without them, and is not ended by the sanitizer: tests of limits look at what comes of it.
asan:
	@.ci/setup check
	ASAN_OPTIONS=detect_leaks=1:handle_segv=0:allocator_may_return_null=1 \
	UBSAN_OPTIONS=halt_on_error=1:print_stacktrace=1 $(MAKE) --no-print-directory \
		B=build/asan BIN=build/asan/bin LIBOUT=build/asan/lib SAN='-fsanitize=address,undefined -fno-omit-frame-pointer' \
		CFLAGS='-O1 -g' check-asan
check-asan: all $(TESTS)
	ln -sfn $(CURDIR)/models build/asan/models
	DSVL_KILLS=8 DSVL_FULL=5 TEST_BIN=$(CURDIR)/$(BIN) tests/run.sh $(TESTS)

# How right the answers to the held-out pages are; EVAL=text: those whose name contains it, MODEL=folder: other weights.
eval:
	@.ci/setup check
	@$(MAKE) --no-print-directory all
	@tests/venv.sh
	@tests/.venv/bin/python tests/eval/run.py

bench:
	@.ci/setup check
	@$(MAKE) --no-print-directory all $(BENCHES)
	tests/bench/run.sh $(BENCHES)

SOURCES := $(wildcard cmd/*.[ch] filters/*.[ch] lib/*.[ch] kernels/*.[ch] tests/*/*.[ch])
lint:
	@.ci/setup lint
	clang-format --dry-run -Werror $(SOURCES)
	cppcheck -q --std=c11 --enable=warning,performance,portability --inline-suppr --error-exitcode=1 \
		--suppress=missingIncludeSystem -D_GNU_SOURCE -I. cmd filters lib kernels
	@$(MAKE) --no-print-directory $(patsubst %.c,$(B)/%.tidy,$(wildcard cmd/*.c filters/*.c lib/*.c kernels/*.c))
	shellcheck .ci/run .ci/setup $(wildcard man/examples/dsvl-* tests/*.sh tests/*/*.sh)
	mandoc -Tlint -W warning man/*.[157]
$(B)/%.tidy: %.c .clang-tidy
	@mkdir -p $(@D)
	@echo 'TIDY $<'
	@clang-tidy --quiet $< -- -std=c11 -D_GNU_SOURCE -I. $(ISA_OF) \
		$(shell pkg-config --cflags $(PKGS) $(PKGS_FILTERS) $(PKGS_PDF)) >$@.log 2>&1 || { cat $@.log; exit 1; }
	@touch $@

# Fuzzers of everything that parses bytes nobody vouches for; SECONDS_EACH seconds each.
SECONDS_EACH ?= 600
FUZZERS := $(patsubst tests/fuzz/%.c,$(B)/fuzz/%,$(wildcard tests/fuzz/fuzz_*.c))
FUZZ_O := $(patsubst %.c,$(B)/fuzz/%.o,$(wildcard lib/*.c) $(filter-out filters/source_pdf.c,$(wildcard filters/*.c)))
FUZZ_CC = clang -g -fsanitize=address,undefined -fno-sanitize-recover=undefined
$(B)/fuzz/%.o: %.c
	@mkdir -p $(@D)
	@echo 'FUZZ $<'
	@$(FUZZ_CC) -fsanitize=fuzzer-no-link -std=c11 -D_GNU_SOURCE -I. -O1 -w -MMD -MP $(ISA_OF) \
		$(shell pkg-config --cflags $(PKGS) $(PKGS_FILTERS)) -c $< -o $@
$(B)/fuzz/fuzz_%: $(B)/fuzz/tests/fuzz/fuzz_%.o $(FUZZ_O) $(KERN_SO)
	@echo 'LINK $@'
	@$(FUZZ_CC) -fsanitize=fuzzer $^ -Wl,-rpath,'$(CURDIR)/$(LIBOUT)' $(LIBS_FILTERS) $(LIBS_BASE) -o $@
fuzz:
	@.ci/setup fuzz
	@$(MAKE) --no-print-directory $(FUZZERS)
	tests/fuzz/run.sh $(SECONDS_EACH) $(FUZZERS)

install: all
	install -d $(DESTDIR)$(BINDIR) $(DESTDIR)$(LIBDIR)/pkgconfig $(DESTDIR)$(INCLUDEDIR) $(DESTDIR)$(DATADIR)/models/nano \
		$(DESTDIR)$(MANDIR)/man1 $(DESTDIR)$(MANDIR)/man5 $(DESTDIR)$(MANDIR)/man7 \
		$(DESTDIR)$(PREFIX)/share/doc/dsvl
	install -m 755 $(PROGRAMS) $(DESTDIR)$(BINDIR)
	install -m 755 $(KERN_SO) $(LIBOUT)/libdsvl.so $(DESTDIR)$(LIBDIR)
	install -m 644 lib/dsvl.h $(DESTDIR)$(INCLUDEDIR)
	install -m 644 $(wildcard models/nano/*) $(DESTDIR)$(DATADIR)/models/nano
	install -d $(DESTDIR)$(DATADIR)/examples/dataset
	install -m 644 man/examples/dsvl.mk $(DESTDIR)$(DATADIR)
	install -m 755 $(filter-out %/dsvl.mk %/dataset,$(wildcard man/examples/*)) $(DESTDIR)$(DATADIR)/examples
	install -m 644 man/examples/dataset/* $(DESTDIR)$(DATADIR)/examples/dataset
	install -m 644 man/*.1 $(DESTDIR)$(MANDIR)/man1
	install -m 644 man/*.5 $(DESTDIR)$(MANDIR)/man5
	install -m 644 man/*.7 $(DESTDIR)$(MANDIR)/man7
	install -m 644 README.md SECURITY.md NOTICE LICENSES/* $(DESTDIR)$(PREFIX)/share/doc/dsvl
	printf '%s\n' 'prefix=$(PREFIX)' 'libdir=$(LIBDIR)' 'includedir=$(INCLUDEDIR)' '' 'Name: dsvl' \
		'Description: DeepSeek-VL models on CPUs' 'Version: $(VERSION)' 'Libs: -L$${libdir} -ldsvl' \
		'Libs.private: -ldsvl-kernels' 'Cflags: -I$${includedir}' >$(DESTDIR)$(LIBDIR)/pkgconfig/dsvl.pc

clean:
	rm -rf $(B) $(BIN) $(LIBOUT)/*.so

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
