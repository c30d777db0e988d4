# Who sets which of the program's variables (docs/settings.md): a variable of this module's, `settings`, the secret, or this module by
# itself. A test compares these lists with the documentation.

locals {
  settings_by_variable = {
    MCP_BATCH_API_CORS_ORIGINS     = "api_cors_origins"
    MCP_BATCH_API_TOKENS           = "api_jwt"
    MCP_BATCH_CALLBACK_CONCURRENCY = "callback_concurrency"
    MCP_BATCH_CALLBACK_HOSTS       = "callback_hosts"
    MCP_BATCH_CONCURRENCY          = "jobs_at_once"
    MCP_BATCH_LEDGER_DAYS          = "ledger_days"
    MCP_BATCH_LLM_API              = "llm_api"
    MCP_BATCH_LLM_MODEL            = "llm_model"
    MCP_BATCH_LLM_TIMEOUT_S        = "llm_timeout_s"
    MCP_BATCH_LLM_URL              = "llm_url"
    MCP_BATCH_MAX_AGE_S            = "max_age_s"
    MCP_BATCH_MAX_ATTEMPTS         = "max_attempts"
    MCP_BATCH_NAMESPACE            = "namespace"
    MCP_BATCH_RESULTS_BUCKET       = "results_bucket_enabled"
    MCP_BATCH_TOOLS                = "tools_file"
    MCP_BATCH_XRAY_REGION          = "otlp_to_xray"
    OTEL_EXPORTER_OTLP_ENDPOINT    = "otlp_endpoint"
    OTEL_TRACES_SAMPLER_ARG        = "trace_sample_ratio"
  }

  settings_of_module = [
    "MCP_BATCH_DLQ_URL", "MCP_BATCH_QUEUE_URL", "MCP_BATCH_ROLE", "MCP_BATCH_SECRET_ARN", "MCP_BATCH_TABLE",
  ]

  secret_settings = [
    "MCP_BATCH_API_KEYS", "MCP_BATCH_CALLBACK_HEADER", "MCP_BATCH_CALLBACK_SECRETS", "MCP_BATCH_LLM_API_KEY",
    "OTEL_EXPORTER_OTLP_HEADERS", "OTEL_EXPORTER_OTLP_TRACES_HEADERS",
  ]

  further_settings = [
    "MCP_BATCH_API_HOSTS", "MCP_BATCH_BATCH_BODY_MAX_BYTES", "MCP_BATCH_CALLBACK_CONNECT_TIMEOUT_S",
    "MCP_BATCH_CALLBACK_MAX_AGE_S", "MCP_BATCH_CALLBACK_MAX_PAUSE_S", "MCP_BATCH_CALLBACK_NAME_WAIT_S",
    "MCP_BATCH_CALLBACK_TIMEOUT_S", "MCP_BATCH_LOG",
    "OTEL_BSP_MAX_QUEUE_SIZE", "OTEL_BSP_SCHEDULE_DELAY", "OTEL_EXPORTER_OTLP_PROTOCOL", "OTEL_EXPORTER_OTLP_TIMEOUT",
    "OTEL_EXPORTER_OTLP_TRACES_ENDPOINT", "OTEL_EXPORTER_OTLP_TRACES_PROTOCOL", "OTEL_EXPORTER_OTLP_TRACES_TIMEOUT", "OTEL_RESOURCE_ATTRIBUTES", "OTEL_SDK_DISABLED", "OTEL_SERVICE_NAME",
    "OTEL_TRACES_EXPORTER", "OTEL_TRACES_SAMPLER",
  ]

  settings = concat(keys(local.settings_by_variable), local.settings_of_module, local.secret_settings, local.further_settings)
}
