# The queues and what leads from them to the worker.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  # Any file does: nothing is sent anywhere.
  lambda_zip = "versions.tf"
  # Terraform 1.11 wants to hear of ephemeral variables in a test, though they have defaults.
  secret_values         = {}
  litellm_secret_values = {}
  llm_url               = "https://litellm.example.com/v1"
}

run "by_default_no_job_is_lost_to_a_clock" {
  command = plan

  assert {
    condition     = aws_sqs_queue.jobs.visibility_timeout_seconds >= 6 * aws_lambda_function.this["worker"].timeout + aws_lambda_event_source_mapping.jobs.maximum_batching_window_in_seconds
    error_message = "A message must stay hidden for six times the function's timeout and the window."
  }

  assert {
    condition     = aws_sqs_queue.jobs.message_retention_seconds == 4 * 86400 && aws_sqs_queue.dead_letters.message_retention_seconds == 14 * 86400
    error_message = "Jobs are kept for 4 days, dead letters for 14."
  }

  assert {
    condition     = aws_sqs_queue.jobs.max_message_size < aws_sqs_queue.dead_letters.max_message_size
    error_message = "A dead letter is a job and its reason: it needs more room."
  }

  assert {
    condition     = aws_sqs_queue.jobs.sqs_managed_sse_enabled && aws_sqs_queue.dead_letters.sqs_managed_sse_enabled
    error_message = "Both queues are encrypted."
  }

  assert {
    condition     = !aws_sqs_queue.jobs.fifo_queue && aws_sqs_queue.jobs.name == "mcp-batch-jobs"
    error_message = "The jobs queue is a standard one."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.jobs.function_response_types == toset(["ReportBatchItemFailures"])
    error_message = "The mapping reports which messages come back."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.jobs.batch_size == 450 && aws_lambda_event_source_mapping.jobs.maximum_batching_window_in_seconds == 1
    error_message = "A batch is as many 12 KB jobs as fit 6 MB."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.jobs.scaling_config[0].maximum_concurrency == 4
    error_message = "Four batches at once, so that a receiver gets 20 callbacks at once at most."
  }

  assert {
    condition     = length(aws_lambda_event_source_mapping.jobs.filter_criteria) == 0
    error_message = "A filter deletes what does not match it."
  }
}

run "redrive_and_tls" {
  # What depends on ARNs is known only then.
  command = apply

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_policy.jobs.redrive_policy) == { deadLetterTargetArn = aws_sqs_queue.dead_letters.arn, maxReceiveCount = 100 }
    error_message = "SQS is the net for messages that die before a claim."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_allow_policy.dead_letters.redrive_allow_policy) == { redrivePermission = "byQueue", sourceQueueArns = [aws_sqs_queue.jobs.arn] }
    error_message = "Nobody else's queue may use the dead letters."
  }

  assert {
    condition     = alltrue([for policy in aws_sqs_queue_policy.tls_only : jsondecode(policy.policy).Statement[0].Condition.Bool["aws:SecureTransport"] == "false"]) && length(aws_sqs_queue_policy.tls_only) == 2
    error_message = "Both queues refuse what is not TLS."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.jobs.function_name == aws_lambda_alias.prod["worker"].arn
    error_message = "The queue's batches go to the alias."
  }
}

run "a_fifo_queue_has_its_own_limits" {
  command = plan

  variables {
    fifo = true
  }

  assert {
    condition     = aws_sqs_queue.jobs.fifo_queue && aws_sqs_queue.jobs.name == "mcp-batch-jobs.fifo" && aws_sqs_queue.dead_letters.name == "mcp-batch-dead-letters.fifo"
    error_message = "Both queues are FIFO ones."
  }

  assert {
    condition     = aws_lambda_event_source_mapping.jobs.batch_size == 10 && aws_lambda_event_source_mapping.jobs.maximum_batching_window_in_seconds == 0
    error_message = "Ten at a time and no window."
  }

  assert {
    condition     = aws_sqs_queue.jobs.fifo_throughput_limit == "perMessageGroupId"
    error_message = "Groups are worked off side by side."
  }
}

run "a_fifo_queue_may_receive_a_message_more_often" {
  command = apply

  variables {
    fifo = true
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_policy.jobs.redrive_policy).maxReceiveCount == 1000
    error_message = "What follows a job that came back comes back too."
  }
}

run "the_queue_as_asked" {
  command = apply

  variables {
    name                        = "mcp-test"
    queue_retention_days        = 7
    max_receive_count           = 50
    batch_size                  = 1000
    batch_window_s              = 5
    worker_timeout_s            = 300
    worker_memory_mb            = 512
    worker_maximum_concurrency  = 2
    worker_reserved_concurrency = 3
  }

  assert {
    condition     = aws_sqs_queue.jobs.name == "mcp-test-jobs" && aws_lambda_function.this["worker"].function_name == "mcp-test-worker"
    error_message = "Every name begins with the installation's."
  }

  assert {
    condition     = aws_sqs_queue.jobs.message_retention_seconds == 7 * 86400
    error_message = "queue_retention_days"
  }

  assert {
    condition     = aws_sqs_queue.jobs.visibility_timeout_seconds == 6 * 300 + 5
    error_message = "worker_timeout_s and batch_window_s hide messages for longer."
  }

  assert {
    condition     = jsondecode(aws_sqs_queue_redrive_policy.jobs.redrive_policy).maxReceiveCount == 50
    error_message = "max_receive_count"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.jobs.batch_size == 1000 && aws_lambda_event_source_mapping.jobs.maximum_batching_window_in_seconds == 5
    error_message = "batch_size, batch_window_s"
  }

  assert {
    condition     = aws_lambda_event_source_mapping.jobs.scaling_config[0].maximum_concurrency == 2
    error_message = "worker_maximum_concurrency"
  }

  assert {
    condition = (
      aws_lambda_function.this["worker"].timeout == 300 && aws_lambda_function.this["worker"].memory_size == 512
      && aws_lambda_function.this["worker"].reserved_concurrent_executions == 3
    )
    error_message = "worker_timeout_s, worker_memory_mb, worker_reserved_concurrency"
  }
}

run "where_only_batches_are_told_callbacks_are_not_counted" {
  command = plan

  variables {
    worker_maximum_concurrency = 50
    fan_in_only                = true
  }

  assert {
    condition     = aws_lambda_event_source_mapping.jobs.scaling_config[0].maximum_concurrency == 50
    error_message = "fan_in_only"
  }
}
