# Of the whole installation. What belongs to one part stands in variables_*.tf.

variable "name" {
  description = "Begins every name, so that two installations can share an account."
  type        = string
  default     = "mcp-batch"
  nullable    = false

  validation {
    condition     = can(regex("^[a-z][a-z0-9-]{0,18}[a-z0-9]$", var.name))
    error_message = "name: write 2 to 20 of a-z, 0-9 and -, beginning with a letter, such as \"mcp-batch\" or \"mcp-batch-test\"."
  }

  validation {
    condition     = !strcontains(var.name, "--") && !startswith(var.name, "internal-") && !startswith(var.name, "aws-")
    error_message = "name: RDS takes no two hyphens side by side, load balancers no name that begins with internal-, some services none with aws-; write another, such as \"mcp-batch-test\"."
  }
}

variable "tags" {
  description = "Tags of everything, beside Application and Installation."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = alltrue([for name, value in var.tags : !startswith(lower(name), "aws:") && can(regex("^[\\pL\\pZ\\pN_.:/=+@-]{1,128}$", name)) && can(regex("^[\\pL\\pZ\\pN_.:/=+@-]{0,256}$", value))])
    error_message = "tags: write names of 1 to 128 and values of up to 256 letters, digits, spaces and _ . : / = + - @, and no name that begins with aws:, which AWS keeps for itself."
  }

  validation {
    condition     = length(var.tags) <= 45
    error_message = "tags: AWS takes 50 of a resource, of which some are this module's; write 45 at most."
  }

  validation {
    condition     = length(setintersection(keys(var.tags), ["Application", "Installation", "Name"])) == 0
    error_message = "tags: Application, Installation and Name are this module's; write other names."
  }
}

variable "kms_key" {
  description = <<-EOT
    Your own KMS key for table, queues, buckets, secrets, logs and the alarms' topic: an object with its arn, such as the
    whole resource aws_kms_key.mine. Its policy has to let CloudWatch Logs and CloudWatch alarms use it: examples/complete
    has one. null: keys that AWS owns, which cost nothing.
  EOT
  type        = object({ arn = string })
  default     = null

  validation {
    condition     = var.kms_key == null ? true : can(regex("^arn:[a-z-]+:kms:[a-z0-9-]+:[0-9]{12}:key/.", var.kms_key.arn))
    error_message = "kms_key.arn: services keep the ARN of the key itself; write that, such as \"arn:aws:kms:eu-west-1:123456789012:key/…\", and neither an alias nor an id."
  }

  validation {
    condition     = var.kms_key == null ? true : try(split(":", var.kms_key.arn)[3] == local.region, true)
    error_message = "kms_key.arn: keys are a region's own; write that of a key in ${local.region}."
  }
}

variable "deletion_protection" {
  description = <<-EOT
    Whether AWS refuses to delete the table and the load balancer, buckets with objects in them stay, and a deleted secret
    can be restored for 30 days. Set it to false, and apply, before a destroy.
  EOT
  type        = bool
  default     = true
  nullable    = false
}

# The functions' code and how they tell of themselves.

variable "architecture" {
  description = "The functions' processor: arm64 (about 20 % cheaper) or x86_64."
  type        = string
  default     = "arm64"
  nullable    = false

  validation {
    condition     = contains(["arm64", "x86_64"], var.architecture)
    error_message = "architecture: write \"arm64\" or \"x86_64\"."
  }
}

variable "lambda_zip" {
  description = "The zip that `make lambda` made; null: target/lambda/mcp-batch-lambda-ARCHITECTURE.zip of this repository."
  type        = string
  default     = null
}

variable "log_level" {
  description = "The least level that the functions log: TRACE, DEBUG, INFO, WARN, ERROR or FATAL."
  type        = string
  default     = "INFO"
  nullable    = false

  validation {
    condition     = contains(["TRACE", "DEBUG", "INFO", "WARN", "ERROR", "FATAL"], var.log_level)
    error_message = "log_level: write TRACE, DEBUG, INFO, WARN, ERROR or FATAL, in capitals."
  }
}

variable "log_retention_days" {
  description = "How long CloudWatch keeps logs, in days."
  type        = number
  default     = 30
  nullable    = false

  validation {
    condition = contains(
      [1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731, 1096, 1827, 2192, 2557, 2922, 3288, 3653],
      var.log_retention_days,
    )
    error_message = "log_retention_days: CloudWatch takes 1, 3, 5, 7, 14, 30, 60, 90, 120, 150, 180, 365, 400, 545, 731 and more; write one of these."
  }
}

