# Two commands are enough: `make run` and `make test`. `make help` lists the rest.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:
.ONESHELL:
MAKEFLAGS += --no-print-directory

# The page that `make run` captures; empty means the practice shop.
URL ?=
export URL

# Debian packages: what the program needs, and what only its tests need.
RUN_PACKAGES := ca-certificates chromium chromium-headless-shell fonts-noto-cjk
TEST_PACKAGES := default-jdk-headless jq libbcpkix-java openssl poppler-utils python3 qpdf tshark unzip zbar-tools
# Nice to have: without it emoji in pictures of pages are empty boxes.
WISHED_PACKAGES := fonts-noto-color-emoji

GOLANGCI_VERSION := 2.15.0
# S3 servers for tests, see storage/s3/s3test. Never in go.mod: MinIO is AGPL
# and no longer maintained, and neither is part of the program.
MINIO_VERSION := 20260212201848-7aac2a2c5b7c
VERSITYGW_VERSION := 1.8.0
REPLAY_VERSION := 2.5.3
FUZZTIME ?= 10s
# For make bench: '-pairs 15' and the like, see cmd/guzheng/bench_test.go.
BENCHFLAGS ?=
TEST_TIMEOUT ?= 14m

export CGO_ENABLED := 0

VERSION ?= $(shell cat VERSION 2>/dev/null || git describe --tags --always --dirty 2>/dev/null || echo unknown)
BUILD := go build -trimpath -ldflags "-X main.version=$(VERSION)"
NPM_CI := npm ci --ignore-scripts --no-audit --no-fund --prefer-offline --loglevel=error >/dev/null

TOOLS := .tools
FONTS := report/pdf/fonts
FONT_FILES := $(FONTS)/NotoSansSC-Regular.ttf $(FONTS)/NotoSansSC-Bold.ttf $(FONTS)/OFL.txt
JUDGES := cmd/guzheng/testdata/npm
REPLAY := $(TOOLS)/replaywebpage
BENCH := cmd/guzheng/testdata/npm/bench

##@ Use

.PHONY: help
help: ## list the targets
	@awk 'BEGIN {FS = ":.*## "} \
	  /^##@ / {printf "\n%s\n", substr($$0, 5)} \
	  /^[a-z0-9-]+:.*## / {printf "  make %-13s %s\n", $$1, $$2}' $(firstword $(MAKEFILE_LIST))

.PHONY: run
run: deps assets build ## capture the practice shop and show what was kept; URL=… captures that page
	@if [ -z "$$URL" ]; then exec bin/guzheng run; fi
	exec bin/guzheng capture "$$URL"

.PHONY: build
build: assets ## build bin/guzheng and bin/guzheng-verify
	@mkdir -p bin
	$(BUILD) -o bin/guzheng ./cmd/guzheng
	$(BUILD) -o bin/guzheng-verify ./cmd/guzheng-verify

# What an export takes along, for machines that have nothing of ours.
VERIFIERS := linux-amd64 linux-arm64 windows-amd64 darwin-amd64 darwin-arm64

.PHONY: verifiers
verifiers: verifier-html ## build bin/verifiers: guzheng-verify for other systems, and the page; exports take them along
	@mkdir -p bin/verifiers
	for p in $(VERIFIERS); do
	  end=
	  if [ "$${p%-*}" = windows ]; then end=.exe; fi
	  GOOS="$${p%-*}" GOARCH="$${p#*-}" go build -trimpath -ldflags "-s -w" -o "bin/verifiers/guzheng-verify-$$p$$end" ./cmd/guzheng-verify
	done

.PHONY: verifier-html
verifier-html: ## build bin/verifiers/verify.html: one file that verifies offline in a browser
	@mkdir -p bin/verifiers $(TOOLS)/wasm
	GOOS=js GOARCH=wasm go build -trimpath -ldflags "-s -w" -o $(TOOLS)/wasm/verify.wasm ./cmd/guzheng-verify-page
	go run ./cmd/guzheng-verify-page -wasm $(TOOLS)/wasm/verify.wasm -glue "$$(go env GOROOT)/lib/wasm/wasm_exec.js" \
	  -version "$(VERSION)" -out bin/verifiers/verify.html

##@ Get ready

# install(packages): the missing ones only, so that a second run is quick and
# needs neither network nor root.
define install
missing=()
for p in $(1); do
  state=$$(dpkg-query -W -f='$${db:Status-Status}' "$$p" 2>/dev/null || echo absent)
  if [ "$$state" != installed ]; then missing+=("$$p"); fi
done
if [ "$${#missing[@]}" -gt 0 ]; then
  echo "installing $${missing[*]}"
  root=()
  if [ "$$(id -u)" -ne 0 ]; then root=(sudo); fi
  "$${root[@]}" apt-get update -qq
  "$${root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends "$${missing[@]}" >/dev/null
fi
endef

.PHONY: deps
deps: ## install the Debian packages that are missing (apt, with sudo when not root)
	@for tool in go node npm dpkg-query; do
	  if ! command -v "$$tool" >/dev/null; then echo "make: $$tool is needed and not on the PATH" >&2; exit 1; fi
	done
	$(call install,$(RUN_PACKAGES))
	mkdir -p $(TOOLS)
	if [ ! -e $(TOOLS)/wished ]; then
	  if ! ( $(call install,$(WISHED_PACKAGES)) ); then
	    echo "make: going on without $(WISHED_PACKAGES)" >&2
	  fi
	  touch $(TOOLS)/wished
	fi

.PHONY: test-deps
test-deps: deps
	@$(call install,$(TEST_PACKAGES))

