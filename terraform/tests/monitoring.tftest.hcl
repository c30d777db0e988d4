# Alarms and the dashboard.

mock_provider "aws" {
  source = "./tests/aws"
}

variables {
  lambda_zip = "versions.tf"
  # Terraform 1.11 wants to hear of ephemeral variables in a test, though they have defaults.
  secret_values         = {}
  litellm_secret_values = {}
  llm_url               = "https://litellm.example.com/v1"
}

run "by_default_people_are_told" {
  command = apply

  assert {
    condition = toset(keys(aws_cloudwatch_metric_alarm.this)) == toset([
      "dead-letters", "oldest-job", "worker-errors", "worker-throttles", "worker-duration", "sweep-errors", "sweep-throttles",
      "sweep-duration", "dead-callbacks", "callback-names", "sweep-dead-callbacks", "held-jobs", "configuration", "cost",
    ])
    error_message = "Each thing that can go wrong has its alarm."
  }

  assert {
    condition     = alltrue([for alarm in aws_cloudwatch_metric_alarm.this : alarm.alarm_actions == toset([aws_sns_topic.alarms[0].arn])])
    error_message = "Alarms tell the topic."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["oldest-job"].threshold == 3600 && aws_cloudwatch_metric_alarm.this["worker-duration"].threshold == 171000
    error_message = "An hour in the queue, or 95 % of the timeout."
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["cost"].threshold == 10 && aws_cloudwatch_metric_alarm.this["cost"].period == 86400
    error_message = "Ten dollars a day."
  }

  assert {
    condition     = [for widget in jsondecode(aws_cloudwatch_dashboard.this[0].dashboard_body).widgets : widget.properties.markdown if widget.type == "text"] == ["## Flow", "## Latency", "## Failures", "## Tokens and dollars", "## Dead letters"]
    error_message = "The dashboard has its five rows."
  }

  assert {
    condition     = length(aws_cloudwatch_query_definition.this) == 4 && length(aws_sns_topic_subscription.email) == 0
    error_message = "Queries are saved, nobody is written to."
  }
}

run "as_asked" {
  command = apply

  variables {
    alarm_email             = "ops@example.com"
    alarm_oldest_message_s  = 600
    cost_budget_usd_per_day = 25
    api_enabled             = true
    litellm_enabled         = true
  }

  assert {
    condition     = aws_sns_topic_subscription.email[0].endpoint == "ops@example.com"
    error_message = "alarm_email"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["oldest-job"].threshold == 600
    error_message = "alarm_oldest_message_s"
  }

  assert {
    condition     = aws_cloudwatch_metric_alarm.this["cost"].threshold == 25
    error_message = "cost_budget_usd_per_day"
  }

  assert {
    condition = (
      [for query in aws_cloudwatch_metric_alarm.this["cost"].metric_query : query.expression if query.id == "sum"] == ["FILL(part0, 0) + FILL(part1, 0)"]
      && toset(flatten([for query in aws_cloudwatch_metric_alarm.this["cost"].metric_query : [for metric in query.metric : metric.dimensions.function]]))
      == toset(["mcp-batch-worker", "mcp-batch-api"])
    )
    error_message = "What the worker and the HTTP face cost counts together."
  }

  assert {
    condition     = strcontains(aws_cloudwatch_dashboard.this[0].dashboard_body, "(function=\\\"mcp-batch-worker\\\" OR function=\\\"mcp-batch-api\\\")")
    error_message = "So it does on the dashboard."
  }

  assert {
    condition     = length(setsubtract(["api-5xx", "api-errors", "litellm-unhealthy", "litellm-down"], keys(aws_cloudwatch_metric_alarm.this))) == 0
    error_message = "API and LiteLLM have alarms where they are."
  }
}

run "without" {
  command = plan

  variables {
    alarms_enabled          = false
    dashboard_enabled       = false
    saved_queries_enabled   = false
    cost_budget_usd_per_day = null
  }

  assert {
    condition     = length(aws_cloudwatch_metric_alarm.this) == 0 && length(aws_sns_topic.alarms) == 0
    error_message = "alarms_enabled"
  }

  assert {
    condition     = length(aws_cloudwatch_dashboard.this) == 0
    error_message = "dashboard_enabled"
  }

  assert {
    condition     = length(aws_cloudwatch_query_definition.this) == 0
    error_message = "saved_queries_enabled"
  }
}
