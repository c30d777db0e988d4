# The sweep: every few minutes it looks for what no message wakes.

locals {
  sweep = {
    enabled              = var.sweep_enabled
    description          = "Finishes what no message wakes."
    timeout_s            = 300
    memory_mb            = 128
    reserved_concurrency = -1
    environment          = {}
  }

  # A sweep that fails or comes late is not made up for: the next one is near.
  sweep_interval_s = 60 * var.sweep_interval_min
}

resource "aws_lambda_function_event_invoke_config" "sweep" {
  count = var.sweep_enabled ? 1 : 0

  function_name                = aws_lambda_function.this["sweep"].function_name
  qualifier                    = aws_lambda_alias.prod["sweep"].name
  maximum_retry_attempts       = 0
  maximum_event_age_in_seconds = local.sweep_interval_s
}

resource "aws_scheduler_schedule_group" "sweep" {
  count = var.sweep_enabled ? 1 : 0

  name = var.name
  tags = local.tags
}

resource "aws_scheduler_schedule" "sweep" {
  count = var.sweep_enabled ? 1 : 0

  name        = "${var.name}-sweep"
  description = "Calls the sweep of ${var.name}."
  group_name  = aws_scheduler_schedule_group.sweep[0].name
  kms_key_arn = local.kms_key_arn

  schedule_expression = "rate(${var.sweep_interval_min} ${var.sweep_interval_min == 1 ? "minute" : "minutes"})"

  flexible_time_window {
    mode = "OFF"
  }

  target {
    arn      = aws_lambda_alias.prod["sweep"].arn
    role_arn = aws_iam_role.schedule[0].arn

    retry_policy {
      maximum_retry_attempts       = 0
      maximum_event_age_in_seconds = local.sweep_interval_s
    }
  }

  depends_on = [aws_iam_role_policy.schedule]
}
