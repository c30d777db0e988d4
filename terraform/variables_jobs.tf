# The queue, the ledger, and how jobs are run.

variable "fifo" {
  description = "Whether the queues keep the order of each message group. A FIFO queue hands out 10 jobs at a time."
  type        = bool
  default     = false
  nullable    = false
}

variable "queue_retention_days" {
  description = "How long an unfinished job stays in the queue, in days. Dead letters stay for 14."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.queue_retention_days >= 1 && var.queue_retention_days <= 13 && floor(var.queue_retention_days) == var.queue_retention_days
    error_message = "queue_retention_days: write a whole number from 1 to 13 days; dead letters are kept for 14 from when their job was sent, so the queue must let go earlier."
  }
}

variable "max_receive_count" {
  description = <<-EOT
    Receives after which SQS moves a message to the dead letters by itself: the net for messages that die before a claim,
    since attempts are counted in the ledger. null: 100, on a FIFO queue 1000.
  EOT
  type        = number
  default     = null

  validation {
    condition     = var.max_receive_count == null ? true : var.max_receive_count >= 20 && var.max_receive_count <= 1000 && floor(var.max_receive_count) == var.max_receive_count
    error_message = "max_receive_count: write a whole number from 20 to 1000; every deferral counts as a receive, so a low number would lose jobs that only wait. How often a job is tried is max_attempts."
  }
}

variable "worker_timeout_s" {
  description = "How long one batch may take, in seconds. At least the slowest tool's timeout and 3 s."
  type        = number
  default     = 180
  nullable    = false

  validation {
    condition     = var.worker_timeout_s >= 10 && var.worker_timeout_s <= 900 && floor(var.worker_timeout_s) == var.worker_timeout_s
    error_message = "worker_timeout_s: Lambda ends a function after 900 seconds; write a whole number from 10 to 900, and run jobs that take longer with `mcp-batch poll`."
  }

  validation {
    condition     = var.worker_timeout_s >= var.llm_timeout_s + 3
    error_message = "worker_timeout_s: a job is begun only when its whole timeout is left; write at least llm_timeout_s + 3."
  }
}

variable "worker_memory_mb" {
  description = "The worker's memory, in MB, and with it its share of a CPU."
  type        = number
  default     = 256
  nullable    = false

  validation {
    condition     = var.worker_memory_mb >= 128 && var.worker_memory_mb <= 10240 && floor(var.worker_memory_mb) == var.worker_memory_mb
    error_message = "worker_memory_mb: write a whole number from 128 to 10240."
  }
}

variable "batch_size" {
  description = "Jobs in one batch at most. null: 450, as many 12 KB jobs as fit Lambda's 6 MB; on a FIFO queue 10."
  type        = number
  default     = null

  validation {
    condition     = var.batch_size == null ? true : var.batch_size >= 1 && var.batch_size <= 10000 && floor(var.batch_size) == var.batch_size
    error_message = "batch_size: write a whole number from 1 to 10000."
  }

  validation {
    condition     = var.batch_size == null || !var.fifo ? true : var.batch_size <= 10
    error_message = "batch_size: a FIFO queue hands out at most 10 messages at a time; write 1 to 10, or set fifo = false."
  }

  validation {
    condition = (
      var.batch_window_s == null ? true : var.batch_window_s >= 1 || coalesce(var.batch_size, var.fifo ? 10 : 450) <= 10
    )
    error_message = "batch_size: Lambda gathers more than 10 messages only over a window of time; write batch_window_s = 1 (or more), or a batch_size of at most 10."
  }
}

variable "batch_window_s" {
  description = "How long Lambda gathers messages before it starts a batch that is not full, in seconds. null: 1, on a FIFO queue none."
  type        = number
  default     = null

  validation {
    condition     = var.batch_window_s == null ? true : var.batch_window_s >= 0 && var.batch_window_s <= 300 && floor(var.batch_window_s) == var.batch_window_s
    error_message = "batch_window_s: write a whole number from 0 to 300 seconds."
  }

  validation {
    condition     = var.batch_window_s == null || !var.fifo ? true : var.batch_window_s == 0
    error_message = "batch_window_s: a FIFO queue knows no window; write 0, or set fifo = false."
  }
}

