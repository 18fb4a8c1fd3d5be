# SPDX-License-Identifier: Apache-2.0
# Pattern rules for documents, pages, tiles, embeddings and answers; see dsvl-archive(7). Set what is below before
#   include /usr/local/share/dsvl/dsvl.mk
# and ask for $(DSVL_ANSWERS), or for a single file such as build/a.pdf.answers.jsonl. GNU Make 4.
#
# Rebuilt is what depends on a change: of a document, of options (kept in $(DSVL_BUILD)/*.settings), of the questions, and
# of the model's files (noted in a .d file beside each target). What stands between documents and embeddings is large and
# soon made; it is removed when it has served, unless DSVL_KEEP=yes.

DSVL_DOCUMENTS ?=
DSVL_PROMPTS ?= questions.jsonl
DSVL_BUILD ?= build
DSVL_BIN ?=
DSVL_MODEL ?= $(patsubst %/,%,$(firstword $(wildcard $(dir $(lastword $(MAKEFILE_LIST)))models/nano/ \
	$(dir $(lastword $(MAKEFILE_LIST)))../../models/nano/)))
# A model that reads line by line, as the embedded one does, is given what dsvl ask gives it: pages without a text layer are
# read, pages are cut into regions, and answers are grounded.
DSVL_BY_LINES := $(shell grep -ls dsvl_line_pitch_px $(DSVL_MODEL)/config.json)
DSVL_RASTERIZE_FLAGS ?= $(if $(DSVL_BY_LINES),--dpi=224)
DSVL_READ_FLAGS ?=
DSVL_REGIONS_FLAGS ?= --if-needed
DSVL_TILE_FLAGS ?=
DSVL_ENCODE_FLAGS ?=
DSVL_ANSWER_FLAGS ?= $(if $(DSVL_BY_LINES),--grounded)
DSVL_KEEP ?=

# Names of documents go to the shell, and into rules: what either would take as its own is refused.
define dsvl_newline


endef
dsvl_odd := ; & | < > ( ) $$ ` ' " \ * ? [ ] : % \#
$(foreach c,$(dsvl_odd),$(if $(findstring $(c),$(DSVL_DOCUMENTS)),$(error DSVL_DOCUMENTS has a name with $(c) in it, which \
	Make or the shell would not take as a name: use another name, or dsvl run)))
$(if $(findstring $(dsvl_newline),$(DSVL_DOCUMENTS)),$(error DSVL_DOCUMENTS has a name of two lines: use another name, or \
	dsvl run))

DSVL_ANSWERS := $(DSVL_DOCUMENTS:%=$(DSVL_BUILD)/%.answers.jsonl)
DSVL_EMBEDDINGS := $(DSVL_DOCUMENTS:%=$(DSVL_BUILD)/%.embeddings)

# What a stage writes becomes its target when it is whole. Status 1 says that pages failed: they have their records, and
# in the end their lines, so the target stands; anything else leaves no target.
dsvl_run = @mkdir -p $(@D) && echo 'DSVL $@' && { $(DSVL_BIN)$(1) >$@.tmp || [ $$? = 1 ]; } && mv $@.tmp $@
# The depfile: model files, each with an empty rule, so that one that is gone is no error.
dsvl_deps = @{ echo '$@: $(1)'; printf '%s:\n' $(1); } >$@.d
dsvl_files = $(wildcard $(1:%=$(DSVL_MODEL)/%))
DSVL_WEIGHTS = config.json processor_config.json model*.safetensors model.safetensors.index.json

$(DSVL_BUILD)/%.pages: % $(DSVL_BUILD)/rasterize.settings
	$(call dsvl_run,dsvl-rasterize $(DSVL_RASTERIZE_FLAGS) -- $<)
$(DSVL_BUILD)/%.read: $(DSVL_BUILD)/%.pages $(DSVL_BUILD)/read.settings
	$(call dsvl_run,dsvl-read -m $(DSVL_MODEL) $(DSVL_READ_FLAGS) $<)
	$(call dsvl_deps,$(call dsvl_files,$(DSVL_WEIGHTS) tokenizer.json))
$(DSVL_BUILD)/%.regions: $(DSVL_BUILD)/%.read $(DSVL_BUILD)/regions.settings
	$(call dsvl_run,dsvl-regions -m $(DSVL_MODEL) $(DSVL_REGIONS_FLAGS) $<)
	$(call dsvl_deps,$(call dsvl_files,config.json processor_config.json))
$(DSVL_BUILD)/%.tiles: $(DSVL_BUILD)/%.$(if $(DSVL_BY_LINES),regions,pages) $(DSVL_BUILD)/tile.settings
	$(call dsvl_run,dsvl-tile -m $(DSVL_MODEL) $(DSVL_TILE_FLAGS) $<)
	$(call dsvl_deps,$(call dsvl_files,processor_config.json))
$(DSVL_BUILD)/%.embeddings: $(DSVL_BUILD)/%.tiles $(DSVL_BUILD)/encode.settings
	$(call dsvl_run,dsvl-encode -m $(DSVL_MODEL) $(DSVL_ENCODE_FLAGS) $<)
	$(call dsvl_deps,$(call dsvl_files,$(DSVL_WEIGHTS)))
$(DSVL_BUILD)/%.answers.jsonl: $(DSVL_BUILD)/%.embeddings $(DSVL_PROMPTS) $(DSVL_BUILD)/answer.settings
	$(call dsvl_run,dsvl-answer -m $(DSVL_MODEL) --no-times --prompts $(DSVL_PROMPTS) $(DSVL_ANSWER_FLAGS) $<)
	$(call dsvl_deps,$(call dsvl_files,$(DSVL_WEIGHTS) tokenizer.json))

# Written anew only when it would say something else.
dsvl_settings = @mkdir -p $(@D) && echo '$(1)' | cmp -s - $@ || echo '$(1)' >$@
$(DSVL_BUILD)/rasterize.settings: dsvl_always ; $(call dsvl_settings,$(DSVL_RASTERIZE_FLAGS))
$(DSVL_BUILD)/read.settings: dsvl_always ; $(call dsvl_settings,$(DSVL_MODEL) $(DSVL_READ_FLAGS))
$(DSVL_BUILD)/regions.settings: dsvl_always ; $(call dsvl_settings,$(DSVL_MODEL) $(DSVL_REGIONS_FLAGS))
$(DSVL_BUILD)/tile.settings: dsvl_always ; $(call dsvl_settings,$(DSVL_MODEL) $(DSVL_TILE_FLAGS))
$(DSVL_BUILD)/encode.settings: dsvl_always ; $(call dsvl_settings,$(DSVL_MODEL) $(DSVL_ENCODE_FLAGS))
$(DSVL_BUILD)/answer.settings: dsvl_always ; $(call dsvl_settings,$(DSVL_MODEL) $(DSVL_ANSWER_FLAGS))
.PHONY: dsvl_always

DSVL_PASSING := $(foreach stage,pages $(if $(DSVL_BY_LINES),read regions) tiles,$(DSVL_DOCUMENTS:%=$(DSVL_BUILD)/%.$(stage)))
ifeq ($(DSVL_KEEP),)
.INTERMEDIATE: $(DSVL_PASSING)
endif
.SECONDARY: $(DSVL_EMBEDDINGS) $(DSVL_ANSWERS)
.DELETE_ON_ERROR:
-include $(DSVL_PASSING:%=%.d) $(DSVL_EMBEDDINGS:%=%.d) $(DSVL_ANSWERS:%=%.d)
