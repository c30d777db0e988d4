# Secrets without values: those come by command line, or by variables that reach neither plan nor state.

locals {
  secret_recovery_days = var.deletion_protection ? 30 : 0
}

resource "aws_secretsmanager_secret" "functions" {
  name                    = "${var.name}/functions"
  description             = "What the functions of ${var.name} must not have in their environment: names of variables, as docs/settings.md has them, and what the catalog calls secret:NAME."
  kms_key_id              = local.kms_key_arn
  recovery_window_in_days = local.secret_recovery_days
  tags                    = local.tags
}

resource "aws_secretsmanager_secret_version" "functions" {
  count = var.secret_values_version == null ? 0 : 1

  secret_id                = aws_secretsmanager_secret.functions.id
  secret_string_wo         = jsonencode(var.secret_values)
  secret_string_wo_version = var.secret_values_version
}

resource "aws_secretsmanager_secret_rotation" "functions" {
  count = var.secret_rotation == null ? 0 : 1

  secret_id           = aws_secretsmanager_secret.functions.id
  rotation_lambda_arn = var.secret_rotation.lambda_arn

  # The function is asked for a new value when it is time, not by this apply.
  rotate_immediately = false

  rotation_rules {
    automatically_after_days = var.secret_rotation.days
  }
}

resource "aws_secretsmanager_secret" "litellm" {
  count = var.litellm_enabled ? 1 : 0

  name                    = "${var.name}/litellm"
  description             = "LiteLLM's master key and the keys of its providers, for ${var.name}."
  kms_key_id              = local.kms_key_arn
  recovery_window_in_days = local.secret_recovery_days
  tags                    = local.tags
}

resource "aws_secretsmanager_secret_version" "litellm" {
  count = var.litellm_enabled && var.litellm_secret_values_version != null ? 1 : 0

  secret_id                = aws_secretsmanager_secret.litellm[0].id
  secret_string_wo         = jsonencode(var.litellm_secret_values)
  secret_string_wo_version = var.litellm_secret_values_version
}