variable "worker_maximum_concurrency" {
  description = "Batches at once, from 2 to 1000. Times callback_concurrency it bounds what one host gets at once."
  type        = number
  default     = 4
  nullable    = false

  validation {
    condition     = var.worker_maximum_concurrency >= 2 && var.worker_maximum_concurrency <= 1000 && floor(var.worker_maximum_concurrency) == var.worker_maximum_concurrency
    error_message = "worker_maximum_concurrency: Lambda takes 2 to 1000 for a queue; write a whole number of these."
  }
}

variable "worker_reserved_concurrency" {
  description = "Concurrency of the account that is kept for the worker alone; null: none is."
  type        = number
  default     = null

  validation {
    condition = var.worker_reserved_concurrency == null ? true : (
      var.worker_reserved_concurrency >= var.worker_maximum_concurrency
      && floor(var.worker_reserved_concurrency) == var.worker_reserved_concurrency
    )
    error_message = "worker_reserved_concurrency: with less than worker_maximum_concurrency Lambda throttles the queue's batches; write a whole number, at least as many."
  }
}

variable "jobs_at_once" {
  description = "MCP_BATCH_CONCURRENCY: jobs at once in one batch; null: 512."
  type        = number
  default     = null

  validation {
    condition     = var.jobs_at_once == null ? true : var.jobs_at_once >= 1 && var.jobs_at_once <= 700 && floor(var.jobs_at_once) == var.jobs_at_once
    error_message = "jobs_at_once: write a whole number from 1 to 700; Lambda gives a function 1,024 open files, and each job needs one."
  }
}

variable "namespace" {
  description = "MCP_BATCH_NAMESPACE: an id is unique within it."
  type        = string
  default     = "default"
  nullable    = false

  validation {
    condition     = can(regex("^[A-Za-z0-9._:-]{1,128}$", var.namespace))
    error_message = "namespace: write 1 to 128 of A-Z a-z 0-9 . _ : -"
  }
}

variable "max_attempts" {
  description = "MCP_BATCH_MAX_ATTEMPTS: calls of a job before it is given up."
  type        = number
  default     = 3
  nullable    = false

  validation {
    condition     = var.max_attempts >= 1 && var.max_attempts <= 1000 && floor(var.max_attempts) == var.max_attempts
    error_message = "max_attempts: write a whole number from 1 to 1000."
  }
}

variable "max_age_s" {
  description = "MCP_BATCH_MAX_AGE_S: the age at which a job that keeps failing is given up, in seconds; 259200 are 3 days."
  type        = number
  default     = 259200
  nullable    = false

  validation {
    condition     = var.max_age_s >= 1 && var.max_age_s < var.queue_retention_days * 86400 && floor(var.max_age_s) == var.max_age_s
    error_message = "max_age_s: SQS deletes a message after queue_retention_days, and nobody would be told; write a whole number, less than queue_retention_days * 86400."
  }
}

variable "ledger_days" {
  description = "MCP_BATCH_LEDGER_DAYS: how long the ledger knows a finished job, in days."
  type        = number
  default     = 45
  nullable    = false

  validation {
    condition     = var.ledger_days >= var.queue_retention_days + 14 && var.ledger_days <= 3650 && floor(var.ledger_days) == var.ledger_days
    error_message = "ledger_days: a job must be known for as long as its message may come back; write a whole number, queue_retention_days + 14 (18 by default) to 3650."
  }
}

variable "point_in_time_recovery" {
  description = "Whether the table can be set back to any second of the last 35 days."
  type        = bool
  default     = true
  nullable    = false
}

variable "results_bucket_enabled" {
  description = "Whether results that do not fit the ledger (400 KB, compressed) go to S3; without it such jobs fail."
  type        = bool
  default     = true
  nullable    = false
}

variable "tools_file" {
  description = "The catalog, a file in TOML (docs/tools.md); null: the built-in tools summarize and classify. A change reaches the functions by the next apply, without a build."
  type        = string
  default     = null

  validation {
    condition     = var.tools_file == null ? true : try(fileexists(var.tools_file), false)
    error_message = "tools_file: there is no such file; write the path of a file that exists, such as \"$${path.root}/tools.toml\"."
  }
}

# Callbacks.

