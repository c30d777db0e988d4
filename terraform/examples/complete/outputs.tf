output "mcp_batch" {
  description = "All that the module tells."
  value       = module.mcp_batch
}

output "queue_url" {
  description = "Where jobs are sent."
  value       = module.mcp_batch.queue_url
}

output "dlq_url" {
  description = "Where dead letters lie."
  value       = module.mcp_batch.dlq_url
}

output "api_url" {
  description = "The HTTP face."
  value       = module.mcp_batch.api_url
}
