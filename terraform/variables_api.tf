# The HTTP face.

variable "api_enabled" {
  description = "Whether jobs can be sent and asked after by HTTP."
  type        = bool
  default     = false
  nullable    = false
}

variable "api_memory_mb" {
  description = "The API function's memory, in MB."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.api_memory_mb >= 128 && var.api_memory_mb <= 10240
    error_message = "api_memory_mb: write 128 to 10240."
  }
}

variable "api_throttle_rate" {
  description = "Requests a second, over a longer time, before API Gateway answers 429."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.api_throttle_rate > 0
    error_message = "api_throttle_rate: write more than 0."
  }
}

variable "api_throttle_burst" {
  description = "Requests at once before API Gateway answers 429."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.api_throttle_burst >= 1
    error_message = "api_throttle_burst: write at least 1."
  }
}

variable "api_provisioned_concurrency" {
  description = "Instances of the API function kept warm, at about 3 USD a month each with 256 MB; 0: none, and a cold start of some 50 ms."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.api_provisioned_concurrency >= 0
    error_message = "api_provisioned_concurrency: write 0 or more."
  }
}

variable "api_cors_origins" {
  description = "Origins of web pages that may call the API, such as \"https://app.example.com\". Empty: none."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for origin in var.api_cors_origins : can(regex("^https?://[^/]+$", origin))])
    error_message = "api_cors_origins: write origins with a scheme and without a path, such as \"https://app.example.com\"."
  }
}

variable "api_jwt" {
  description = "An issuer of JSON Web Tokens whose tokens API Gateway asks for before the function's own keys; null: keys alone."
  type        = object({ issuer = string, audience = list(string) })
  default     = null

  validation {
    condition     = var.api_jwt == null ? true : startswith(var.api_jwt.issuer, "https://") && length(var.api_jwt.audience) > 0
    error_message = "api_jwt: write the issuer as an https URL, and at least one audience."
  }
}

variable "api_domain" {
  description = "A name of your own for the API and its ACM certificate in this region; point the name at the output api_domain_target."
  type        = object({ name = string, certificate_arn = string })
  default     = null

  validation {
    condition     = var.api_domain == null ? true : can(regex("^[a-z0-9.-]+$", var.api_domain.name))
    error_message = "api_domain.name: write a host without scheme or path, such as \"jobs.example.com\"."
  }
}