variable "callback_hosts" {
  description = <<-EOT
    MCP_BATCH_CALLBACK_HOSTS: the hosts of callbacks that are yours, such as "n8n.example.com", "*.example.com" or
    "10.0.0.5:5678"; without a port, any port. A listed host may be private and without TLS; any other must be public, by https.
  EOT
  type        = list(string)
  default     = []
  nullable    = false

  validation {
    condition     = alltrue([for host in var.callback_hosts : !try(strcontains(host, "://"), false)])
    error_message = "callback_hosts: write hosts without a scheme: \"n8n.example.com\" instead of \"https://n8n.example.com\"."
  }

  validation {
    condition = alltrue([
      for host in var.callback_hosts :
      try(strcontains(host, "://"), false) || can(regex("^((\\*\\.)?[A-Za-z0-9_-]+(\\.[A-Za-z0-9_-]+)*|\\[[0-9A-Fa-f:.]+\\])(:[0-9]{1,5})?$", host))
    ])
    error_message = "callback_hosts: write a host and perhaps a port, nothing else: \"n8n.example.com\", \"*.example.com\", \"10.0.0.5:5678\"; no path, no spaces, no commas, no null."
  }

  validation {
    condition     = alltrue([for port in [for host in var.callback_hosts : try(tonumber(regex(":([0-9]{1,5})$", host)[0]), 1)] : port >= 1 && port <= 65535])
    error_message = "callback_hosts: a port is a number from 1 to 65535; write one, such as \"n8n.example.com:5678\", or none for any port."
  }
}

variable "callback_concurrency" {
  description = "MCP_BATCH_CALLBACK_CONCURRENCY: callbacks at once to one host, from one batch."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.callback_concurrency >= 1 && var.callback_concurrency <= 1000 && floor(var.callback_concurrency) == var.callback_concurrency
    error_message = "callback_concurrency: write a whole number from 1 to 1000."
  }
}

variable "callback_max_in_flight" {
  description = <<-EOT
    What one receiver takes at once. An n8n with default settings answers 11 to 17 callbacks a second and runs out of
    memory with a hundred at once.
  EOT
  type        = number
  default     = 20
  nullable    = false

  validation {
    condition = (
      var.fan_in_only || var.worker_maximum_concurrency * var.callback_concurrency <= var.callback_max_in_flight
    )
    error_message = "callback_max_in_flight: worker_maximum_concurrency times callback_concurrency callbacks may reach one host at once, which is more; lower one of them, raise callback_max_in_flight if your receiver takes more, or set fan_in_only = true if jobs are told by one callback a batch."
  }
}

variable "fan_in_only" {
  description = "Says that jobs have no callbacks of their own, only their batch has one: callback_max_in_flight is then not checked."
  type        = bool
  default     = false
  nullable    = false
}

variable "settings" {
  description = "Further variables of docs/settings.md that have none of their own here, such as { MCP_BATCH_CALLBACK_TIMEOUT_S = \"60\" }."
  type        = map(string)
  default     = {}
  nullable    = false

  validation {
    condition     = length(setintersection(keys(var.settings), local.secret_settings)) == 0
    error_message = "settings: keys and secrets do not belong into a function's environment, nor into the state; write them into secret_values, or with `aws secretsmanager put-secret-value`."
  }

  validation {
    condition     = length(setintersection(keys(var.settings), keys(local.settings_by_variable))) == 0
    error_message = "settings: ${join("; ", [for name, variable in local.settings_by_variable : "write ${variable} instead of ${name}" if contains(keys(var.settings), name)])}."
  }

  validation {
    condition     = length(setintersection(keys(var.settings), local.settings_of_module)) == 0
    error_message = "settings: this module sets ${join(", ", setintersection(keys(var.settings), local.settings_of_module))} itself, to what it makes; leave it away."
  }

  validation {
    condition     = length(setsubtract(keys(var.settings), local.settings)) == 0
    error_message = "settings: a function knows no such variable; write one of ${join(", ", local.further_settings)}."
  }

  validation {
    condition     = alltrue([for value in values(var.settings) : try(trimspace(value) != "", false)])
    error_message = "settings: an empty variable is as good as none; write a value, or leave the name away."
  }
}

# The sweep: what no message wakes.

variable "sweep_enabled" {
  description = "Whether a function looks every sweep_interval_min for what no message wakes: incomplete batches that expire, callbacks left pending."
  type        = bool
  default     = true
  nullable    = false
}

variable "sweep_interval_min" {
  description = "Minutes between two sweeps."
  type        = number
  default     = 5
  nullable    = false

  validation {
    condition     = var.sweep_interval_min >= 1 && var.sweep_interval_min <= 60 && floor(var.sweep_interval_min) == var.sweep_interval_min
    error_message = "sweep_interval_min: write whole minutes from 1 to 60."
  }
}
