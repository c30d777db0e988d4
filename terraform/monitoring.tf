# Alarms, and the topic they tell.

locals {
  # Where the functions' own metrics are, as the program writes them into its log.
  metrics_namespace = "McpBatch"
  worker_metrics    = { function = local.function_names.worker }

  # Who calls LLMs. The HTTP face does so where somebody wants an answer at once.
  callers = [for role in ["worker", "api"] : local.function_names[role] if contains(keys(local.functions), role)]

  function_names = { for role, function in aws_lambda_function.this : role => function.function_name }

  # A minute's worth, each told at once, unless an alarm says otherwise.
  alarm_defaults = {
    statistic  = "Sum"
    period_s   = 60
    periods    = 1
    comparison = "GreaterThanThreshold"
    threshold  = 0
    # No data is no news.
    missing = "notBreaching"
    # More than one set of dimensions: the sum of what all of them say.
    summed_over = []
  }

  queue_alarms = {
    dead-letters = {
      description = "A job failed for good: look at its error_class and error_message in the dead-letter queue."
      namespace   = "AWS/SQS"
      metric      = "ApproximateNumberOfMessagesVisible"
      dimensions  = { QueueName = aws_sqs_queue.dead_letters.name }
      statistic   = "Maximum"
    }
    oldest-job = {
      description = "A job has waited for ${var.alarm_oldest_message_s} s: the worker is too slow, throttled, or its upstream refuses it."
      namespace   = "AWS/SQS"
      metric      = "ApproximateAgeOfOldestMessage"
      dimensions  = { QueueName = aws_sqs_queue.jobs.name }
      statistic   = "Maximum"
      periods     = 5
      threshold   = var.alarm_oldest_message_s
    }
  }

  function_alarms = merge([for role, name in local.function_names : {
    "${role}-errors" = {
      description = "Invocations of the ${role} failed as a whole: its log says why."
      namespace   = "AWS/Lambda"
      metric      = "Errors"
      dimensions  = { FunctionName = name }
    }
    "${role}-throttles" = {
      description = "Lambda refused to run the ${role}: reserved concurrency, or the account's, is used up."
      namespace   = "AWS/Lambda"
      metric      = "Throttles"
      dimensions  = { FunctionName = name }
    }
    "${role}-duration" = {
      description = "An invocation of the ${role} took nearly all of its ${local.functions[role].timeout_s} s."
      namespace   = "AWS/Lambda"
      metric      = "Duration"
      dimensions  = { FunctionName = name }
      statistic   = "Maximum"
      threshold   = local.functions[role].timeout_s * 1000 * 0.95
    }
  }]...)

  job_alarms = {
    dead-callbacks = {
      description = "Callbacks were given up: their receiver is gone or refuses them. The results are in the ledger."
      metric      = "CallbacksDead"
    }
    callback-names = {
      description = "For half an hour hosts of callbacks could not be looked up: their jobs wait, unpaid, and fail after an hour."
      metric      = "CallbackNamesUnknown"
      # A job is looked at again at least every 15 minutes; what passes by itself is no news.
      period_s = 900
      periods  = 2
    }
    held-jobs = {
      description = "Jobs are held for a person: their tool must not be called twice, and nobody knows whether it was called."
      metric      = "Held"
    }
    configuration = {
      description = "An upstream refuses our key, or does not know a model or tool: jobs wait, none is lost. Mend the configuration."
      metric      = "ConfigurationBroken"
    }
  }

  sweep_alarms = { for name, function in { sweep-dead-callbacks = lookup(local.function_names, "sweep", null) } : name => {
    description = "The sweep gave callbacks up whose messages were gone: their receiver is gone or refuses them."
    metric      = "CallbacksDead"
    dimensions  = { function = function }
  } if var.sweep_enabled }

  cost_alarms = { for name, budget in { cost = var.cost_budget_usd_per_day } : name => {
    description = "LLM calls of this day have cost more than ${budget} USD."
    metric      = "EstimatedCostUSD"
    period_s    = 86400
    threshold   = budget
    summed_over = [for name in local.callers : { function = name }]
  } if budget != null }

  api_alarms = { for name, api in { api-5xx = one(aws_apigatewayv2_api.this[*].id) } : name => {
    description = "The API answered with a 5xx: its function's log says why."
    namespace   = "AWS/ApiGateway"
    metric      = "5xx"
    dimensions  = { ApiId = api }
  } if var.api_enabled }

  litellm_alarms = { for name, alarm in {
    litellm-unhealthy = {
      description = "A task of LiteLLM does not answer its health check."
      metric      = "UnHealthyHostCount"
      statistic   = "Maximum"
      periods     = 3
    }
    litellm-down = {
      description = "No task of LiteLLM is healthy: jobs wait until one is."
      metric      = "HealthyHostCount"
      statistic   = "Maximum"
      comparison  = "LessThanThreshold"
      threshold   = 1
      periods     = 3
      missing     = "breaching"
    }
    } : name => merge(alarm, {
      namespace = "AWS/ApplicationELB"
      dimensions = {
        LoadBalancer = one(aws_lb.litellm[*].arn_suffix)
        TargetGroup  = one(aws_lb_target_group.litellm[*].arn_suffix)
      }
  }) if var.litellm_enabled }

  database_alarms = { for name, database in { litellm-database-full = one(aws_db_instance.litellm[*].identifier) } : name => {
    description = "LiteLLM's database has less than 2 GB left: its spend logs have filled it."
    namespace   = "AWS/RDS"
    metric      = "FreeStorageSpace"
    dimensions  = { DBInstanceIdentifier = database }
    statistic   = "Minimum"
    period_s    = 300
    periods     = 3
    comparison  = "LessThanThreshold"
    threshold   = 2 * pow(1024, 3)
  } if local.database_count == 1 }

  alarms = { for name, alarm in merge(
    local.queue_alarms, local.function_alarms, local.job_alarms, local.sweep_alarms, local.cost_alarms, local.api_alarms,
    local.litellm_alarms, local.database_alarms,
    ) : name => merge(
    { namespace = local.metrics_namespace, dimensions = local.worker_metrics }, local.alarm_defaults, alarm,
    { is_sum = length(lookup(alarm, "summed_over", [])) > 1 },
  ) if var.alarms_enabled }
}

