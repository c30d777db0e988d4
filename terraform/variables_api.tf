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
    condition     = var.api_memory_mb >= 128 && var.api_memory_mb <= 10240 && floor(var.api_memory_mb) == var.api_memory_mb
    error_message = "api_memory_mb: write a whole number from 128 to 10240."
  }
}

variable "api_throttle_rate" {
  description = "Requests a second, over a longer time, before API Gateway answers 429."
  type        = number
  default     = 50
  nullable    = false

  validation {
    condition     = var.api_throttle_rate > 0 && var.api_throttle_rate <= 1000000
    error_message = "api_throttle_rate: write more than 0, and at most 1000000."
  }
}

variable "api_throttle_burst" {
  description = "Requests at once before API Gateway answers 429."
  type        = number
  default     = 100
  nullable    = false

  validation {
    condition     = var.api_throttle_burst >= 1 && var.api_throttle_burst <= 1000000 && floor(var.api_throttle_burst) == var.api_throttle_burst
    error_message = "api_throttle_burst: write a whole number from 1 to 1000000."
  }
}

variable "api_provisioned_concurrency" {
  description = "Instances of the API function kept warm, at about 3 USD a month each with 256 MB; 0: none, and a cold start of some 50 ms."
  type        = number
  default     = 0
  nullable    = false

  validation {
    condition     = var.api_provisioned_concurrency >= 0 && var.api_provisioned_concurrency <= 1000 && floor(var.api_provisioned_concurrency) == var.api_provisioned_concurrency
    error_message = "api_provisioned_concurrency: write a whole number from 0 to 1000."
  }
}

variable "api_cors_origins" {
  description = "Origins of web pages that may call the API, such as \"https://app.example.com\". Empty: none."
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition = alltrue([for origin in var.api_cors_origins :
      can(regex("^https?://([a-z0-9_-]+(\\.[a-z0-9_-]+)*|\\[[0-9a-f:]+\\])(:[0-9]{1,5})?$", origin))
      && !can(regex("^http://.*:80$|^https://.*:443$", origin))
    ])
    error_message = "api_cors_origins: write origins as browsers tell them, with a scheme and without a path, in lower case, with a port only where it is not the scheme's, such as \"https://app.example.com\"; an asterisk would let every page in."
  }
}

variable "api_jwt" {
  description = <<-EOT
    An issuer of JSON Web Tokens in front of the API: API Gateway lets no request through without a token of it, in `header`, for
    one of `audience` and with one of `scopes`, if there are any. Who asks, and what for, the function's own key says as
    before, in Authorization: a token has no namespace. null: keys alone.
  EOT
  type = object({
    issuer   = string
    audience = list(string)
    scopes   = optional(list(string), [])
    header   = optional(string, "X-Access-Token")
  })
  default = null

  validation {
    condition     = var.api_jwt == null ? true : can(regex("^https://[^/?#\\s]+[^?#\\s]*$", var.api_jwt.issuer)) && length(var.api_jwt.audience) > 0
    error_message = "api_jwt: write the issuer as an https URL, as its tokens have it in \"iss\", and at least one audience."
  }

  validation {
    condition     = var.api_jwt == null ? true : can(regex("^[A-Za-z0-9-]+$", var.api_jwt.header)) && lower(var.api_jwt.header) != "authorization"
    error_message = "api_jwt.header: Authorization holds the function's own key; write the name of another header, such as \"X-Access-Token\"."
  }
}

variable "api_domain" {
  description = "A name of your own for the API and its ACM certificate in this region; point the name at the output api_domain_target. The API then answers by that name alone."
  type        = object({ name = string, certificate_arn = string })
  default     = null

  validation {
    condition     = var.api_domain == null ? true : can(regex("^([a-z0-9]([a-z0-9-]*[a-z0-9])?\\.)+[a-z]{2,}$", var.api_domain.name))
    error_message = "api_domain.name: write a host without scheme, port or path, in lower case, such as \"jobs.example.com\"."
  }

  validation {
    condition     = var.api_domain == null ? true : can(regex("^arn:[a-z-]+:acm:[a-z0-9-]+:[0-9]{12}:certificate/", var.api_domain.certificate_arn))
    error_message = "api_domain.certificate_arn: write the ARN of an ACM certificate, such as \"arn:aws:acm:eu-west-1:123456789012:certificate/…\"."
  }
}
