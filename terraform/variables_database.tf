# The database of LiteLLM's keys, budgets and spend logs.

variable "litellm_database_enabled" {
  description = <<-EOT
    Whether LiteLLM gets a Postgres of its own, at about 14 USD a month: for keys and budgets of callers, users and teams,
    for its max_budget, and for spend logs. DATABASE_PASSWORD in litellm_secret_values is its password.
  EOT
  type        = bool
  default     = false
  nullable    = false

  validation {
    condition     = !var.litellm_database_enabled || var.litellm_enabled
    error_message = "litellm_database_enabled: the database is LiteLLM's; set litellm_enabled = true as well, or leave the database away."
  }

  validation {
    condition     = !var.litellm_database_enabled || var.litellm_secret_values_version != null
    error_message = "litellm_database_enabled: database and LiteLLM are told the same password, by this module; write litellm_secret_values_version = 1 and DATABASE_PASSWORD in litellm_secret_values."
  }
}

variable "litellm_database_class" {
  description = <<-EOT
    The database's machine. A worker process of LiteLLM opens up to 10 connections; a db.t4g.micro takes about 110 and a
    db.t4g.small, at 12 USD a month more, about 220.
  EOT
  type        = string
  default     = "db.t4g.micro"
  nullable    = false

  validation {
    condition     = can(regex("^db\\.[a-z0-9-]+\\.[a-z0-9]+$", var.litellm_database_class))
    error_message = "litellm_database_class: write a class of RDS, such as \"db.t4g.micro\"."
  }
}

variable "litellm_database_storage_gb" {
  description = "The database's disk to begin with, in GB; it grows by itself up to five times that."
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition = (
      var.litellm_database_storage_gb >= 20 && var.litellm_database_storage_gb <= 10000
      && floor(var.litellm_database_storage_gb) == var.litellm_database_storage_gb
    )
    error_message = "litellm_database_storage_gb: write whole GB from 20 to 10000."
  }
}

variable "litellm_database_backup_days" {
  description = "How many days the database can be set back to any second of."
  type        = number
  default     = 7
  nullable    = false

  validation {
    condition = (
      var.litellm_database_backup_days >= 1 && var.litellm_database_backup_days <= 35
      && floor(var.litellm_database_backup_days) == var.litellm_database_backup_days
    )
    error_message = "litellm_database_backup_days: RDS keeps backups for 1 to 35 days; write a whole number of these."
  }
}

variable "litellm_database_multi_az" {
  description = "Whether a second machine in another zone stands by, at twice the price. Without it LiteLLM does not know its keys while the one is down."
  type        = bool
  default     = false
  nullable    = false
}
