# What a person needs next.

output "queue_url" {
  description = "Where jobs are sent."
  value       = aws_sqs_queue.jobs.url
}

output "queue_arn" {
  description = "The jobs queue's ARN."
  value       = aws_sqs_queue.jobs.arn
}

output "dlq_url" {
  description = "Where dead letters lie."
  value       = aws_sqs_queue.dead_letters.url
}

output "table_name" {
  description = "The ledger's table."
  value       = aws_dynamodb_table.ledger.name
}

output "results_bucket" {
  description = "The bucket of results that do not fit the ledger; null without one."
  value       = one([for name, bucket in aws_s3_bucket.this : bucket.id if name == "results"])
}

output "secret_arn" {
  description = "The functions' secret: fill it with `aws secretsmanager put-secret-value`."
  value       = aws_secretsmanager_secret.functions.arn
}

output "n8n_policy_arn" {
  description = "The policy for the user whose keys n8n has: send jobs, and nothing else."
  value       = aws_iam_policy.n8n.arn
}

output "function_names" {
  description = "The functions, by role."
  value       = local.function_names
}

output "role_arns" {
  description = "The functions' roles, by role of the program."
  value       = { for role, iam in aws_iam_role.function : role => iam.arn }
}

output "log_groups" {
  description = "Where the functions log, by role."
  value       = { for role, group in aws_cloudwatch_log_group.function : role => group.name }
}

output "alarm_topic_arn" {
  description = "The topic that alarms tell; null without alarms."
  value       = one(aws_sns_topic.alarms[*].arn)
}

output "dashboard_url" {
  description = "The dashboard; null without one."
  value       = one([for board in aws_cloudwatch_dashboard.this : "https://${local.region}.console.aws.amazon.com/cloudwatch/home?region=${local.region}#dashboards/dashboard/${board.dashboard_name}"])
}

output "api_url" {
  description = "The HTTP face, to which /v1/jobs is added; null without one."
  value       = !var.api_enabled ? null : (var.api_domain == null ? aws_apigatewayv2_api.this[0].api_endpoint : "https://${var.api_domain.name}")
}

output "api_domain_target" {
  description = "What your own name of the API has to point at (a CNAME); null without one."
  value       = one([for domain in aws_apigatewayv2_domain_name.this : domain.domain_name_configuration[0].target_domain_name])
}

output "llm_url" {
  description = "The API that the functions call."
  value       = local.llm_url
}

output "litellm_secret_arn" {
  description = "LiteLLM's secret: its master key and its providers' keys; null without LiteLLM."
  value       = one(aws_secretsmanager_secret.litellm[*].arn)
}

output "litellm_load_balancer_dns" {
  description = "What litellm_host has to point at (a CNAME); null without LiteLLM."
  value       = one(aws_lb.litellm[*].dns_name)
}

output "litellm_security_group_id" {
  description = "The security group of LiteLLM's tasks, to be let out to, and in at, a database or cache of yours; null without LiteLLM."
  value       = one(aws_security_group.litellm[*].id)
}

output "litellm_database_address" {
  description = "Where LiteLLM's database answers, inside the VPC; null without one."
  value       = one(aws_db_instance.litellm[*].address)
}

output "vpc_id" {
  description = "The VPC of functions and LiteLLM; null without one."
  value       = local.vpc_id
}

output "functions_security_group_id" {
  description = "The functions' security group, to be let in where your n8n or MCP servers stand; null outside a VPC."
  value       = one(aws_security_group.functions[*].id)
}

output "egress_addresses" {
  description = "The addresses that callbacks come from; empty where AWS chooses them."
  value       = aws_eip.nat[*].public_ip
}
