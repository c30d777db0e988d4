# One dashboard: a row each for the flow of jobs, latency, failures, tokens and dollars, dead letters.

locals {
  jobs_queue  = aws_sqs_queue.jobs.name
  dlq         = aws_sqs_queue.dead_letters.name
  worker_name = local.function_names.worker

  of_callers = "(${join(" OR ", [for name in local.callers : "function=\"${name}\""])})"

  # All metrics of one name, whatever their tool or class.
  search = { for name, dimension in {
    JobsFailed       = "class"
    InputTokens      = "tool"
    OutputTokens     = "tool"
    EstimatedCostUSD = "tool"
    } : name => [{
      expression = "SEARCH('{${local.metrics_namespace},function,${dimension}} MetricName=\"${name}\" ${local.of_callers}', 'Sum', 300)"
      label      = ""
  }] }

  own = { for name in [
    "JobsSucceeded", "Duplicates", "NotStarted", "CallbackLatency", "ToolLatency", "LedgerLatency", "BatchSize", "CallbacksDead",
    "Held", "DeadLetters", "ConfigurationBroken", "EstimatedCostUSD",
  ] : name => [local.metrics_namespace, name, "function", local.worker_name] }

  dashboard_rows = [
    {
      title = "Flow"
      graphs = {
        "Jobs in the queue" = { stat = "Maximum", metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.jobs_queue, { label = "waiting" }],
          ["AWS/SQS", "ApproximateNumberOfMessagesNotVisible", "QueueName", local.jobs_queue, { label = "running or deferred" }],
        ] }
        "Jobs in and out" = { stat = "Sum", metrics = [
          ["AWS/SQS", "NumberOfMessagesSent", "QueueName", local.jobs_queue, { label = "sent" }],
          ["AWS/SQS", "NumberOfMessagesDeleted", "QueueName", local.jobs_queue, { label = "finished" }],
          local.own.JobsSucceeded, local.own.Duplicates, local.own.NotStarted,
        ] }
        "Batches at once, and refused" = { stat = "Maximum", metrics = [
          ["AWS/Lambda", "ConcurrentExecutions", "FunctionName", local.worker_name],
          ["AWS/Lambda", "Throttles", "FunctionName", local.worker_name, { stat = "Sum" }],
          local.own.BatchSize,
        ] }
      }
    },
    {
      title = "Latency"
      graphs = {
        "Age of the oldest job, in seconds" = { stat = "Maximum", metrics = [
          ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.jobs_queue],
        ] }
        "One batch, in ms" = { stat = "p95", metrics = [
          ["AWS/Lambda", "Duration", "FunctionName", local.worker_name, { stat = "p50", label = "p50" }],
          ["AWS/Lambda", "Duration", "FunctionName", local.worker_name, { label = "p95" }],
          ["AWS/Lambda", "Duration", "FunctionName", local.worker_name, { stat = "Maximum", label = "longest" }],
        ] }
        "Tools, ledger and callbacks, in ms" = { stat = "p95", metrics = [
          local.own.ToolLatency, local.own.LedgerLatency, local.own.CallbackLatency,
        ] }
      }
    },
    {
      title = "Failures"
      graphs = {
        "Failed jobs by class" = { stat = "Sum", metrics = [local.search.JobsFailed] }
        "Failed invocations" = { stat = "Sum", metrics = [
          for role, name in local.function_names : ["AWS/Lambda", "Errors", "FunctionName", name, { label = role }]
        ] }
        "For a person" = { stat = "Sum", metrics = [
          local.own.Held, local.own.CallbacksDead, local.own.ConfigurationBroken,
        ] }
      }
    },
    {
      title = "Tokens and dollars"
      graphs = {
        "Tokens in, by tool"  = { stat = "Sum", metrics = [local.search.InputTokens] }
        "Tokens out, by tool" = { stat = "Sum", metrics = [local.search.OutputTokens] }
        "USD, by tool"        = { stat = "Sum", metrics = [local.search.EstimatedCostUSD] }
      }
    },
    {
      title = "Dead letters"
      graphs = {
        "Dead letters that lie there" = { stat = "Maximum", metrics = [
          ["AWS/SQS", "ApproximateNumberOfMessagesVisible", "QueueName", local.dlq],
        ] }
        "Dead letters that came" = { stat = "Sum", metrics = [
          ["AWS/SQS", "NumberOfMessagesSent", "QueueName", local.dlq], local.own.DeadLetters,
        ] }
        "Age of the oldest, in seconds" = { stat = "Maximum", metrics = [
          ["AWS/SQS", "ApproximateAgeOfOldestMessage", "QueueName", local.dlq],
        ] }
      }
    },
  ]

  # A row is a title of height 1 and graphs of height 6, side by side.
  dashboard_widgets = flatten([for row, content in local.dashboard_rows : concat(
    [{ type = "text", x = 0, y = row * 7, width = 24, height = 1, properties = { markdown = "## ${content.title}" } }],
    [for at, title in keys(content.graphs) : {
      type = "metric", x = at * 8, y = row * 7 + 1, width = 8, height = 6
      properties = {
        title   = title
        region  = local.region
        view    = "timeSeries"
        period  = 300
        stat    = content.graphs[title].stat
        metrics = content.graphs[title].metrics
      }
    }],
  )])
}

resource "aws_cloudwatch_dashboard" "this" {
  count = var.dashboard_enabled ? 1 : 0

  dashboard_name = var.name
  dashboard_body = jsonencode({ widgets = local.dashboard_widgets })
}