.PHONY: assets
assets: $(FONT_FILES) ## fetch the fonts of the evidence sheet (npm, pinned by digest)

$(FONT_FILES) &: $(FONTS)/package.json $(FONTS)/package-lock.json
	@echo "fetching the fonts of the evidence sheet"
	mkdir -p $(TOOLS)/fonts
	cp $^ $(TOOLS)/fonts/
	cd $(TOOLS)/fonts
	$(NPM_CI)
	cd - >/dev/null
	from=$(TOOLS)/fonts/node_modules/@expo-google-fonts/noto-sans-sc
	cp "$$from/400Regular/NotoSansSC_400Regular.ttf" $(FONTS)/NotoSansSC-Regular.ttf
	cp "$$from/700Bold/NotoSansSC_700Bold.ttf" $(FONTS)/NotoSansSC-Bold.ttf
	cp "$$from/LICENSE_FONT" $(FONTS)/OFL.txt

.PHONY: judges
judges: $(TOOLS)/warcio/ready $(REPLAY)/ready ## fetch the independent readers that tests use (npm, pinned by digest)

$(TOOLS)/warcio/ready: $(JUDGES)/package.json $(JUDGES)/package-lock.json
	@echo "fetching warcio and vue"
	mkdir -p $(@D)
	cp $^ $(@D)/
	cd $(@D)
	$(NPM_CI)
	touch ready

# ReplayWeb.page's tree of dependencies cannot be installed; its package holds
# complete bundles, so two files and the licence of the package are enough.
$(REPLAY)/ready: $(JUDGES)/replaywebpage.sha512
	@echo "fetching ReplayWeb.page $(REPLAY_VERSION)"
	mkdir -p $(@D)
	cp $< $(@D)/
	cd $(@D)
	npm pack --silent replaywebpage@$(REPLAY_VERSION) >/dev/null
	sha512sum --check --quiet replaywebpage.sha512
	tar -xzf replaywebpage-$(REPLAY_VERSION).tgz --strip-components=1 package/ui.js package/sw.js package/LICENSE
	touch ready

.PHONY: s3-servers
s3-servers: $(TOOLS)/bin/minio-$(MINIO_VERSION) $(TOOLS)/bin/versitygw-$(VERSITYGW_VERSION) ## build the S3 servers that tests use (go install, pinned, some minutes once)

$(TOOLS)/bin/minio-$(MINIO_VERSION):
	@echo "building MinIO $(MINIO_VERSION), some minutes"
	mkdir -p $(@D)
	GOBIN="$$PWD/$(@D)" go install -trimpath -ldflags '-s -w' github.com/minio/minio@v0.0.0-$(MINIO_VERSION)
	mv $(@D)/minio $@

$(TOOLS)/bin/versitygw-$(VERSITYGW_VERSION):
	@echo "building versitygw $(VERSITYGW_VERSION)"
	mkdir -p $(@D)
	GOBIN="$$PWD/$(@D)" go install -trimpath -ldflags '-s -w' github.com/versity/versitygw/cmd/versitygw@v$(VERSITYGW_VERSION)
	mv $(@D)/versitygw $@

##@ Test

.PHONY: test
test: test-deps assets judges s3-servers build ## run every test (real browser, independent readers)
	go vet ./...
	GOOS=js GOARCH=wasm go vet ./cmd/guzheng-verify-page
	go test -count=1 -timeout $(TEST_TIMEOUT) ./...

.PHONY: short
short: assets ## run the quick tests
	go test -short ./...

.PHONY: lint
lint: assets $(TOOLS)/bin/golangci-lint-$(GOLANGCI_VERSION) ## check style, limits and arrows (golangci-lint, pinned)
	$(TOOLS)/bin/golangci-lint-$(GOLANGCI_VERSION) run ./...

$(TOOLS)/bin/golangci-lint-$(GOLANGCI_VERSION):
	@echo "building golangci-lint $(GOLANGCI_VERSION)"
	mkdir -p $(@D)
	GOBIN="$$PWD/$(@D)" go install -trimpath github.com/golangci/golangci-lint/v2/cmd/golangci-lint@v$(GOLANGCI_VERSION)
	mv $(@D)/golangci-lint $@

.PHONY: bench
bench: deps assets $(TOOLS)/bench/ready ## hold the speed against bare browsers and a peer, some 15 minutes
	go test -run '^$$' -bench '^BenchmarkPages$$' -benchtime 1x -timeout 0 ./cmd/guzheng -args $(BENCHFLAGS)

$(TOOLS)/bench/ready: $(BENCH)/package.json $(BENCH)/package-lock.json
	@echo "fetching single-file-cli and vue"
	mkdir -p $(@D)
	cp $^ $(@D)/
	cd $(@D)
	$(NPM_CI)
	touch ready

.PHONY: parts
parts: assets ## run the benchmarks of single packages
	go test -run '^$$' -bench . -skip '^BenchmarkPages$$' -benchmem ./...

.PHONY: fuzz
fuzz: assets ## run every fuzz target for a short while (FUZZTIME=10s each)
	@grep -rEo --exclude-dir=.tools --include='*_test.go' '^func Fuzz[A-Za-z0-9_]+' . | sort | while IFS=: read -r file func; do
	  echo "$${func#func } in $$(dirname "$$file")"
	  go test -run '^$$' -fuzz "^$${func#func }\$$" -fuzztime $(FUZZTIME) -fuzzminimizetime 10x "$$(dirname "$$file")" </dev/null
	done

##@ Tidy up

.PHONY: clean
clean: ## remove what was built and fetched (installed Debian packages stay)
	rm -rf bin $(TOOLS)
	rm -f $(FONT_FILES)
