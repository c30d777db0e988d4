# Alarms and the dashboard.

variable "alarms_enabled" {
  description = "Whether there are alarms, which tell an SNS topic."
  type        = bool
  default     = true
  nullable    = false
}

variable "alarm_email" {
  description = "Who is told by mail; AWS asks for consent first. null: nobody, until somebody subscribes to the topic."
  type        = string
  default     = null

  validation {
    condition     = var.alarm_email == null || can(regex("^[^@\\s]+@[^@\\s]+$", var.alarm_email))
    error_message = "alarm_email: write one address, such as \"ops@example.com\"."
  }
}

variable "alarm_oldest_message_s" {
  description = "The age of the oldest job in the queue that is an alarm, in seconds."
  type        = number
  default     = 3600
  nullable    = false

  validation {
    condition     = var.alarm_oldest_message_s >= 60 && var.alarm_oldest_message_s < var.queue_retention_days * 86400
    error_message = "alarm_oldest_message_s: SQS deletes a message after queue_retention_days, so none gets older; write at least 60 seconds, and less than queue_retention_days * 86400."
  }
}

variable "cost_budget_usd_per_day" {
  description = "The cost of LLM calls in a day, in USD, beyond which there is an alarm; null: no such alarm. It stops nothing: budgets of LiteLLM do."
  type        = number
  default     = 10

  validation {
    condition     = var.cost_budget_usd_per_day == null ? true : var.cost_budget_usd_per_day > 0
    error_message = "cost_budget_usd_per_day: write a number of dollars above 0, or null for no alarm."
  }
}

variable "dashboard_enabled" {
  description = "Whether there is a dashboard, at 3 USD a month beyond an account's first three."
  type        = bool
  default     = true
  nullable    = false
}

variable "saved_queries_enabled" {
  description = "Whether CloudWatch Logs Insights offers saved queries of this installation."
  type        = bool
  default     = true
  nullable    = false
}
