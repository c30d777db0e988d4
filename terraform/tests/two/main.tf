# Two installations of all there is, in one account and region.

terraform {
  required_providers {
    aws = {
      source = "hashicorp/aws"
    }
  }
}

module "installation" {
  for_each = toset(["one", "two"])
  source   = "../.."

  name       = each.key
  lambda_zip = "versions.tf"
  tools_file = "examples/complete/tools.toml"

  litellm_enabled               = true
  litellm_database_enabled      = true
  litellm_secret_names          = []
  litellm_secret_values         = { LITELLM_MASTER_KEY = "sk-that-nobody-must-see", DATABASE_PASSWORD = "pw-that-nobody-must-see" }
  litellm_secret_values_version = 1
  litellm_image                 = "123456789012.dkr.ecr.eu-west-1.amazonaws.com/litellm:v1.106.2"

  api_enabled                 = true
  api_provisioned_concurrency = 1
  api_jwt                     = { issuer = "https://login.example.com", audience = ["jobs"] }
  api_domain                  = { name = "${each.key}.example.com", certificate_arn = "arn:aws:acm:eu-west-1:123456789012:certificate/1" }

  secret_values         = { MCP_BATCH_LLM_API_KEY = "sk-that-nobody-must-see" }
  secret_values_version = 1
  secret_rotation       = { lambda_arn = "arn:aws:lambda:eu-west-1:123456789012:function:rotate", days = 30 }

  alarm_email  = "ops@example.com"
  otlp_to_xray = true
}
