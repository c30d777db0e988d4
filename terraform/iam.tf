# Who may do what: one role a function, one for the schedule, and a policy for n8n. Each statement names its actions and the very
# resources; where AWS takes nothing but "*", a comment says so. That these are the actions which the
# program calls, and no more, is tested on the wire (scripts/e2e/terraform-apply).

locals {
  allow_ledger = {
    Sid      = "Ledger"
    Effect   = "Allow"
    Action   = ["dynamodb:BatchGetItem", "dynamodb:GetItem", "dynamodb:PutItem", "dynamodb:UpdateItem"]
    Resource = [aws_dynamodb_table.ledger.arn]
  }

  allow_attention = {
    Sid      = "Attention"
    Effect   = "Allow"
    Action   = ["dynamodb:Query"]
    Resource = ["${aws_dynamodb_table.ledger.arn}/index/attention"]
  }

  allow_own_log = { for role in keys(local.functions) : role => {
    Sid      = "OwnLog"
    Effect   = "Allow"
    Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
    Resource = ["${aws_cloudwatch_log_group.function[role].arn}:*"]
  } }

  allow_secret = {
    Sid      = "Secret"
    Effect   = "Allow"
    Action   = ["secretsmanager:GetSecretValue"]
    Resource = [aws_secretsmanager_secret.functions.arn]
  }

  allow_results = [for bucket in [for name, bucket in aws_s3_bucket.this : bucket if name == "results"] : {
    Sid      = "Results"
    Effect   = "Allow"
    Action   = ["s3:GetObject", "s3:PutObject"]
    Resource = ["${bucket.arn}/results/*"]
  }]

  allow_catalog = [for file in [for name, file in aws_s3_object.file : file if name == "tools"] : {
    Sid      = "Catalog"
    Effect   = "Allow"
    Action   = ["s3:GetObject"]
    Resource = ["${aws_s3_bucket.this["files"].arn}/tools/*"]
  }]

  allow_key = [for key in var.kms_key[*] : {
    Sid      = "OwnKey"
    Effect   = "Allow"
    Action   = ["kms:Decrypt", "kms:GenerateDataKey"]
    Resource = [key.arn]
  }]

  # X-Ray knows no resources for these two.
  allow_tracing = [for _ in range(var.xray_enabled ? 1 : 0) : {
    Sid      = "Tracing"
    Effect   = "Allow"
    Action   = ["xray:PutTelemetryRecords", "xray:PutTraceSegments"]
    Resource = ["*"]
  }]

  # Nor for these.
  allow_traces = [for _ in range(var.otlp_to_xray ? 1 : 0) : {
    Sid      = "Traces"
    Effect   = "Allow"
    Action   = ["xray:PutSpans", "xray:PutSpansForIndexing", "xray:PutTraceSegments"]
    Resource = ["*"]
  }]

  vpc_actions = [
    "ec2:AssignPrivateIpAddresses", "ec2:CreateNetworkInterface", "ec2:DeleteNetworkInterface",
    "ec2:DescribeNetworkInterfaces", "ec2:DescribeSubnets", "ec2:UnassignPrivateIpAddresses",
  ]

  # Lambda asks whether the role is allowed these on "*" before it puts a function into a VPC; it uses them itself. The second
  # statement takes them from the function's own code.
  allow_vpc = { for role in keys(local.functions) : role => [for statement in [
    { Sid = "Vpc", Effect = "Allow", Action = local.vpc_actions, Resource = ["*"], Condition = {} },
    {
      Sid       = "VpcNotForTheCode"
      Effect    = "Deny"
      Action    = local.vpc_actions
      Resource  = ["*"]
      Condition = { ArnEquals = { "lambda:SourceFunctionArn" = [local.function_arns[role]] } }
    },
  ] : { for key, value in statement : key => value if key != "Condition" || length(value) > 0 } if local.functions_in_vpc] }

  # Written out, since function and role would wait for each other.
  function_arns = { for role in keys(local.functions) :
    role => "arn:${local.partition}:lambda:${local.region}:${local.account_id}:function:${var.name}-${role}"
  }

  allow_jobs = {
    # The first three are those of the event source mapping, the others the worker's own.
    worker = [{
      Sid    = "Jobs"
      Effect = "Allow"
      Action = [
        "sqs:DeleteMessage", "sqs:GetQueueAttributes", "sqs:ReceiveMessage",
        "sqs:ChangeMessageVisibility", "sqs:SendMessage",
      ]
      Resource = [aws_sqs_queue.jobs.arn]
    }]
    api = [{
      Sid      = "Jobs"
      Effect   = "Allow"
      Action   = ["sqs:GetQueueAttributes", "sqs:SendMessage"]
      Resource = [aws_sqs_queue.jobs.arn]
    }]
  }

  allow_dead_letters = {
    Sid      = "DeadLetters"
    Effect   = "Allow"
    Action   = ["sqs:SendMessage"]
    Resource = [aws_sqs_queue.dead_letters.arn]
  }

  # The sweep has to do with neither queue nor tools.
  allow_role = {
    worker = concat(local.allow_jobs.worker, [local.allow_dead_letters], local.allow_catalog)
    sweep  = [local.allow_attention]
    api    = concat(local.allow_jobs.api, local.allow_catalog)
  }

  statements = { for role in keys(local.functions) : role => concat(
    [local.allow_ledger, local.allow_secret, local.allow_own_log[role]],
    local.allow_role[role], local.allow_results, local.allow_key, local.allow_tracing, local.allow_traces,
    local.allow_vpc[role],
  ) }

  # Nobody else's task or schedule may make its service take a role of ours. Lambda names no source.
  of_this_account = { StringEquals = { "aws:SourceAccount" = local.account_id } }

  trust = { for service, condition in {
    ecs-tasks = local.of_this_account
    lambda    = null
    scheduler = local.of_this_account
    } : service => jsonencode({
      Version = "2012-10-17"
      Statement = [{ for key, value in {
        Effect    = "Allow"
        Action    = "sts:AssumeRole"
        Principal = { Service = "${service}.amazonaws.com" }
        Condition = condition
      } : key => value if value != null }]
  }) }
}

