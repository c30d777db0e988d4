# What all roles of the one binary have in common.

locals {
  functions = { for role, function in {
    worker = local.worker
    sweep  = local.sweep
    api    = local.api
  } : role => function if function.enabled }

  has_traces = var.otlp_endpoint != null || var.otlp_to_xray

  traces = {
    OTEL_EXPORTER_OTLP_ENDPOINT = var.otlp_endpoint
    MCP_BATCH_XRAY_REGION       = var.otlp_to_xray ? local.region : null
    OTEL_TRACES_SAMPLER         = local.has_traces ? "parentbased_traceidratio" : null
    OTEL_TRACES_SAMPLER_ARG     = local.has_traces ? tostring(var.trace_sample_ratio) : null
  }

  # An empty variable is as good as none, so none is set.
  environment = { for name, value in merge({
    MCP_BATCH_TABLE                = aws_dynamodb_table.ledger.name
    MCP_BATCH_QUEUE_URL            = aws_sqs_queue.jobs.url
    MCP_BATCH_DLQ_URL              = aws_sqs_queue.dead_letters.url
    MCP_BATCH_RESULTS_BUCKET       = var.results_bucket_enabled ? aws_s3_bucket.this["results"].id : null
    MCP_BATCH_SECRET_ARN           = aws_secretsmanager_secret.functions.arn
    MCP_BATCH_NAMESPACE            = var.namespace
    MCP_BATCH_LEDGER_DAYS          = tostring(var.ledger_days)
    MCP_BATCH_MAX_ATTEMPTS         = tostring(var.max_attempts)
    MCP_BATCH_MAX_AGE_S            = tostring(var.max_age_s)
    MCP_BATCH_LLM_URL              = local.llm_url
    MCP_BATCH_LLM_API              = var.llm_api
    MCP_BATCH_LLM_MODEL            = var.llm_model
    MCP_BATCH_LLM_TIMEOUT_S        = tostring(var.llm_timeout_s)
    MCP_BATCH_TOOLS                = local.has_tools ? "s3://${aws_s3_bucket.this["files"].id}/${aws_s3_object.file["tools"].key}" : null
    MCP_BATCH_CALLBACK_HOSTS       = length(var.callback_hosts) == 0 ? null : join(" ", var.callback_hosts)
    MCP_BATCH_CALLBACK_CONCURRENCY = tostring(var.callback_concurrency)
    MCP_BATCH_CONCURRENCY          = var.jobs_at_once == null ? null : tostring(var.jobs_at_once)
  }, local.traces, var.settings) : name => value if value != null }
}

resource "aws_cloudwatch_log_group" "function" {
  for_each = local.functions

  name              = "/aws/lambda/${var.name}-${each.key}"
  retention_in_days = var.log_retention_days
  kms_key_id        = local.kms_key_arn
  tags              = local.tags
}

resource "aws_lambda_function" "this" {
  for_each = local.functions

  function_name = "${var.name}-${each.key}"
  description   = each.value.description
  role          = aws_iam_role.function[each.key].arn

  filename         = local.lambda_zip
  source_code_hash = local.has_zip ? filebase64sha256(local.lambda_zip) : null
  architectures    = [var.architecture]
  runtime          = "provided.al2023"
  handler          = "bootstrap"
  publish          = true

  timeout                        = each.value.timeout_s
  memory_size                    = each.value.memory_mb
  reserved_concurrent_executions = each.value.reserved_concurrency
  kms_key_arn                    = local.kms_key_arn

  environment {
    variables = merge(local.environment, { for name, value in each.value.environment : name => value if value != null }, {
      MCP_BATCH_ROLE = each.key
      # So that AWS's own records of calls name the function.
      AWS_SDK_UA_APP_ID = "${var.name}-${each.key}"
    })
  }

  logging_config {
    log_group             = aws_cloudwatch_log_group.function[each.key].name
    log_format            = "JSON"
    application_log_level = var.log_level
    system_log_level      = "WARN"
  }

  tracing_config {
    mode = var.xray_enabled ? "Active" : "PassThrough"
  }

  dynamic "vpc_config" {
    for_each = local.functions_in_vpc ? [local.private_subnet_ids] : []

    content {
      subnet_ids         = vpc_config.value
      security_group_ids = [aws_security_group.functions[0].id]
    }
  }

  tags = local.tags

  lifecycle {
    precondition {
      condition     = local.has_zip
      error_message = "lambda_zip: there is no file ${local.lambda_zip}; type `make lambda` first, and write architecture = \"x86_64\" if it could build only that."
    }
  }

  # AWS refuses functions and mappings whose role is not allowed what they need.
  depends_on = [aws_iam_role_policy.function]
}

resource "aws_lambda_alias" "prod" {
  for_each = local.functions

  name             = "prod"
  description      = "The version in use."
  function_name    = aws_lambda_function.this[each.key].function_name
  function_version = aws_lambda_function.this[each.key].version
}