resource "aws_cloudwatch_metric_alarm" "this" {
  for_each = local.alarms

  alarm_name          = "${var.name}-${each.key}"
  alarm_description   = each.value.description
  namespace           = each.value.is_sum ? null : each.value.namespace
  metric_name         = each.value.is_sum ? null : each.value.metric
  dimensions          = each.value.is_sum ? null : each.value.dimensions
  statistic           = each.value.is_sum ? null : each.value.statistic
  period              = each.value.is_sum ? null : each.value.period_s
  evaluation_periods  = each.value.periods
  comparison_operator = each.value.comparison
  threshold           = each.value.threshold
  treat_missing_data  = each.value.missing
  alarm_actions       = [aws_sns_topic.alarms[0].arn]
  ok_actions          = [aws_sns_topic.alarms[0].arn]
  tags                = local.tags

  dynamic "metric_query" {
    for_each = each.value.is_sum ? each.value.summed_over : []

    content {
      id = "part${metric_query.key}"

      metric {
        namespace   = each.value.namespace
        metric_name = each.value.metric
        dimensions  = metric_query.value
        stat        = each.value.statistic
        period      = each.value.period_s
      }
    }
  }

  # A day on which one of them told nothing has a sum all the same.
  dynamic "metric_query" {
    for_each = each.value.is_sum ? [join(" + ", [for at in range(length(each.value.summed_over)) : "FILL(part${at}, 0)"])] : []

    content {
      id          = "sum"
      expression  = metric_query.value
      label       = each.value.metric
      return_data = true
    }
  }
}

resource "aws_sns_topic" "alarms" {
  count = var.alarms_enabled ? 1 : 0

  name              = "${var.name}-alarms"
  kms_master_key_id = local.kms_key_arn
  tags              = local.tags
}

resource "aws_sns_topic_policy" "alarms" {
  count = var.alarms_enabled ? 1 : 0

  arn = aws_sns_topic.alarms[0].arn
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "AlarmsOfThisAccount"
      Effect    = "Allow"
      Principal = { Service = "cloudwatch.amazonaws.com" }
      Action    = "sns:Publish"
      Resource  = aws_sns_topic.alarms[0].arn
      Condition = { StringEquals = { "aws:SourceAccount" = local.account_id } }
    }]
  })
}

resource "aws_sns_topic_subscription" "email" {
  count = var.alarms_enabled && var.alarm_email != null ? 1 : 0

  topic_arn = aws_sns_topic.alarms[0].arn
  protocol  = "email"
  endpoint  = var.alarm_email
}

# What a person asks the logs first.
resource "aws_cloudwatch_query_definition" "this" {
  for_each = { for name, query in {
    "errors and warnings" = "fields @timestamp, level, message, error, job_id | filter level in [\"ERROR\", \"WARN\"] and not ispresent(_aws.Timestamp) | sort @timestamp desc | limit 200"
    "jobs that failed"    = "fields @timestamp, outcome, job_id, batch_id, tool, attempt, error_class, error_code, error | filter outcome in [\"failed\", \"held\", \"rejected\"] | sort @timestamp desc | limit 200"
    "the life of one job" = "fields @timestamp, level, message, outcome, tool, attempt, epoch, error, request_id, trace_id | filter job_id = \"ID\" | sort @timestamp asc"
    "starts"              = "filter @type = \"platform.report\" or type = \"platform.report\" | fields @timestamp, record.metrics.initDurationMs, record.metrics.durationMs, record.metrics.maxMemoryUsedMB | sort @timestamp desc | limit 200"
  } : name => query if var.saved_queries_enabled }

  name            = "${var.name}/${each.key}"
  log_group_names = [aws_cloudwatch_log_group.function["worker"].name]
  query_string    = each.value
}