resource "aws_iam_role" "function" {
  for_each = local.functions

  name               = "${local.global_name}-${each.key}"
  description        = "What the function ${var.name}-${each.key} may do."
  assume_role_policy = local.trust.lambda
  tags               = local.tags
}

resource "aws_iam_role_policy" "function" {
  for_each = local.functions

  name   = each.key
  role   = aws_iam_role.function[each.key].id
  policy = jsonencode({ Version = "2012-10-17", Statement = local.statements[each.key] })
}

resource "aws_iam_role" "schedule" {
  count = var.sweep_enabled ? 1 : 0

  name               = "${local.global_name}-schedule"
  description        = "What the schedule of ${var.name} may do."
  assume_role_policy = local.trust.scheduler
  tags               = local.tags
}

resource "aws_iam_role_policy" "schedule" {
  count = var.sweep_enabled ? 1 : 0

  name = "schedule"
  role = aws_iam_role.schedule[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Sid      = "Sweep"
      Effect   = "Allow"
      Action   = ["lambda:InvokeFunction"]
      Resource = [aws_lambda_alias.prod["sweep"].arn]
    }], [for statement in local.allow_key : merge(statement, { Action = ["kms:Decrypt"] })])
  })
}

# For the user whose keys n8n has.
resource "aws_iam_policy" "n8n" {
  name        = "${local.global_name}-n8n"
  description = "Send jobs to ${var.name}, and nothing else."
  tags        = local.tags

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Sid      = "SendJobs"
      Effect   = "Allow"
      Action   = ["sqs:GetQueueAttributes", "sqs:GetQueueUrl", "sqs:SendMessage"]
      Resource = [aws_sqs_queue.jobs.arn]
    }], local.allow_key)
  })
}
