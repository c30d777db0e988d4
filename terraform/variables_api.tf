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
    one of `audience` and with one of `scopes`, if there are any. A token with a claim that `callers` has needs no key: its
    namespace (null: `namespace`) and its scopes stand there, of the first that fits. Without callers, and for all other tokens,
    the function asks for its own key, in Authorization. null: keys alone.
  EOT
  type = object({
    issuer   = string
    audience = list(string)
    scopes   = optional(list(string), [])
    header   = optional(string, "X-Access-Token")
    callers = optional(list(object({
      name      = string
      claim     = string
      value     = string
      scopes    = list(string)
      namespace = optional(string)
    })), [])
  })
  default = null

  validation {
    condition     = var.api_jwt == null ? true : can(regex("^https://[^/?#\\s]+[^?#\\s]*$", var.api_jwt.issuer)) && try(length(var.api_jwt.audience) > 0, false)
    error_message = "api_jwt: write the issuer as an https URL, as its tokens have it in \"iss\", and at least one audience."
  }

  validation {
    condition     = var.api_jwt == null ? true : alltrue([for text in try(concat(var.api_jwt.audience, var.api_jwt.scopes), []) : can(regex("^\\S+$", text))])
    error_message = "api_jwt: write audiences and scopes without spaces, none of them empty or null."
  }

  validation {
    condition     = var.api_jwt == null ? true : can(regex("^[A-Za-z0-9-]+$", var.api_jwt.header))
    error_message = "api_jwt.header: write the name of a header, such as \"X-Access-Token\"."
  }

  validation {
    condition     = var.api_jwt == null ? true : length(var.api_jwt.callers) > 0 || lower(var.api_jwt.header) != "authorization"
    error_message = "api_jwt.header: Authorization holds the function's own key; write the name of another header, such as \"X-Access-Token\", or callers, who need no key."
  }

  validation {
    condition = var.api_jwt == null ? true : alltrue([for caller in var.api_jwt.callers : try(
      can(regex("^[^:,\\s]+$", caller.name)) && can(regex("^[^=,\\s]+$", caller.claim)) && can(regex("^[^,\\s]+$", caller.value))
      && length(caller.scopes) > 0 && length(setsubtract(caller.scopes, ["enqueue", "read", "call", "admin"])) == 0
      && can(regex("^[A-Za-z0-9._-]{1,128}$", coalesce(caller.namespace, var.namespace))), false
    )])
    error_message = "api_jwt.callers: write for each a name, a claim and its whole value, without spaces and commas, at least one of the scopes enqueue, read, call and admin, and a namespace without a colon, such as { name = \"shop\", claim = \"client_id\", value = \"abc\", scopes = [\"enqueue\", \"read\"] }."
  }

  validation {
    condition     = var.api_jwt == null ? true : try(length(distinct(var.api_jwt.callers[*].name)) == length(var.api_jwt.callers), true)
    error_message = "api_jwt.callers: a name stands for one of them; write another for each."
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
