# The jobs queue and the queue of dead letters.

locals {
  fifo_suffix       = var.fifo ? ".fifo" : ""
  max_receive_count = coalesce(var.max_receive_count, var.fifo ? 1000 : 100)

  # A message must stay hidden for as long as Lambda may try its batch: "set the visibility timeout to at least six times
  # the function timeout, plus the value of MaximumBatchingWindowInSeconds" (Lambda developer guide).
  visibility_timeout_s = 6 * var.worker_timeout_s + local.batch_window_s

  # The most that this version of the provider lets a queue take, though SQS takes 1 MiB.
  sqs_max_bytes = 262144

  # A dead letter is the job's body and the reason: what the jobs queue takes must leave room for it.
  letter_attributes_bytes = 8192

  queues = { jobs = aws_sqs_queue.jobs, dead_letters = aws_sqs_queue.dead_letters }
}

resource "aws_sqs_queue" "jobs" {
  name       = "${var.name}-jobs${local.fifo_suffix}"
  fifo_queue = var.fifo

  # Groups are worked off side by side, at the rate of many partitions.
  deduplication_scope   = var.fifo ? "messageGroup" : null
  fifo_throughput_limit = var.fifo ? "perMessageGroupId" : null

  visibility_timeout_seconds = local.visibility_timeout_s
  message_retention_seconds  = var.queue_retention_days * 86400
  receive_wait_time_seconds  = 20
  max_message_size           = local.sqs_max_bytes - local.letter_attributes_bytes

  sqs_managed_sse_enabled           = local.has_own_key ? null : true
  kms_master_key_id                 = local.kms_key_arn
  kms_data_key_reuse_period_seconds = local.has_own_key ? 3600 : null

  tags = local.tags

  lifecycle {
    # So that both queues can be raised to SQS's 1 MiB by hand (docs/terraform.md).
    ignore_changes = [max_message_size]
  }
}

resource "aws_sqs_queue" "dead_letters" {
  name       = "${var.name}-dead-letters${local.fifo_suffix}"
  fifo_queue = var.fifo

  deduplication_scope   = var.fifo ? "messageGroup" : null
  fifo_throughput_limit = var.fifo ? "perMessageGroupId" : null

  # The longest there is: people look at these.
  message_retention_seconds  = 14 * 86400
  receive_wait_time_seconds  = 20
  visibility_timeout_seconds = 60
  max_message_size           = local.sqs_max_bytes

  sqs_managed_sse_enabled           = local.has_own_key ? null : true
  kms_master_key_id                 = local.kms_key_arn
  kms_data_key_reuse_period_seconds = local.has_own_key ? 3600 : null

  tags = local.tags

  lifecycle {
    ignore_changes = [max_message_size]
  }
}

resource "aws_sqs_queue_redrive_policy" "jobs" {
  queue_url = aws_sqs_queue.jobs.url
  redrive_policy = jsonencode({
    deadLetterTargetArn = aws_sqs_queue.dead_letters.arn
    maxReceiveCount     = local.max_receive_count
  })
}

resource "aws_sqs_queue_redrive_allow_policy" "dead_letters" {
  queue_url = aws_sqs_queue.dead_letters.url
  redrive_allow_policy = jsonencode({
    redrivePermission = "byQueue"
    sourceQueueArns   = [aws_sqs_queue.jobs.arn]
  })
}

resource "aws_sqs_queue_policy" "tls_only" {
  for_each = local.queues

  queue_url = each.value.url
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [{
      Sid       = "RefuseWhatIsNotEncryptedOnItsWay"
      Effect    = "Deny"
      Principal = "*"
      Action    = "sqs:*"
      Resource  = each.value.arn
      Condition = { Bool = { "aws:SecureTransport" = "false" } }
    }]
  })
}
