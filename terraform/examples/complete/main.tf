# All of it: LiteLLM in a VPC of its own, the HTTP face, a catalog, a key of one's own, alarms by mail.

terraform {
  required_version = ">= 1.11"

  required_providers {
    aws = {
      source  = "hashicorp/aws"
      version = "~> 5.100"
    }
  }
}

# Region and credentials come from the environment: AWS_REGION, AWS_PROFILE, …
provider "aws" {}

module "mcp_batch" {
  source = "../.."

  name         = var.name
  architecture = var.architecture
  tags         = { Environment = "production" }

  kms_key             = aws_kms_key.mcp_batch
  deletion_protection = var.deletion_protection

  # How jobs are run, and where their callbacks go.
  tools_file                 = "${path.module}/tools.toml"
  callback_hosts             = var.callback_hosts
  worker_maximum_concurrency = 4
  callback_concurrency       = 5
  callback_max_in_flight     = 20

  # LiteLLM behind an internal load balancer, the functions beside it. Its configuration is this repository's;
  # litellm_config_file names another.
  litellm_enabled               = true
  litellm_secret_names          = ["ANTHROPIC_API_KEY", "OPENAI_API_KEY"]
  litellm_secret_values         = var.litellm_secret_values
  litellm_secret_values_version = 1
  nat                           = "one"

  # What the functions must not have in their environment.
  secret_values         = var.secret_values
  secret_values_version = 1

  api_enabled                 = true
  api_throttle_rate           = 50
  api_throttle_burst          = 100
  api_provisioned_concurrency = 1

  alarm_email             = var.alarm_email
  cost_budget_usd_per_day = 25
  log_retention_days      = 90
}

# One key for table, queues, buckets, secrets, logs and alarms. Functions use it by their roles; services that act by
# themselves are named here.
resource "aws_kms_key" "mcp_batch" {
  description             = "What ${var.name} keeps."
  enable_key_rotation     = true
  deletion_window_in_days = 7

  policy = jsonencode({
    Version = "2012-10-17"
    Statement = [
      {
        Sid       = "OfThisAccount"
        Effect    = "Allow"
        Principal = { AWS = "arn:${data.aws_partition.current.partition}:iam::${data.aws_caller_identity.current.account_id}:root" }
        Action    = "kms:*"
        Resource  = "*"
      },
      {
        Sid       = "Logs"
        Effect    = "Allow"
        Principal = { Service = "logs.${data.aws_region.current.name}.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:DescribeKey", "kms:Encrypt", "kms:GenerateDataKey*", "kms:ReEncrypt*"]
        Resource  = "*"
        Condition = { ArnLike = {
          "kms:EncryptionContext:aws:logs:arn" = "arn:${data.aws_partition.current.partition}:logs:${data.aws_region.current.name}:${data.aws_caller_identity.current.account_id}:*"
        } }
      },
      {
        Sid       = "Alarms"
        Effect    = "Allow"
        Principal = { Service = "cloudwatch.amazonaws.com" }
        Action    = ["kms:Decrypt", "kms:GenerateDataKey*"]
        Resource  = "*"
        Condition = { StringEquals = { "aws:SourceAccount" = data.aws_caller_identity.current.account_id } }
      },
    ]
  })
}

resource "aws_kms_alias" "mcp_batch" {
  name          = "alias/${var.name}"
  target_key_id = aws_kms_key.mcp_batch.key_id
}

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}
