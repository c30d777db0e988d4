variable "name" {
  description = "Begins every name."
  type        = string
  default     = "mcp-batch"
}

variable "architecture" {
  description = "arm64, or x86_64 where `make lambda` could build only that."
  type        = string
  default     = "arm64"
}

variable "callback_hosts" {
  description = "The hosts that callbacks may go to."
  type        = list(string)
  default     = ["n8n.example.com"]
}

variable "alarm_email" {
  description = "Who is told of alarms."
  type        = string
  default     = "ops@example.com"
}

variable "deletion_protection" {
  description = "Set it to false, and apply, before a destroy."
  type        = bool
  default     = true
}

variable "secret_values" {
  description = "For the functions' secret: MCP_BATCH_LLM_API_KEY (LiteLLM's master key, or one that it knows), MCP_BATCH_CALLBACK_SECRETS, MCP_BATCH_API_KEYS. Set it by TF_VAR_secret_values."
  type        = map(string)
  ephemeral   = true
  sensitive   = true
}

variable "litellm_secret_values" {
  description = "For LiteLLM's secret: LITELLM_MASTER_KEY, ANTHROPIC_API_KEY, OPENAI_API_KEY. Set it by TF_VAR_litellm_secret_values."
  type        = map(string)
  ephemeral   = true
  sensitive   = true
}
