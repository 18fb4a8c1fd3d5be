# SPDX-License-Identifier: Apache-2.0
# dsvl: read documents with DeepSeek-VL models on CPUs.   make | check | demo | bench | lint | asan | fuzz | install
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
PKGS_FILTERS := cairo libtiff-4 libjpeg
PKGS_PDF := poppler-glib cairo
ALL_CFLAGS = -std=c11 -D_GNU_SOURCE -I. -fPIC -fvisibility=hidden -ffp-contract=off -fno-math-errno -MMD -MP $(WARN) $(CFLAGS) $(SAN)
B ?= build
BIN ?= bin
LIBOUT ?= lib

LIB_O := $(patsubst %.c,$(B)/%.o,$(wildcard lib/*.c))
FILTER_O := $(patsubst %.c,$(B)/%.o,$(filter-out filters/source_pdf.c,$(wildcard filters/*.c)))
KERN_O := $(patsubst %.c,$(B)/%.o,$(wildcard kernels/*.c))
CLI_O := $(patsubst %.c,$(B)/%.o,$(wildcard cmd/cli*.c))
PROGRAMS := $(patsubst cmd/%.c,$(BIN)/%,$(wildcard cmd/dsvl*.c))
TESTS := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/unit/test_*.c tests/kernels/test_*.c tests/filters/test_*.c))
BENCHES := $(patsubst tests/%.c,$(B)/tests/%,$(wildcard tests/bench/bench_*.c))
KERN_SO := $(LIBOUT)/libdsvl-kernels.so
LIBS_BASE = $(shell pkg-config --libs $(PKGS)) -lm
LIBS_FILTERS = $(shell pkg-config --libs $(PKGS_FILTERS))
# Programs find the shared kernels at ../lib both in the build tree and under a prefix.
RPATH := -Wl,--as-needed,-rpath,'$$ORIGIN/../lib'

.PHONY: all check demo bench lint asan fuzz install clean setup
all: $(PROGRAMS) $(LIBOUT)/libdsvl.so

$(B)/kernels/%_avx2.o: ISA = -mavx2 -mfma -mf16c
$(B)/kernels/%_avx512.o: ISA = -mavx512f -mavx512bw -mavx512dq -mavx512vl -mfma -mf16c
$(B)/kernels/%.o: OMP = -fopenmp
$(B)/filters/%_avx2.o: ISA = -mavx2 -mfma
$(B)/filters/%.o: PKGC = $(shell pkg-config --cflags $(PKGS_FILTERS))
$(B)/filters/source_pdf.o: PKGC = $(shell pkg-config --cflags $(PKGS_PDF))
$(B)/%.o: %.c
	@mkdir -p $(@D)
	$(CC) $(ALL_CFLAGS) $(OMP) $(ISA) $(PKGC) -c $< -o $@

$(KERN_SO): $(KERN_O)
	@mkdir -p $(@D)
	$(CC) -shared -fopenmp $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,-soname,libdsvl-kernels.so -o $@ $^ -ldnnl -lm
$(B)/libdsvl.a: $(LIB_O)
	rm -f $@ && $(AR) rcs $@ $^
$(B)/libfilters.a: $(FILTER_O)
	rm -f $@ && $(AR) rcs $@ $^
$(LIBOUT)/libdsvl.so: $(LIB_O) $(KERN_SO)
	$(CC) -shared $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,-soname,libdsvl.so -Wl,--as-needed,-rpath,'$$ORIGIN' -o $@ $(LIB_O) $(KERN_SO) $(LIBS_BASE)

LINK = $(CC) $(CFLAGS) $(SAN) $(LDFLAGS) $(RPATH) -o $@
$(BIN)/dsvl-rasterize: $(B)/cmd/dsvl-rasterize.o $(B)/filters/source_pdf.o $(CLI_O) $(B)/libfilters.a $(B)/libdsvl.a $(KERN_SO)
	@mkdir -p $(@D)
	$(LINK) $(filter %.o %.a,$^) $(KERN_SO) $(shell pkg-config --libs $(PKGS_PDF)) $(LIBS_FILTERS) $(LIBS_BASE)
$(BIN)/%: $(B)/cmd/%.o $(CLI_O) $(B)/libfilters.a $(B)/libdsvl.a $(KERN_SO)
	@mkdir -p $(@D)
	$(LINK) $(filter %.o %.a,$^) $(KERN_SO) $(LIBS_FILTERS) $(LIBS_BASE)
$(B)/tests/%: $(B)/tests/%.o $(B)/libfilters.a $(B)/libdsvl.a $(KERN_SO)
	@mkdir -p $(@D)
	$(CC) $(CFLAGS) $(SAN) $(LDFLAGS) -Wl,--as-needed,-rpath,'$(CURDIR)/$(LIBOUT)' -o $@ $(filter %.o %.a,$^) $(KERN_SO) $(LIBS_FILTERS) $(LIBS_BASE) -fopenmp -ldnnl

check: all $(TESTS)
	tests/run.sh $(TESTS)

clean:
	rm -rf $(B) $(BIN) $(LIBOUT)/*.so

.SECONDARY:
-include $(shell find $(B) -name '*.d' 2>/dev/null)
