# The functions, what they are told, and what lies beside them.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  lambda_zip = "versions.tf"
  # Terraform 1.11 wants to hear of ephemeral variables in a test, though they have defaults.
  secret_values         = {}
  litellm_secret_values = {}
  llm_url               = "https://litellm.example.com/v1"
}

run "by_default" {
  command = apply

  assert {
    condition = alltrue([for function in aws_lambda_function.this :
      function.architectures == tolist(["arm64"]) && function.runtime == "provided.al2023" && function.publish
      && function.logging_config[0].log_format == "JSON" && function.logging_config[0].application_log_level == "INFO"
      && function.tracing_config[0].mode == "Active"
    ])
    error_message = "Functions are arm64, log JSON and are traced."
  }

  assert {
    condition     = keys(aws_lambda_function.this) == ["sweep", "worker"]
    error_message = "Worker and sweep; the API is for those who ask."
  }

  assert {
    condition = alltrue([for role, function in aws_lambda_function.this :
      function.environment[0].variables.MCP_BATCH_ROLE == role
      && function.environment[0].variables.MCP_BATCH_TABLE == "mcp-batch-ledger"
      && function.environment[0].variables.MCP_BATCH_QUEUE_URL == aws_sqs_queue.jobs.url
      && function.environment[0].variables.MCP_BATCH_DLQ_URL == aws_sqs_queue.dead_letters.url
      && function.environment[0].variables.MCP_BATCH_SECRET_ARN == aws_secretsmanager_secret.functions.arn
      && function.environment[0].variables.MCP_BATCH_RESULTS_BUCKET == aws_s3_bucket.this["results"].id
      && function.environment[0].variables.MCP_BATCH_LLM_URL == "https://litellm.example.com/v1"
      && !contains(keys(function.environment[0].variables), "MCP_BATCH_LLM_API")
    ])
    error_message = "Each function knows its role and its places."
  }

  assert {
    condition = alltrue([for name in keys(aws_lambda_function.this["worker"].environment[0].variables) :
      !strcontains(name, "KEY") && !strcontains(name, "SECRETS") && !strcontains(name, "HEADER")
    ])
    error_message = "No secret is in an environment."
  }

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.function : group.retention_in_days == 30])
    error_message = "Logs are kept for 30 days."
  }

  assert {
    condition = (
      aws_dynamodb_table.ledger.hash_key == "pk" && aws_dynamodb_table.ledger.range_key == null
      && aws_dynamodb_table.ledger.billing_mode == "PAY_PER_REQUEST"
      && aws_dynamodb_table.ledger.ttl[0].attribute_name == "record_expires_s" && aws_dynamodb_table.ledger.ttl[0].enabled
      && aws_dynamodb_table.ledger.point_in_time_recovery[0].enabled && aws_dynamodb_table.ledger.deletion_protection_enabled
    )
    error_message = "The ledger's table is as docs/aws.md says, and guarded."
  }

  assert {
    condition = [for index in aws_dynamodb_table.ledger.global_secondary_index :
      [index.name, index.hash_key, index.range_key, index.projection_type]
    ] == [["attention", "attention", "attention_ms", "KEYS_ONLY"]]
    error_message = "The sweep finds its work by an index."
  }

  assert {
    condition     = aws_scheduler_schedule.sweep[0].schedule_expression == "rate(5 minutes)" && aws_scheduler_schedule.sweep[0].target[0].arn == aws_lambda_alias.prod["sweep"].arn
    error_message = "The sweep runs every five minutes."
  }

  assert {
    condition     = length(aws_secretsmanager_secret_version.functions) == 0 && aws_secretsmanager_secret.functions.recovery_window_in_days == 30
    error_message = "Terraform writes no secret unless asked."
  }

  assert {
    condition = alltrue([for guard in aws_s3_bucket_public_access_block.this :
      guard.block_public_acls && guard.block_public_policy && guard.ignore_public_acls && guard.restrict_public_buckets
    ]) && keys(aws_s3_bucket.this) == ["results"]
    error_message = "The bucket of results is nobody's else."
  }

  assert {
    condition     = one([for rule in aws_s3_bucket_lifecycle_configuration.this["results"].rule : rule.expiration[0].days]) == 52
    error_message = "Results live longer than the records that name them."
  }

  assert {
    condition     = length(aws_lambda_function.this["worker"].vpc_config) == 0
    error_message = "Without LiteLLM the functions need no VPC."
  }
}

