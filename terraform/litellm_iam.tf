# The two roles of LiteLLM's tasks.

locals {
  is_in_ecr = can(regex("\\.dkr\\.ecr\\.", var.litellm_image))
  # [account, region, repository]
  ecr_parts = local.is_in_ecr ? regex("^([0-9]+)\\.dkr\\.ecr\\.([a-z0-9-]+)\\.[^/]+/([^:@]+)", var.litellm_image) : []
}

# What LiteLLM itself may do: read its configuration.
resource "aws_iam_role" "litellm" {
  count = local.litellm_count

  name               = "${local.global_name}-litellm"
  description        = "What LiteLLM of ${var.name} may do."
  assume_role_policy = local.trust.ecs-tasks
  tags               = local.tags
}

resource "aws_iam_role_policy" "litellm" {
  count = local.litellm_count

  name = "litellm"
  role = aws_iam_role.litellm[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([{
      Sid      = "Configuration"
      Effect   = "Allow"
      Action   = ["s3:GetObject"]
      Resource = ["${aws_s3_bucket.this["files"].arn}/litellm-config/*"]
    }], [for statement in local.allow_key : merge(statement, { Action = ["kms:Decrypt"] })])
  })
}

# What ECS may do to start it: read its secret, write its log, and fetch an image from ECR if it lies there.
resource "aws_iam_role" "litellm_start" {
  count = local.litellm_count

  name               = "${local.global_name}-litellm-start"
  description        = "What ECS may do to start LiteLLM of ${var.name}."
  assume_role_policy = local.trust.ecs-tasks
  tags               = local.tags
}

resource "aws_iam_role_policy" "litellm_start" {
  count = local.litellm_count

  name = "start"
  role = aws_iam_role.litellm_start[0].id
  policy = jsonencode({
    Version = "2012-10-17"
    Statement = concat([
      {
        Sid      = "Secret"
        Effect   = "Allow"
        Action   = ["secretsmanager:GetSecretValue"]
        Resource = [aws_secretsmanager_secret.litellm[0].arn]
      },
      {
        Sid      = "OwnLog"
        Effect   = "Allow"
        Action   = ["logs:CreateLogStream", "logs:PutLogEvents"]
        Resource = ["${aws_cloudwatch_log_group.litellm[0].arn}:*"]
      },
      ], [for statement in local.allow_key : merge(statement, { Action = ["kms:Decrypt"] })],
      [for statement in [
        {
          Sid      = "Image"
          Effect   = "Allow"
          Action   = ["ecr:BatchGetImage", "ecr:GetDownloadUrlForLayer"]
          Resource = ["arn:${local.partition}:ecr:${try(local.ecr_parts[1], "")}:${try(local.ecr_parts[0], "")}:repository/${try(local.ecr_parts[2], "")}"]
        },
        # ECR knows no resource for this one.
        { Sid = "EcrLogin", Effect = "Allow", Action = ["ecr:GetAuthorizationToken"], Resource = ["*"] },
    ] : statement if local.is_in_ecr])
  })
}
