# `mcp-batch poll` as a container: one static binary, and the certificates it trusts.
#   docker build -t mcp-batch .
#   docker run -e MCP_BATCH_QUEUE_URL -e MCP_BATCH_TABLE -e MCP_BATCH_LLM_URL … mcp-batch

FROM rust:1.95-alpine AS build
RUN apk add --no-cache ca-certificates musl-dev
WORKDIR /src
COPY . .
RUN cargo build --release --locked -p mcp-batch --bin mcp-batch

FROM scratch
COPY --from=build /etc/ssl/certs/ca-certificates.crt /etc/ssl/certs/ca-certificates.crt
COPY --from=build /src/target/release/mcp-batch /mcp-batch
# Nobody: the program writes no file.
USER 65534:65534
# GET /healthz
EXPOSE 8080
ENTRYPOINT ["/mcp-batch"]
CMD ["poll"]
