# What the other files share. Region and account come from the provider, which whoever calls this
# module configures; called as a root module, it takes both from the environment.

data "aws_caller_identity" "current" {}

data "aws_partition" "current" {}

data "aws_region" "current" {}

locals {
  account_id = data.aws_caller_identity.current.account_id
  partition  = data.aws_partition.current.partition
  region     = data.aws_region.current.name

  # Names of IAM and S3 are not a region's own: these tell two installations apart all the same.
  global_name = "${var.name}-${local.region}"
  bucket_name = "${var.name}-${local.account_id}-${local.region}"

  tags = merge({ Application = "mcp-batch", Installation = var.name }, var.tags)

  has_own_key = var.kms_key != null
  kms_key_arn = one(var.kms_key[*].arn)

  zip_name   = "mcp-batch-lambda-${var.architecture}.zip"
  lambda_zip = coalesce(var.lambda_zip, "${path.module}/../target/lambda/${local.zip_name}")
  has_zip    = try(fileexists(local.lambda_zip), false)
}
