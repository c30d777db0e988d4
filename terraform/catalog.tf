# What is configured by files: the catalog of tools, and LiteLLM's configuration. Their names hold
# their hashes, so that a changed file is a changed setting, and takes effect without a build.

locals {
  has_tools = var.tools_file != null
  has_files = local.has_tools || var.litellm_enabled

  litellm_config = coalesce(var.litellm_config_file, "${path.module}/../litellm/litellm-config.yaml")

  files = { for name, file in {
    tools          = { path = var.tools_file, suffix = "toml", needed = local.has_tools }
    litellm-config = { path = local.litellm_config, suffix = "yaml", needed = var.litellm_enabled }
  } : name => file if file.needed }
}

resource "aws_s3_object" "file" {
  for_each = local.files

  bucket       = aws_s3_bucket.this["files"].id
  key          = "${each.key}/${filesha256(each.value.path)}.${each.value.suffix}"
  source       = each.value.path
  content_type = "application/${each.value.suffix}"
  tags         = local.tags

  # The one that is replaced is needed until all that names it is replaced too.
  lifecycle {
    create_before_destroy = true
  }
}
