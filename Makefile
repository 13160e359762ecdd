# `make dev` runs Nodkey; `make test` proves it. Everything else serves these two.
.DEFAULT_GOAL := help
SHELL := /bin/bash

.PHONY: help
help: ## List the targets
	@grep -E '^[a-z-]+:.*##' $(MAKEFILE_LIST) | awk -F ':.*## ' '{printf "  make %-12s %s\n", $$1, $$2}'

.PHONY: tools
tools: ## Check for what a build needs, installing Debian packages where allowed
	@scripts/tools build

.PHONY: dev
dev: tools ## Run all of Nodkey in one process, on SQLite, with a demo relying party
	cargo run --locked --package nodkey --bin nodkey -- dev $(ARGS)

.PHONY: build
build: tools ## Build every binary
	cargo build --workspace --bins --locked

.PHONY: check
check: tools deny ## Formatting, lints, dependency rules
	cargo fmt --all --check
	cargo clippy --workspace --all-targets --locked -- -D warnings

.PHONY: deny
deny: ## Licences, bans and sources of all dependencies, as deny.toml says
	@scripts/tools deny
	$$(scripts/cargo-deny) --all-features --locked check --deny warnings bans licenses sources

.PHONY: sbom
sbom: ## List the components of the binaries in target/sbom.cdx.json (CycloneDX)
	@mkdir -p target
	scripts/sbom >target/sbom.cdx.json

.PHONY: test
test: tools ## Every test, on real PostgreSQL and NATS servers started privately
	@scripts/tools test
	@scripts/tools api
	cargo build --workspace --bins --locked
	scripts/with-servers scripts/up-native -- scripts/nextest
	@$(MAKE) --no-print-directory test-alerts test-api

.PHONY: test-api
test-api: tools ## Whether tools accept proto/ and /openapi.json, and the examples of documents work: about three minutes
	@scripts/tools api
	cargo build --package nodkey --bin nodkey --locked
	scripts/test-api

.PHONY: sdk
sdk: tools ## The server SDKs of all languages, or LANGUAGES="rust python": vectors, scenarios, packages, examples: about fifteen minutes
	@scripts/tools test
	@scripts/tools api
	@scripts/tools browser
	cargo build --workspace --bins --locked
	scripts/test-sdk $(LANGUAGES)

.PHONY: sdk-quick
sdk-quick: tools ## The SDKs for TypeScript and Python with a first slice of the scenarios, and the examples in a browser: about four minutes
	@scripts/tools api
	@scripts/tools browser
	cargo build --workspace --bins --locked
	scripts/test-sdk --quick $(LANGUAGES)

.PHONY: test-alerts
test-alerts: ## Whether the rules for Prometheus are valid, and alert when they should
	scripts/test-alerts

.PHONY: test-replicas
test-replicas: tools ## The scenarios against two replicas of every service, behind HAProxy: about ten minutes
	@scripts/tools test
	cargo build --workspace --bins --locked
	scripts/with-servers scripts/up-native --replicas 2 -- cargo nextest run --workspace --locked -E 'test(/::distributed::/)'

.PHONY: test-cut-bus
test-cut-bus: tools ## The scenarios while the services lose NATS for one second in every four: about ten minutes
	@scripts/tools test
	cargo build --workspace --bins --locked
	scripts/with-servers scripts/up-native --cut-bus -- cargo nextest run --workspace --locked -E 'test(/::distributed::/)'

.PHONY: test-upgrade
test-upgrade: tools ## Rolls from the build before this one, which is built first: scenarios beside it, and under load
	@scripts/tools test
	cargo build --workspace --bins --locked
	before=$$(scripts/build-before) && NODKEY_TEST_BUILD_BEFORE=$$before scripts/with-servers \
	  cargo nextest run --workspace --locked --run-ignored ignored-only -E 'test(/^scenarios::upgrade::/)'

# What installs the tools of web/ leaves a mark, so that it is done once for each lock file.
target/web-tools: web/package-lock.json
	@scripts/tools browser
	cd web && npm ci --no-audit --no-fund
	@mkdir -p target && touch $@

