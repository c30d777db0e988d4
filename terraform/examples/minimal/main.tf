# The worker alone, for those who have an LLM router: queue, function, ledger, secret, alarms.

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

variable "llm_url" {
  description = "Your LiteLLM, or any OpenAI-compatible API, such as \"https://litellm.example.com/v1\"."
  type        = string
}

variable "llm_api" {
  description = "\"openai\" where it is not LiteLLM, and refuses LiteLLM's own fields."
  type        = string
  default     = null
}

variable "callback_hosts" {
  description = "The hosts that callbacks may go to, such as [\"n8n.example.com\"]."
  type        = list(string)
  default     = []
}

variable "architecture" {
  description = "arm64, or x86_64 where `make lambda` could build only that."
  type        = string
  default     = "arm64"
}

variable "secret_values" {
  description = "For the functions' secret: MCP_BATCH_LLM_API_KEY, MCP_BATCH_CALLBACK_SECRETS. Set it by TF_VAR_secret_values."
  type        = map(string)
  ephemeral   = true
  sensitive   = true
}

module "mcp_batch" {
  source = "../.."

  llm_url        = var.llm_url
  llm_api        = var.llm_api
  callback_hosts = var.callback_hosts
  architecture   = var.architecture

  # Raise the version to write the secret anew.
  secret_values         = var.secret_values
  secret_values_version = 1

  # To try things out. Leave it away for what has to last.
  deletion_protection = false
}

output "queue_url" {
  description = "Where jobs are sent."
  value       = module.mcp_batch.queue_url
}

output "dlq_url" {
  description = "Where dead letters lie."
  value       = module.mcp_batch.dlq_url
}

output "secret_arn" {
  description = "The functions' secret."
  value       = module.mcp_batch.secret_arn
}

output "n8n_policy_arn" {
  description = "The policy for the user whose keys n8n has."
  value       = module.mcp_batch.n8n_policy_arn
}
