# The worker: batches of jobs come in from the queue, and out goes which of them come back.

locals {
  batch_size     = coalesce(var.batch_size, var.fifo ? 10 : 450)
  batch_window_s = var.batch_window_s != null ? var.batch_window_s : (local.batch_size <= 10 ? 0 : 1)

  worker = {
    enabled              = true
    description          = "Works off batches of jobs."
    timeout_s            = var.worker_timeout_s
    memory_mb            = var.worker_memory_mb
    reserved_concurrency = coalesce(var.worker_reserved_concurrency, -1)
    environment          = {}
  }
}

resource "aws_lambda_event_source_mapping" "jobs" {
  event_source_arn = aws_sqs_queue.jobs.arn
  function_name    = aws_lambda_alias.prod["worker"].arn

  # Without it a single failed job would bring back, or delete, its whole batch.
  function_response_types = ["ReportBatchItemFailures"]

  batch_size                         = local.batch_size
  maximum_batching_window_in_seconds = local.batch_window_s

  # No filter_criteria: a message that matches none is deleted without a trace.

  scaling_config {
    maximum_concurrency = var.worker_maximum_concurrency
  }

  tags = local.tags

  depends_on = [aws_sqs_queue_redrive_policy.jobs, aws_sqs_queue_redrive_allow_policy.dead_letters]
}
