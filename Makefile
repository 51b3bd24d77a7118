# SPDX-License-Identifier: GPL-2.0
# One door to everything. "make help" says what there is.

# What "make install" uses.
PREFIX ?= /usr/local
DESTDIR ?=
# Where its rules, its units and what zsh completes are: packages have other folders.
RULES ?= /etc/udev/rules.d
UNITS ?= /etc/systemd/system
ZSH ?= zsh/site-functions
# The kernel whose module is built and installed.
KERNEL ?= /lib/modules/$(shell uname -r)/build

cache := .cache
tools := $(cache)/tools/bin
# Release builds have a folder of their own, since tests are built without optimisation.
release := swift build -c release --static-swift-stdlib --scratch-path .build-release --quiet
products := .build-release/release

.DEFAULT_GOAL := help
.PHONY: man deb help demo shell test test-all test-debug fuzz soak bench tour gallery table build lab module modules fmt check install uninstall \
	install-module clean bootstrap

help: ## Say what there is to make
	@echo 'iopmem: PCIe memory BARs as block devices that programs can map.'
	@echo
	@sed -n 's/^\([a-z-]*\):.*## \(.*\)/  make \1\t\2/p' $(MAKEFILE_LIST) | expand -t 24
	@echo
	@echo 'demo, shell and test work on a fresh Debian 12 with a Swift toolchain, as root.'
	@echo 'They install packages, download kernels into $(cache), and leave the host kernel alone.'

demo: bootstrap lab ## Show the main job in a virtual machine, step by step (KERNEL_SERIES=7.2)
	@$(products)/iopmem-lab demo $(if $(KERNEL_SERIES),--kernel $(KERNEL_SERIES))

shell: bootstrap lab ## Boot a simulated memory card and give a prompt (KERNEL_SERIES=7.2)
	@$(products)/iopmem-lab shell $(if $(KERNEL_SERIES),--kernel $(KERNEL_SERIES))

test: ## Run every test, with and without virtual machines
	@Tests/run.sh

fuzz: bootstrap ## Let libFuzzer look for inputs that break the parsers (SECONDS=300 for each)
	@Tests/fuzz.sh $(SECONDS)

soak: bootstrap lab ## Cut the power under load, again and again (CUTS=50 SEED=…)
	@$(products)/iopmem-lab soak $(if $(CUTS),--cuts $(CUTS)) $(if $(SEED),--seed $(SEED))

test-all: ## Run every variant of every scenario on every kernel, which takes much longer
	@IOPMEM_WHOLE=1 Tests/run.sh

test-debug: ## Run every scenario in a kernel that looks for our bugs; builds it once
	@Tests/run.sh 6.12-debug

bench: bootstrap lab ## Measure against nd_pmem and brd, write docs/benchmarks.md (KERNEL_SERIES=7.2 ROUNDS=5 QUICK=1)
	@Tests/VMLab/bootstrap.sh ndctl
	@$(products)/iopmem-lab bench --output docs $(if $(KERNEL_SERIES),--kernel $(KERNEL_SERIES)) \
		$(if $(ROUNDS),--rounds $(ROUNDS)) $(if $(QUICK),--quick)

gallery: bootstrap build ## Damage data in every way, record what verify says, write docs/verify.md
	@Tests/gallery.sh

tour: bootstrap lab ## Record a person's tour of an installed system, write docs/tour.md
	@$(products)/iopmem-lab tour --output docs

table: bootstrap lab ## Run the scenarios that the README's table names, and make the table from their results
	@swift build --quiet --build-tests
	@swift test --skip-build --event-stream-output-path $(cache)/events.json --event-stream-version 0 \
		--filter "ScenarioTests\.($$($(products)/iopmem-lab proof --names))"; \
		$(products)/iopmem-lab proof --record $(cache)/events.json

build: ## Build iopmemctl
	@echo 'build: iopmemctl' >&2
	@$(release) --product iopmemctl
	@mkdir -p $(tools)
	@install -C $(products)/iopmemctl $(tools)/iopmemctl

# The lab, and what guests run.
lab: build
	@echo 'build: the virtual machine lab' >&2
	@for tool in iopmem-agent iopmem-guest; do \
		$(release) --product $$tool && install -C $(products)/$$tool $(tools)/$$tool || exit 1; \
	done
	@$(release) --product iopmem-lab

module: ## Build iopmem.ko for the running kernel (KERNEL=/path/to/build)
	$(MAKE) -C $(KERNEL) M=$(CURDIR)/kmod modules

modules: bootstrap lab ## Build iopmem.ko for every supported kernel, in build roots
	@$(products)/iopmem-lab prepare

bootstrap:
	@Tests/VMLab/bootstrap.sh

fmt: ## Format all Swift
	swift format --in-place --recursive --parallel Package.swift Sources Tests