variable "xray_enabled" {
  description = "Whether Lambda records invocations in X-Ray: the first of each second and 5 % of the rest, at a rate that AWS does not let us choose."
  type        = bool
  default     = true
  nullable    = false
}

variable "otlp_endpoint" {
  description = "Where the functions send OpenTelemetry traces by OTLP over HTTP, such as a collector; null: nowhere."
  type        = string
  default     = null

  validation {
    condition     = var.otlp_endpoint == null || can(regex("^https?://[^/\\s]+[^\\s]*$", var.otlp_endpoint))
    error_message = "otlp_endpoint: write a URL with its scheme, such as \"http://collector.internal:4318\"."
  }
}

variable "otlp_to_xray" {
  description = "Whether the functions send OpenTelemetry traces straight to X-Ray, for which the account needs CloudWatch's Transaction Search."
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.otlp_to_xray || var.otlp_endpoint == null
    error_message = "otlp_to_xray: traces go to one place; write otlp_endpoint = null."
  }

  validation {
    condition     = !var.otlp_to_xray || var.nat != "none" || var.vpc != null || !var.litellm_enabled || var.litellm_public
    error_message = "otlp_to_xray: without a NAT gateway no way leads from the functions to X-Ray; write nat = \"one\", or otlp_to_xray = false."
  }
}

variable "trace_sample_ratio" {
  description = "The share of invocations whose traces go to otlp_endpoint or to X-Ray, from 0 to 1."
  type        = number
  default     = 0.05
  nullable    = false

  validation {
    condition     = var.trace_sample_ratio >= 0 && var.trace_sample_ratio <= 1
    error_message = "trace_sample_ratio: write a share from 0 to 1, such as 0.05 for 5 %."
  }
}

# Secrets. Values are never in the state: they are ephemeral here and write-only in the resource.

variable "secret_values" {
  description = <<-EOT
    What goes into the functions' secret, such as MCP_BATCH_LLM_API_KEY and MCP_BATCH_CALLBACK_SECRETS. Best set by
    TF_VAR_secret_values, or not here at all but with `aws secretsmanager put-secret-value`. Written when
    secret_values_version changes.
  EOT
  type        = map(string)
  default     = {}
  nullable    = false
  ephemeral   = true
  sensitive   = true

  validation {
    condition     = alltrue([for value in values(var.secret_values) : try(trimspace(value) != "", false)])
    error_message = "secret_values: what is empty or null is no secret; write a value, or leave the name away."
  }

  validation {
    condition     = alltrue([for name in keys(var.secret_values) : !can(regex("^(MCP_BATCH|OTEL)_", name)) || contains(local.settings, name)])
    error_message = "secret_values: a function knows no such variable; write names as docs/settings.md has them, such as MCP_BATCH_LLM_API_KEY, or what the catalog calls secret:NAME."
  }
}

variable "secret_values_version" {
  description = "Raise it to write secret_values (anew); null: Terraform never writes the secret."
  type        = number
  default     = null

  validation {
    condition     = var.secret_values_version == null ? true : var.secret_values_version >= 1 && floor(var.secret_values_version) == var.secret_values_version
    error_message = "secret_values_version: write a whole number, at least 1, and a greater one to write the secret anew; or null, if the command line writes it."
  }
}

variable "secret_rotation" {
  description = <<-EOT
    The hook for rotating the callback secret: the ARN of a Lambda function of yours that knows the four steps of Secrets
    Manager, and how many days pass between rotations. The new whsec_ goes beside the old one, and both sign.
  EOT
  type        = object({ lambda_arn = string, days = number })
  default     = null

  validation {
    condition     = var.secret_rotation == null ? true : try(var.secret_rotation.days >= 1 && var.secret_rotation.days <= 1000 && floor(var.secret_rotation.days) == var.secret_rotation.days, false)
    error_message = "secret_rotation.days: write a whole number of days from 1 to 1000."
  }

  validation {
    condition     = var.secret_rotation == null ? true : can(regex("^arn:[a-z-]+:lambda:[a-z0-9-]+:[0-9]{12}:function:.", var.secret_rotation.lambda_arn))
    error_message = "secret_rotation.lambda_arn: write the ARN of a function, such as \"arn:aws:lambda:eu-west-1:123456789012:function:rotate\"."
  }
}