run "as_asked" {
  command = apply

  variables {
    architecture           = "x86_64"
    log_level              = "DEBUG"
    log_retention_days     = 90
    xray_enabled           = false
    otlp_endpoint          = "http://collector.internal:4318"
    trace_sample_ratio     = 0.5
    tags                   = { Team = "automation" }
    deletion_protection    = false
    point_in_time_recovery = false
    results_bucket_enabled = false
    sweep_interval_min     = 1
    secret_values          = { MCP_BATCH_LLM_API_KEY = "sk-test" }
    secret_values_version  = 3
    secret_rotation        = { lambda_arn = "arn:aws:lambda:eu-west-1:123456789012:function:rotate", days = 30 }
    llm_model              = "gpt-4o-mini"
    llm_timeout_s          = 100
    jobs_at_once           = 100
    namespace              = "team-a"
    max_attempts           = 5
    max_age_s              = 86400
    ledger_days            = 60
    callback_hosts         = ["n8n.example.com", "*.example.org", "127.0.0.1:5678", "[::1]:5678"]
    callback_concurrency   = 3
    callback_max_in_flight = 12
    tools_file             = "examples/complete/tools.toml"
    llm_api                = "openai"
    settings               = { MCP_BATCH_LOG = "debug", MCP_BATCH_CALLBACK_TIMEOUT_S = "60" }
  }

  assert {
    condition = alltrue([for function in aws_lambda_function.this :
      function.architectures == tolist(["x86_64"]) && function.logging_config[0].application_log_level == "DEBUG"
      && function.tracing_config[0].mode == "PassThrough"
    ])
    error_message = "architecture, log_level, xray_enabled"
  }

  assert {
    condition     = alltrue([for group in aws_cloudwatch_log_group.function : group.retention_in_days == 90])
    error_message = "log_retention_days"
  }

  assert {
    condition = alltrue([for name, value in {
      OTEL_EXPORTER_OTLP_ENDPOINT = "http://collector.internal:4318"
      OTEL_TRACES_SAMPLER         = "parentbased_traceidratio"
      OTEL_TRACES_SAMPLER_ARG     = "0.5"
    } : aws_lambda_function.this["worker"].environment[0].variables[name] == value])
    error_message = "otlp_endpoint, trace_sample_ratio"
  }

  assert {
    condition     = aws_sqs_queue.jobs.tags == tomap({ Application = "mcp-batch", Installation = "mcp-batch", Team = "automation" })
    error_message = "tags"
  }

  assert {
    condition     = !aws_dynamodb_table.ledger.deletion_protection_enabled && aws_secretsmanager_secret.functions.recovery_window_in_days == 0 && aws_s3_bucket.this["files"].force_destroy
    error_message = "deletion_protection"
  }

  assert {
    condition     = !aws_dynamodb_table.ledger.point_in_time_recovery[0].enabled
    error_message = "point_in_time_recovery"
  }

  assert {
    condition     = keys(aws_s3_bucket.this) == ["files"] && !contains(keys(aws_lambda_function.this["worker"].environment[0].variables), "MCP_BATCH_RESULTS_BUCKET")
    error_message = "results_bucket_enabled"
  }

  assert {
    condition     = aws_scheduler_schedule.sweep[0].schedule_expression == "rate(1 minute)"
    error_message = "sweep_interval_min"
  }

  assert {
    condition     = aws_secretsmanager_secret_version.functions[0].secret_string_wo_version == 3 && aws_secretsmanager_secret_version.functions[0].secret_string == null
    error_message = "secret_values, secret_values_version: the value is handed over, not kept."
  }

  assert {
    condition     = aws_secretsmanager_secret_rotation.functions[0].rotation_rules[0].automatically_after_days == 30
    error_message = "secret_rotation"
  }

  assert {
    condition = alltrue([for name, value in {
      MCP_BATCH_LLM_MODEL            = "gpt-4o-mini"
      MCP_BATCH_LLM_TIMEOUT_S        = "100"
      MCP_BATCH_CONCURRENCY          = "100"
      MCP_BATCH_NAMESPACE            = "team-a"
      MCP_BATCH_MAX_ATTEMPTS         = "5"
      MCP_BATCH_MAX_AGE_S            = "86400"
      MCP_BATCH_LEDGER_DAYS          = "60"
      MCP_BATCH_CALLBACK_HOSTS       = "n8n.example.com *.example.org 127.0.0.1:5678 [::1]:5678"
      MCP_BATCH_CALLBACK_CONCURRENCY = "3"
      MCP_BATCH_LLM_API              = "openai"
      MCP_BATCH_LOG                  = "debug"
      MCP_BATCH_CALLBACK_TIMEOUT_S   = "60"
    } : aws_lambda_function.this["worker"].environment[0].variables[name] == value])
    error_message = "What jobs are run by: llm_*, jobs_at_once, namespace, max_*, ledger_days, callback_*, settings."
  }

  assert {
    condition     = aws_lambda_function.this["worker"].environment[0].variables.MCP_BATCH_TOOLS == "s3://${aws_s3_bucket.this["files"].id}/tools/${filesha256("examples/complete/tools.toml")}.toml"
    error_message = "tools_file: its name is its hash, so that a change takes effect."
  }
}