# The SDK for pages of relying parties shares code with the pages, and they use it.
target/sdk-web-tools: sdk/web/package-lock.json
	@scripts/tools browser
	cd sdk/web && npm ci --no-audit --no-fund
	@mkdir -p target && touch $@

.PHONY: check-web
check-web: target/web-tools target/sdk-web-tools ## Types and formatting of the pages
	cd web && npm run --silent check
	cd sdk/web && npm run --silent check

.PHONY: test-browser
test-browser: tools check-web ## The pages in a real browser, against nodkey dev and the five services
	@scripts/tools test
	cd web && npm run --silent unit
	cd sdk/web && npm test --silent
	cargo build --workspace --bins --locked
	scripts/with-servers scripts/up-native -- npm --prefix web run --silent browser

.PHONY: bench
bench: tools ## What the gateway costs, measured on the release binary
	cargo build --package nodkey --release --locked
	cargo bench --package nodkey-e2e --bench gateway --profile dev

.PHONY: bench-doors
bench-doors: tools ## What strangers can make a process hold, measured on the release binary
	cargo build --package nodkey --release --locked
	cargo bench --package nodkey-e2e --bench doors --profile dev

.PHONY: bench-logins
bench-logins: tools ## What logins cost, embedded and distributed, on release binaries; ARGS="--in-progress 20000"
	@scripts/tools test
	cargo build --workspace --bins --release --locked
	scripts/bench-logins $(ARGS)

.PHONY: bench-privacyidea
bench-privacyidea: tools ## What approvals cost on privacyIDEA, to compare with bench-logins; ARGS="--runs 5"
	@scripts/tools test
	scripts/bench-privacyidea $(ARGS)

.PHONY: bench-webhooks
bench-webhooks: tools ## What results cost on their way to backends, on release binaries, PostgreSQL and NATS
	@scripts/tools test
	cargo build --workspace --bins --release --locked
	cargo bench --package nodkey-e2e --bench webhooks --no-run
	NODKEY_BIN_DIR=target/release scripts/with-servers scripts/up-native -- cargo bench --package nodkey-e2e --bench webhooks

.PHONY: bench-pages
bench-pages: tools target/web-tools ## How fast the pages are and what they weigh, on the release binary
	cargo build --package nodkey --release --locked
	cd web && NODKEY_BIN_DIR=../target/release npm run --silent bench

.PHONY: screenshots
screenshots: tools target/web-tools ## Take the pictures of the README anew
	cargo build --package nodkey --locked
	cd web && npm run --silent screenshots

.PHONY: bench-console
bench-console: tools ## What a page of a million trusonafications costs in the console, on both engines
	@scripts/tools test
	cargo build --workspace --bins --release --locked
	cargo bench --package nodkey-e2e --bench console --profile dev --no-run
	NODKEY_BIN_DIR=target/release scripts/with-servers scripts/up-native -- cargo bench --package nodkey-e2e --bench console --profile dev

.PHONY: up-native
up-native: tools ## Run PostgreSQL, NATS and the five services as plain processes until Ctrl-C
	@scripts/tools test
	cargo build --workspace --bins --locked
	scripts/with-servers scripts/up-native

.PHONY: up
up: ## Run the five services in containers, with all they need; PUBLIC_URL=https://id.example.com the first time
	@deploy/compose/prepare
	docker compose up --build --detach --wait
	@echo "Nodkey is up, at $$(sed -n 's/^PUBLIC_URL=//p' .env | tail -n 1). What next: deploy/README.md"

.PHONY: down
down: ## Stop and remove these containers; data stays in its volumes
	docker compose --profile '*' down

.PHONY: test-deploy
test-deploy: tools ## What is in deploy/, by real tools and without a container engine
	@scripts/tools deploy
	cargo build --workspace --bins --locked
	scripts/test-compose
	scripts/test-helm
	scripts/test-alerts

.PHONY: dist
dist: tools ## Pack the release binaries for machines without a toolchain, in target/dist
	scripts/dist $(ARGS)

.PHONY: clean
clean: ## Remove everything built
	cargo clean
