# The project's habits, each one line that a person could type.

.PHONY: run test e2e e2e-long check bench profile lambda fuzz deny fake-llm

# The main job, offline: no key, no network.
run:
	cargo run --release -- run fixtures/jobs.jsonl

# Every test, beside a loopback AWS (installed into target/, needs python3 of at least 3.11); then no secret and no input may
# be in any log that they wrote.
# cargo-nextest runs them faster where it is installed.
test:
	@if cargo nextest --version >/dev/null 2>&1; then runner="nextest run --workspace"; else runner="test --workspace --lib --bins --tests"; fi; scripts/ministack run -- scripts/logs run -- cargo $$runner
	cargo test --workspace --doc

# What other programs must say to it: the scripts in scripts/e2e, side by side; logs are in target/e2e/.
e2e:
	scripts/e2e-all

# Those of them that take minutes by their nature, one after another: a real n8n, a real limit of calls, a server under load.
e2e-long:
	scripts/e2e-all --long

# What must hold before a commit.
check:
	cargo fmt --all --check
	cargo clippy --workspace --all-targets -- -D warnings
	cargo clippy -p mcp-batch --no-default-features -- -D warnings
	cargo run --quiet -p mcp-batch-n8n-lint
	@# The Lambda binary knows neither database nor command line.
	! cargo tree --locked -p mcp-batch-lambda -e normal --prefix none | grep -E '^(rusqlite|clap|indicatif|comfy-table) '
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps --document-private-items
	@if command -v terraform >/dev/null; then scripts/terraform fmt -check -recursive terraform; fi

# Speed and memory of the binaries, that of the command line and that of Lambda, and what calls cost beyond their requests, on loopback.
bench:
	cargo build --profile dist --bin mcp-batch-lambda
	cargo bench -p mcp-batch

# Where the instructions of a job go in the Lambda binary. Needs python3 and valgrind.
profile:
	scripts/profile

# The Lambda function's zips in target/lambda/, as they are deployed, with size and SHA-256: x86-64, and arm64 where
# cargo-lambda and its target are installed. Needs python3.
lambda:
	scripts/lambda

# A minute of hostile bytes for the job parser (needs nightly Rust and cargo-fuzz).
fuzz:
	cargo +nightly fuzz run job_parser -- -max_total_time=60

# Licences, advisories, duplicate versions, sources (needs cargo-deny).
deny:
	cargo deny check

# A loopback LLM to try things with: set MCP_BATCH_LLM_URL to what it prints.
fake-llm:
	cargo run --release -p mcp-batch-testkit --bin fake-llm -- --port 9800 --latency-ms 200