run "traces_straight_to_xray" {
  command = apply

  variables {
    otlp_to_xray = true
  }

  assert {
    condition = (
      aws_lambda_function.this["worker"].environment[0].variables.MCP_BATCH_XRAY_REGION == local.region
      && aws_lambda_function.this["worker"].environment[0].variables.OTEL_TRACES_SAMPLER_ARG == "0.05"
      && !contains(keys(aws_lambda_function.this["worker"].environment[0].variables), "OTEL_EXPORTER_OTLP_ENDPOINT")
    )
    error_message = "otlp_to_xray"
  }

  assert {
    condition = alltrue([for policy in aws_iam_role_policy.function : contains(
      flatten([for statement in jsondecode(policy.policy).Statement : statement.Action if statement.Sid == "Traces"]), "xray:PutSpans"
    )])
    error_message = "otlp_to_xray: each function may send spans."
  }
}

run "without_a_sweep" {
  command = plan

  variables {
    sweep_enabled = false
  }

  assert {
    condition     = keys(aws_lambda_function.this) == ["worker"] && length(aws_scheduler_schedule.sweep) == 0 && length(aws_iam_role.schedule) == 0
    error_message = "sweep_enabled"
  }
}

run "with_a_key_of_ones_own" {
  command = apply

  variables {
    kms_key = { arn = "arn:aws:kms:eu-west-1:123456789012:key/mine" }
  }

  assert {
    condition = alltrue([for key in concat(
      [aws_sqs_queue.jobs.kms_master_key_id, aws_sqs_queue.dead_letters.kms_master_key_id],
      [aws_dynamodb_table.ledger.server_side_encryption[0].kms_key_arn, aws_secretsmanager_secret.functions.kms_key_id],
      [aws_sns_topic.alarms[0].kms_master_key_id, aws_scheduler_schedule.sweep[0].kms_key_arn],
      [for function in aws_lambda_function.this : function.kms_key_arn],
      [for group in aws_cloudwatch_log_group.function : group.kms_key_id],
      [for bucket in aws_s3_bucket_server_side_encryption_configuration.this : one(one(bucket.rule).apply_server_side_encryption_by_default).kms_master_key_id],
    ) : key == "arn:aws:kms:eu-west-1:123456789012:key/mine"])
    error_message = "kms_key: everything that keeps something is encrypted with it."
  }
}