check: bootstrap lab ## Lint Swift, shell and manual; sparse, checkpatch, gcc's analyzer over the driver
	swift format lint --strict --recursive --parallel Package.swift Sources Tests
	shellcheck Tests/run.sh Tests/fuzz.sh Tests/install.sh Tests/gallery.sh Tests/VMLab/bootstrap.sh \
		Tests/VMLab/coldplug/* .ci/run \
		Tests/Support/Captured/capture.sh debian/iopmem-tools.initramfs-hook \
		debian/iopmem-tools.postinst debian/iopmem-tools.prerm
	@# groff complains and succeeds.
	groff -man -Tutf8 -ww -z man/* 2>&1 | { ! grep .; }
	@$(products)/iopmem-lab inspect

# In place, so that what is compiled already is not compiled again. Without dh_clean, which would
# look for files to delete in everything that is cached here.
debs := $(CURDIR)/$(cache)/deb
deb: ## Build Debian packages into .cache/deb
	@Tests/VMLab/bootstrap.sh build-essential debhelper dh-dkms lintian
	@rm -rf $(debs) && mkdir -p $(debs)
	@$(MAKE) --no-print-directory deb-clean
	DEBS=$(debs) dpkg-buildpackage --build=binary --no-sign --no-pre-clean \
		--buildinfo-option=-u$(debs) --buildinfo-file=$(debs)/iopmem.buildinfo \
		--changes-option=-u$(debs) --changes-file=$(debs)/iopmem.changes
	@$(MAKE) --no-print-directory deb-clean
	lintian --fail-on error,warning --info $(debs)/iopmem.changes

.PHONY: deb-clean
deb-clean:
	@cd debian && rm -rf .debhelper debhelper-build-stamp files *.debhelper *.debhelper.log *.substvars \
		iopmem-tools iopmem-dkms

install: build ## Install iopmemctl, rules, units, manual and completions below PREFIX (/usr/local)
	install -D -m 0755 $(products)/iopmemctl $(DESTDIR)$(PREFIX)/sbin/iopmemctl
	install -d $(DESTDIR)/etc/iopmem
	@$(MAKE) --no-print-directory install-rules install-completions

# What calls iopmemctl, with the place where it is.
.PHONY: install-rules
install-rules:
	@set -e; put() { \
		echo "install $$1"; \
		install -d $(DESTDIR)$$2; \
		sed 's,/usr/sbin/iopmemctl,$(PREFIX)/sbin/iopmemctl,' $$1 >$(DESTDIR)$$2/$${1##*/}; \
		chmod 0644 $(DESTDIR)$$2/$${1##*/}; \
	}; \
	for file in udev/*.rules; do put $$file $(RULES); done; \
	for file in systemd/*.service; do put $$file $(UNITS); done; \
	for file in man/*.5; do put $$file $(PREFIX)/share/man/man5; done; \
	for file in man/*.8; do put $$file $(PREFIX)/share/man/man8; done

# The shells' folders for programs that are not the system's own.
completions := bash:bash-completion/completions/iopmemctl zsh:$(ZSH)/_iopmemctl \
	fish:fish/vendor_completions.d/iopmemctl.fish
.PHONY: install-completions
install-completions: build
	@set -e; for entry in $(completions); do \
		file=$(DESTDIR)$(PREFIX)/share/$${entry#*:}; \
		echo "install $${file##*/} for $${entry%%:*}"; \
		install -d $${file%/*}; \
		: The shells read it and do not run it, so it needs no interpreter.; \
		$(products)/iopmemctl --generate-completion-script $${entry%%:*} | sed '1{/^#!/d}' >$$file; \
	done

man: ## Make the manual pages anew, after a change of a command
	IOPMEM_RECORD_SNAPSHOTS=1 swift test --quiet --filter ManualTests

install-module: module ## Install iopmem.ko for the running kernel
	$(MAKE) -C $(KERNEL) M=$(CURDIR)/kmod modules_install
	depmod -a

uninstall: ## Remove what "make install" installed
	rm -f $(DESTDIR)$(PREFIX)/sbin/iopmemctl
	rm -f $(addprefix $(DESTDIR)$(RULES)/,$(notdir $(wildcard udev/*.rules)))
	rm -f $(addprefix $(DESTDIR)$(UNITS)/,$(notdir $(wildcard systemd/*.service)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man5/,$(notdir $(wildcard man/*.5)))
	rm -f $(addprefix $(DESTDIR)$(PREFIX)/share/man/man8/,$(notdir $(wildcard man/*.8)))
	rm -f $(foreach entry,$(completions),$(DESTDIR)$(PREFIX)/share/$(lastword $(subst :, ,$(entry))))
	-rmdir $(DESTDIR)/etc/iopmem

clean: ## Remove what was built and downloaded
	rm -rf .build .build-release $(cache)
	@if [ -d "$(KERNEL)" ]; then $(MAKE) -C $(KERNEL) M=$(CURDIR)/kmod clean; fi
